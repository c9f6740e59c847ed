"""What the decision APIs refuse: a 4xx in the one shape that names the field; and what they take
all the same."""

import json
from typing import Any

import pytest

from tests.unit.conftest import Answered, Product, says
from tests.unit.decisions import CLEF, MOOD, TONE, URGENT, choice, decided, decisions, yes

IMAGE = "data:image/png;base64,AAAA"
OPENAI: list[tuple[dict[str, Any], str]] = [
    ({"questions": []}, "questions"),
    ({"questions": [URGENT] * 401}, "questions"),
    ({"questions": [choice(*(f"o{at}" for at in range(256)))]}, "questions[0].choices"),
    ({"questions": [URGENT, choice("a")]}, "questions[1].choices"),
    ({"questions": [choice()]}, "questions[0].choices"),
    ({"questions": [{**TONE, "choices": None}]}, "questions[0].choices"),
    ({"questions": [choice("a", "b", "a")]}, "questions[0].choices[2].value"),
    ({"questions": [choice(True, "true", True)]}, "questions[0].choices[2].value"),
    ({"questions": [choice("a", 1)]}, "questions[0].choices[1].value"),
    ({"questions": [choice("a", "b\nc")]}, "questions[0].choices[1].value"),
    ({"questions": [choice("a", "b\u0000")]}, "questions[0].choices[1].value"),
    ({"questions": [choice("a", " ")]}, "questions[0].choices[1].value"),
    ({"questions": [choice("a", "b" * 257)]}, "questions[0].choices[1].value"),
    ({"questions": [{**URGENT, "type": "noul"}]}, "questions[0].type"),
    ({"questions": [{**URGENT, "instructions": "  "}]}, "questions[0].instructions"),
    ({"questions": [{"type": "predicate"}]}, "questions[0].instructions"),
    ({"questions": [{**MOOD, "levels": [{"label": "one"}]}]}, "questions[0].levels"),
    ({"questions": [{**MOOD, "levels": [{"label": "x"}] * 11}]}, "questions[0].levels"),
    ({"questions": [{"type": "score", "instructions": "?"}]}, "questions[0].levels"),
    (
        {"questions": [{**MOOD, "levels": [{"label": "x"}, {"label": "x", "description": "y"}]}]},
        "questions[0].levels[1]",
    ),
    (
        {"questions": [{**MOOD, "levels": [{"label": "x"}, {"label": ""}]}]},
        "questions[0].levels[1].label",
    ),
    (
        {"questions": [{**URGENT, "instructions": [{"type": "input_image", "image_url": IMAGE}]}]},
        "questions[0].instructions[0].type",
    ),
    ({"input": ""}, "input"),
    ({"input": " \n"}, "input"),
    ({"input": []}, "input"),
    ({"input": [{"role": "user", "content": ""}]}, "input"),
    ({"input": [{"role": "robot", "content": "beep"}]}, "input[0].role"),
    ({"input": [{"content": "beep"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"type": "reasoning"}]}, "input[0].type"),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].arguments"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "input[0].content[0].text",
    ),
    (
        {
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}],
                }
            ]
        },
        "input[0].content[0].image_url",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": IMAGE}] * 5}]},
        "input",
    ),
    ({"edgeneuro": {"candidates": ["hr"]}}, "edgeneuro.candidates"),
    ({"model": ""}, "model"),
]
NOUL = {"type": "noul", "instructions": "Is it urgent?"}
PICK = {"type": "choice", "instructions": "Which?", "criteria": {"a": None, "b": "B"}}
SCALE = {"type": "score", "instructions": "How?", "criteria": ["low", "high"]}
SYSTEM_ONE: list[tuple[dict[str, Any], str]] = [
    ({"questions": {}}, "questions"),
    ({"questions": {f"q{at}": NOUL for at in range(65)}}, "questions"),
    ({"questions": {"is it": NOUL}}, "questions.is it"),
    ({"questions": {"a" * 101: NOUL}}, f"questions.{'a' * 100}"),
    ({"questions": {"x": {**PICK, "criteria": None}}}, "questions.x.criteria"),
    ({"questions": {"x": {**PICK, "criteria": {"a": None}}}}, "questions.x.criteria"),
    ({"questions": {"x": {**PICK, "criteria": ["a", "b"]}}}, "questions.x.criteria"),
    ({"questions": {"x": {**PICK, "criteria": {"a": None, "b\t": 1}}}}, "questions.x.criteria.b\t"),
    (
        {"questions": {"x": {**PICK, "criteria": {f"o{at}": None for at in range(256)}}}},
        "questions.x.criteria",
    ),
    ({"questions": {"x": {**SCALE, "criteria": ["one"]}}}, "questions.x.criteria"),
    ({"questions": {"x": {**SCALE, "criteria": {"low": 1}}}}, "questions.x.criteria"),
    ({"questions": {"x": {**SCALE, "criteria": ["low", ""]}}}, "questions.x.criteria[1]"),
    ({"questions": {"x": {**NOUL, "criteria": ["yes"]}}}, "questions.x.criteria"),
    ({"questions": {"x": {**NOUL, "type": "predicate"}}}, "questions.x.type"),
    ({"questions": {"x": {"type": "noul"}}}, "questions.x.instructions"),
    ({"questions": {"x": {**NOUL, "instructions": None}}}, "questions.x.instructions"),
    ({"questions": {"x": {**NOUL, "instructions": ""}}}, "questions.x.instructions"),
    ({"state": ""}, "state"),
    ({"state": {}}, "state"),
    ({"state": []}, "state"),
    ({"state": None}, "state"),
    ({"state": 7}, "state"),
    ({"images": [IMAGE] * 5}, "images"),
    ({"images": ["https://example.com/a.png"]}, "images[0]"),
    ({"images": ["data:text/plain,x"]}, "images[0]"),
]


def refused(answered: Answered) -> tuple[int, str | None]:
    assert answered.json()["error"]["message"]
    return answered.status, answered.json()["error"]["param"]


@pytest.mark.parametrize(("change", "param"), OPENAI, ids=lambda each: str(each)[:60])
async def test_in_openais_format(product: Product, change: dict[str, Any], param: str) -> None:
    body = {"model": CLEF, "input": "Hello", "questions": [URGENT], **change}
    answered = await product.call("POST", "/v1/decisions", body)
    assert refused(answered) == (400, param)
    assert product.gateway.decision_requests == []


@pytest.mark.parametrize(("change", "param"), SYSTEM_ONE, ids=lambda each: str(each)[:60])
async def test_in_system_ones_format(product: Product, change: dict[str, Any], param: str) -> None:
    body = {"model": "clef", "state": "Hello", "questions": {"x": NOUL}, **change}
    answered = await product.call("POST", "/v1/systemone", body)
    assert refused(answered) == (400, param)
    assert product.gateway.decision_requests == []


RAW: list[tuple[bytes, str]] = [
    (b"{", "invalid_json"),
    (b'{"state": NaN, "questions": {}}', "invalid_json"),
    (b'{"state": {"n": 1e999}, "questions": {}}', "invalid_json"),
    (b'{"state": "\\ud800", "questions": {}}', "invalid_json"),
    (b'{"state": ' + b"[" * 101 + b"]" * 101 + b', "questions": {}}', "invalid_json"),
    (b'{"state": ' + b"[" * 30_000, "invalid_json"),
    (b'{"state": "s", "questions": {"x": {}, "x": {}}}', "invalid_value"),
    (
        b'{"state": "s", "questions": {"x": {"type": "choice", "instructions": "?",'
        b' "criteria": {"a": null, "a": null, "b": null}}}}',
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("body", "code"), RAW, ids=lambda each: str(each)[:50])
async def test_json_that_is_none(product: Product, body: bytes, code: str) -> None:
    answered = await product.call("POST", "/v1/systemone", body)
    assert (answered.status, answered.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"safety_identifier": "a\0"}, "safety_identifier"),
        ({"edgeneuro": {"user": "a\0"}}, "edgeneuro.user"),
        ({"edgeneuro": {"metadata": {"team": "a\0"}}}, "edgeneuro.metadata.team"),
    ],
)
async def test_what_could_not_be_named_to_erase_it(
    product: Product, change: dict[str, Any], param: str
) -> None:
    answered = await decisions(product, URGENT, **change)
    assert refused(answered) == (400, param)


async def test_what_is_no_object(product: Product) -> None:
    for path in ("/v1/decisions", "/v1/systemone"):
        answered = await product.call("POST", path, b"[]")
        assert refused(answered) == (400, None)
        assert answered.json()["error"]["message"] == "The body must be a JSON object."
    answered = await decisions(product, URGENT, edgeneuro=[])
    assert refused(answered) == (400, "edgeneuro")
    assert answered.json()["error"]["message"] == "edgeneuro: must be an object."


async def test_too_many_questions_are_counted_in_the_message(product: Product) -> None:
    answered = await decisions(product, *[URGENT] * 401)
    assert answered.json()["error"]["message"].endswith("at most 400 items, not 401.")


async def test_too_much_text(product: Product) -> None:
    for state in ('"' + "x" * 2_200_000 + '"', "[" + "[]," * 40_000 + "1]"):
        body = f'{{"state": {state}, "questions": {{"x": 1}}}}'.encode()
        answered = await product.call("POST", "/v1/systemone", body)
        assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_routing_question_needs_a_text(product: Product) -> None:
    said = [{"role": "assistant", "content": "Hello"}]
    answered = await decisions(product, choice("hr", "none"), input=said)
    assert refused(answered) == (400, "input")
    assert "role 'user'" in answered.json()["error"]["message"]
    assert await product.logs() == []


async def test_unknown_fields_are_dropped_everywhere(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    body = {
        "model": "auto",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a", "x": 1}], "x": 1}
        ],
        "questions": [{**choice("hr", "none"), "x": [1]}],
        "prompt_cache_key": "k",
        "prompt_cache_options": {"ttl": "30m"},
        "safety_identifier": "user-7",
        "stream": False,
        "temperature": 0,
    }
    answered = await product.call("POST", "/v1/decisions", body)
    assert answered.status == 200, answered.text
    assert (await product.logs())[0]["user"] == "user-7"


async def test_images_stay_outside_of_the_parsed_body(product: Product) -> None:
    photo = "data:image/png;base64," + "A" * 5_000_000
    part = {"type": "input_image", "image_url": photo}
    said = [{"role": "user", "content": [part, {"type": "input_text", "text": "?"}]}]
    for path, body in (
        ("/v1/decisions", {"input": said, "questions": [URGENT]}),
        ("/v1/systemone", {"state": "?", "images": [photo], "questions": {"urgent": NOUL}}),
    ):
        product.gateway.enqueue(decided({"urgent": yes()}))
        answered = await product.call("POST", path, json.dumps({"model": CLEF, **body}).encode())
        assert answered.status == 200, answered.text
        request = product.gateway.decision_requests[-1]
        [url] = request.image_urls
        assert len(url) < 100
        assert request.images.restored(url) == photo
        assert "AAAA" not in json.dumps(request.state)


async def test_a_photo_where_no_image_belongs_is_text(product: Product) -> None:
    photo = "data:image/png;base64," + "A" * 5_000
    product.gateway.enqueue(decided({"x": yes()}))
    body = {"model": CLEF, "state": {"photos": [photo]}, "questions": {"x": NOUL}}
    answered = await product.call("POST", "/v1/systemone", body)
    assert answered.status == 200, answered.text
    assert product.gateway.decision_requests[0].state == {"photos": [photo]}
