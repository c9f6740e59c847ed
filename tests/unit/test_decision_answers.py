"""What decision models answer, and the faults of their answers, in both wire formats."""

import json
from typing import Any

import pytest

from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.question import (
    Choice,
    ChoiceAnswer,
    Level,
    Question,
    Refusal,
    Score,
    ScoreAnswer,
    YesNo,
    YesNoAnswer,
)
from edgeneuro.errors import (
    InvalidOutputError,
    StaleAnswerError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.client import build_gateway
from edgeneuro.gateway.decisions.wire import read_decision
from edgeneuro.gateway.interface import DecisionAnswer
from edgeneuro_testing.fetch import ScriptedFetch, ScriptedResponse
from tests.unit.test_decision_requests import answering, client, request
from tests.unit.test_gateway_https import provider
from tests.unit.ways import NOW, SETTINGS

AGENT = Choice("Which agent?", {"it": None, "hr": None, "none": None})
SURE = YesNo("Is it clear?")
MOOD = Score("How angry?", (Level("calm"), Level("cross"), Level("5", "shouts")))
ALL: dict[str, Question] = {"agent": AGENT, "sure": SURE, "mood": MOOD}
NO_SECRETS: dict[str, str] = {}
FORMATS = ["systemone", "openai"]


def read(body: Any, questions: dict[str, Question], *, format: str) -> DecisionAnswer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = request(questions=questions, provider=provider(format, "https://llm.example/v1"))
    return read_decision(text, asked, GatewayTrace(log_id="log_1"), vendor="Vendor")


def answer_in(format: str, id: str, given: dict[str, Any]) -> dict[str, Any]:
    if format == "systemone":
        return {"answers": {id: given}}
    return {"answers": [{"name": id, **given}]}


def choice(format: str, probabilities: Any, **fields: Any) -> dict[str, Any]:
    """An answer to AGENT. `probabilities` as System One has them, or something else."""
    if format == "openai" and isinstance(probabilities, dict):
        probabilities = [
            {"value": name, "probability": value} for name, value in probabilities.items()
        ]
    given = {"type": "choice", "choice": "it", "confidence": 0.9, "probabilities": probabilities}
    return answer_in(format, "agent", given | fields)


def chosen(format: str, probabilities: Any) -> ChoiceAnswer:
    answer = read(choice(format, probabilities), {"agent": AGENT}, format=format)
    found = answer.answers["agent"]
    assert isinstance(found, ChoiceAnswer)
    return found


def fails(body: Any, questions: dict[str, Question], *, format: str, match: str) -> None:
    with pytest.raises(InvalidOutputError, match=match):
        read(body, questions, format=format)


def test_all_types_in_system_one() -> None:
    body = {
        "model": "clef",
        "answers": {
            "sure": {"type": "noul", "noul": 0.25},
            "agent": {
                "type": "choice",
                "choice": "hr",
                "probabilities": {"it": 0.1, "hr": 0.7, "none": 0.2},
                "confidence": 0.6,
            },
            "mood": {
                "type": "score",
                "score": 1.5,
                "legend": {"0": "calm", "1": "cross", "2": "5: shouts"},
                "probabilities": {"0": 0.0, "1": 0.5, "2": 0.5},
                "confidence": 0.3,
            },
        },
        "usage": {"input_tokens": 7},
        "metadata": {"engine": "transformers"},
    }
    answer = read(body, ALL, format="systemone")
    assert answer == DecisionAnswer(
        answers={
            "agent": ChoiceAnswer("hr", {"it": 0.1, "hr": 0.7, "none": 0.2}),
            "sure": YesNoAnswer(0.25),
            "mood": ScoreAnswer(1.5, (0.0, 0.5, 0.5)),
        },
        usage=Usage(prompt_tokens=7, completion_tokens=0, total_tokens=7),
        trace=GatewayTrace(log_id="log_1"),
        engine="transformers",
    )


def test_all_types_in_openais_format() -> None:
    shares = [("calm", 0, 0.0), ("cross", 1, 0.5), ("5", 2, 0.5)]
    body = {
        "model": "gpt-6-luna",
        "answers": [
            {
                "type": "choice",
                "name": "agent",
                "choice": "hr",
                "confidence": 0.6,
                "probabilities": [
                    {"value": "hr", "probability": 0.7},
                    {"value": "it", "probability": 0.1},
                    {"value": "none", "probability": 0.2},
                ],
            },
            {"type": "predicate", "name": "sure", "probability": 0.25},
            {
                "type": "score",
                "name": "mood",
                "score": 1.5,
                "confidence": 0.3,
                "probabilities": [
                    {"label": label, "value": value, "probability": p} for label, value, p in shares
                ],
            },
        ],
        "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
    }
    answer = read(body, ALL, format="openai")
    assert answer.answers == {
        "agent": ChoiceAnswer("hr", {"it": 0.1, "hr": 0.7, "none": 0.2}),
        "sure": YesNoAnswer(0.25),
        "mood": ScoreAnswer(1.5, (0.0, 0.5, 0.5)),
    }
    assert answer.usage == Usage(prompt_tokens=7, completion_tokens=2, total_tokens=9)
    assert answer.engine is None


@pytest.mark.parametrize("format", FORMATS)
def test_an_option_that_was_not_offered_is_dropped(format: str) -> None:
    found = chosen(format, {"it": 0.57, "hr": 0.38, "ceo": 0.05})
    assert found.choice == "it"
    assert found.probabilities == pytest.approx({"it": 0.6, "hr": 0.4, "none": 0.0})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("value", [0.0, 0.05])
def test_an_option_that_is_left_out_counts_nothing(format: str, value: float) -> None:
    found = chosen(format, {"it": 1.0 - value, "hr": value})
    assert found.probabilities["none"] == 0


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("total", [0.9, 0.98, 1.02, 1.1])
def test_sums_near_one_are_normalised(format: str, total: float) -> None:
    found = chosen(format, {"it": 0.75 * total, "hr": 0.25 * total})
    assert found.probabilities == pytest.approx({"it": 0.75, "hr": 0.25, "none": 0})
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "probabilities",
    [
        {"it": 0.5, "hr": 0.39},
        {"it": 0.7, "hr": 0.41},
        {"it": 0.0, "hr": 0.0},
        {"it": 0.8, "ceo": 0.2},
        {},
    ],
)
def test_sums_that_are_no_distribution(format: str, probabilities: dict[str, float]) -> None:
    body = choice(format, probabilities)
    fails(body, {"agent": AGENT}, format=format, match=r"sum to \d\.\d{3}, not to 1")


@pytest.mark.parametrize("format", FORMATS)
def test_the_choice_is_the_most_probable_offered_option(format: str) -> None:
    """The models' own `choice` is "it"."""
    assert chosen(format, {"it": 0.2, "hr": 0.8}).choice == "hr"
    assert chosen(format, {"none": 0.5, "hr": 0.5}).choice == "hr"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "value",
    [True, "0.5", None, -0.01, 1.0002, 10**400, [0.5], {"p": 0.5}],
    ids=["boolean", "text", "null", "negative", "above", "huge", "list", "object"],
)
def test_what_is_no_probability(format: str, value: Any) -> None:
    message = "no probability|number that is too long"
    fails(choice(format, {"it": value, "hr": 1}), {"agent": AGENT}, format=format, match=message)
    field = {"systemone": "noul", "openai": "probability"}[format]
    kind = {"systemone": "noul", "openai": "predicate"}[format]
    body = answer_in(format, "sure", {"type": kind, field: value})
    fails(body, {"sure": SURE}, format=format, match=message)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have(format: str, constant: str) -> None:
    text = json.dumps(choice(format, {"it": "HERE", "hr": 1})).replace('"HERE"', constant)
    fails(text.encode(), {"agent": AGENT}, format=format, match="no number|no probability")


@pytest.mark.parametrize("format", FORMATS)
def test_nan_for_an_option_that_was_not_offered(format: str) -> None:
    text = json.dumps(choice(format, {"it": 1, "ceo": "HERE"})).replace('"HERE"', "1e999")
    fails(text.encode(), {"agent": AGENT}, format=format, match="no probability")


@pytest.mark.parametrize("format", FORMATS)
def test_a_certain_answer_may_be_rounded_up(format: str) -> None:
    assert chosen(format, {"it": 1.0001}).probabilities["it"] == 1
    assert chosen(format, {"it": 1}).probabilities["it"] == 1


@pytest.mark.parametrize("format", FORMATS)
def test_a_question_without_an_answer_is_left_out(format: str) -> None:
    body = choice(format, {"it": 1.0})
    assert list(read(body, ALL, format=format).answers) == ["agent"]


def test_a_null_is_no_answer() -> None:
    body = choice("systemone", {"it": 1.0})
    body["answers"]["sure"] = None
    assert list(read(body, ALL, format="systemone").answers) == ["agent"]


@pytest.mark.parametrize("format", FORMATS)
def test_an_answer_to_a_question_not_asked_is_ignored(format: str) -> None:
    body = choice(format, {"it": 1.0})
    other = {"type": "noul", "noul": "?"}
    if format == "systemone":
        body["answers"]["other"] = other
    else:
        body["answers"].insert(0, {"name": "other", **other})
    assert list(read(body, {"agent": AGENT}, format=format).answers) == ["agent"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_refusal(format: str) -> None:
    body = answer_in(format, "agent", {"type": "refusal"})
    assert read(body, ALL, format=format).answers == {"agent": Refusal()}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("type", ["score", "noul", "predicate", "", 7, None, ["choice"]])
def test_an_answer_of_another_type(format: str, type: Any) -> None:
    body = choice(format, {"it": 1.0}, type=type)
    fails(body, {"agent": AGENT}, format=format, match="not of its question's type")


@pytest.mark.parametrize("format", FORMATS)
def test_an_answer_without_a_type_has_that_of_its_question(format: str) -> None:
    body = answer_in(format, "agent", {"probabilities": {"it": 1.0}})
    assert isinstance(read(body, ALL, format=format).answers["agent"], ChoiceAnswer)


@pytest.mark.parametrize("format", FORMATS)
def test_no_answer_at_all(format: str) -> None:
    empty: Any = {} if format == "systemone" else []
    match = "answered none of the questions"
    fails({"answers": empty}, ALL, format=format, match=match)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "body",
    [{}, [], None, "text", 7, {"answers": None}, {"answers": "it"}, {"choices": []},
     {"success": True, "result": None}, {"success": False, "errors": []}],
)  # fmt: skip
def test_another_shape(format: str, body: Any) -> None:
    fails(body, ALL, format=format, match="shape that is not known")


def test_each_format_has_its_own_container() -> None:
    fails(choice("openai", {"it": 1}), ALL, format="systemone", match="shape that is not known")
    fails(choice("systemone", {"it": 1}), ALL, format="openai", match="shape that is not known")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("given", ["it", 0.5, [], True])
def test_an_answer_that_is_no_object(format: str, given: Any) -> None:
    body = {"answers": {"agent": given}} if format == "systemone" else {"answers": [given]}
    fails(body, {"agent": AGENT}, format=format, match="not an object")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("probabilities", [None, "it", 0.9, [0.9], [{"value": "it"}], [None]])
def test_probabilities_of_another_shape(format: str, probabilities: Any) -> None:
    body = choice(format, probabilities)
    fails(body, {"agent": AGENT}, format=format, match="no probabilities|no known shape")


@pytest.mark.parametrize("format", FORMATS)
def test_probabilities_may_come_in_the_other_formats_shape(format: str) -> None:
    listed = [{"value": "it", "probability": 0.4}, {"value": "hr", "probability": 0.6}]
    assert chosen(format, listed).choice == "hr"
    body = answer_in(format, "agent", {"probabilities": {"it": 0.4, "hr": 0.6}})
    assert read(body, {"agent": AGENT}, format=format).answers["agent"] == ChoiceAnswer(
        "hr", {"it": 0.4, "hr": 0.6, "none": 0.0}
    )


def test_an_option_twice() -> None:
    twice = [{"value": "it", "probability": 0.5}, {"value": "it", "probability": 0.5}]
    fails(choice("openai", twice), {"agent": AGENT}, format="openai", match="two probabilities")


@pytest.mark.parametrize("value", [True, None, 0, ["it"]])
def test_a_value_that_is_no_text_was_not_offered(value: Any) -> None:
    listed = [{"value": value, "probability": 0.04}, {"value": "it", "probability": 0.96}]
    assert chosen("openai", listed).probabilities == {"it": 1, "hr": 0, "none": 0}


def test_options_that_are_numbers() -> None:
    numbers = Choice("How many?", {"1": None, "0": None})
    given = {"type": "choice", "probabilities": {"0": 0.1, "1": 0.9}}
    answer = read({"answers": {"n": given}}, {"n": numbers}, format="systemone")
    assert answer.answers["n"] == ChoiceAnswer("1", {"1": 0.9, "0": 0.1})


@pytest.mark.parametrize(
    "probabilities",
    [
        {"0": 0.2, "1": 0.3, "2": 0.5},
        {"calm": 0.2, "cross": 0.3, "5": 0.5},
        {"calm": 0.2, "cross": 0.3, "5: shouts": 0.5},
        [
            {"label": "5", "value": 3, "probability": 0.5},
            {"label": "cross", "value": 2, "probability": 0.3},
            {"label": "calm", "value": 1, "probability": 0.2},
        ],
    ],
)
@pytest.mark.parametrize("format", FORMATS)
def test_levels_by_number_or_label(format: str, probabilities: Any) -> None:
    given = {"type": "score", "score": 99, "probabilities": probabilities}
    found = read(answer_in(format, "mood", given), {"mood": MOOD}, format=format).answers["mood"]
    assert isinstance(found, ScoreAnswer)
    assert found.probabilities == (0.2, 0.3, 0.5)
    assert found.score == pytest.approx(1.3)


def test_openais_answers_without_names_are_in_the_order_of_the_questions() -> None:
    given = [
        {"type": "choice", "name": None, "probabilities": {"hr": 1.0}},
        {"type": "predicate", "probability": 0.1},
        {"type": "score", "probabilities": {"0": 1.0}},
    ]
    answers = read({"answers": given}, ALL, format="openai").answers
    assert answers["sure"] == YesNoAnswer(0.1)
    fails({"answers": given[:2]}, ALL, format="openai", match="does not name its question")
    fails({"answers": given[::-1]}, ALL, format="openai", match="not of its question's type")


def test_openais_answers_by_name_in_another_order() -> None:
    questions: dict[str, Question] = {"a": SURE, "b": SURE}
    given = [
        {"type": "predicate", "name": "b", "probability": 0.2},
        {"type": "predicate", "name": "a", "probability": 0.1},
    ]
    answers = read({"answers": given}, questions, format="openai").answers
    assert answers == {"a": YesNoAnswer(0.1), "b": YesNoAnswer(0.2)}


def test_one_question_answered_twice() -> None:
    given = [{"type": "predicate", "name": "sure", "probability": 0.2}] * 2
    fails({"answers": given}, {"sure": SURE}, format="openai", match="one question twice")


@pytest.mark.parametrize("name", [7, ["sure"], {"a": 1}, "nobody"])
def test_a_name_that_is_none_of_the_questions(name: Any) -> None:
    given = [{"type": "predicate", "name": name, "probability": 0.2}]
    fails({"answers": given}, {"sure": SURE}, format="openai", match="none of the questions")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "cut", [b"", b'{"answers": {"agent"', b"<html>", b"\xff\xfe", b"[" * 9_000]
)
def test_a_text_that_is_no_json(format: str, cut: bytes) -> None:
    fails(cut, ALL, format=format, match="is not JSON|is not UTF-8|is nested")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "busy", "code": "overloaded_error"}}, UpstreamCapacityError),
        ({"success": False, "errors": [{"code": 5006, "message": "bad"}]}, UpstreamRejectedError),
        ({"internalCode": 3040, "description": "busy", "error": "x"}, UpstreamCapacityError),
    ],
)
def test_an_error_within_a_200(format: str, body: Any, expected: type[UpstreamError]) -> None:
    with pytest.raises(expected):
        read(body, ALL, format=format)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"input_tokens": 3, "output_tokens": 1}, (3, 1)),
        ({"input_tokens": 3}, (3, 0)),
        ({"prompt_tokens": 3, "completion_tokens": 1}, (3, 1)),
        ({"input_tokens": "3", "output_tokens": -1}, (0, 0)),
        ({}, (0, 0)),
        (None, (0, 0)),
        ([3], (0, 0)),
    ],
)
def test_usage_in_either_naming(given: Any, expected: tuple[int, int]) -> None:
    body = choice("systemone", {"it": 1.0}) | {"usage": given}
    usage = read(body, ALL, format="systemone").usage
    assert (usage.prompt_tokens, usage.completion_tokens) == expected
    assert usage.total_tokens == sum(expected)


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (401, {"errors": [{"code": 2009, "message": "x"}]}, UpstreamNotConfiguredError, "2009"),
        (401, {"error": {"message": "x"}}, UpstreamNotConfiguredError, "401"),
        (429, {"errors": [{"code": 3040, "message": "x"}]}, UpstreamCapacityError, "3040"),
        (429, {"errors": [{"code": 3036, "message": "x"}]}, UpstreamQuotaError, "3036"),
        (429, {"error": {"message": "x"}}, UpstreamRateLimitedError, "429"),
        (410, {"internalCode": 5028, "description": "x"}, UpstreamNotConfiguredError, "5028"),
        (503, "<html>", UpstreamError, "503"),
        (400, {"errors": [{"code": 5006, "message": "x"}]}, UpstreamRejectedError, "5006"),
        (400, {"errors": [{"code": 5007, "message": "x"}]}, UpstreamNotConfiguredError, "5007"),
        (404, {"detail": "Not Found"}, UpstreamNotConfiguredError, "404"),
        (504, "", UpstreamTimeoutError, "504"),
    ],
)
async def test_errors_of_the_upstream(
    status: int, body: Any, expected: type[UpstreamError], code: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"retry-after": "7"}
    fetch = ScriptedFetch(ScriptedResponse(status, [text.encode()], headers))
    with pytest.raises(UpstreamError) as caught:
        await client(fetch).decide(request())
    error = caught.value
    assert (type(error), error.upstream_code) == (expected, code)
    assert error.retry_after_seconds == 7


async def test_an_answer_that_breaks_off() -> None:
    fetch = ScriptedFetch(ScriptedResponse(parts=[b'{"answers": {', OSError("reset")]))
    with pytest.raises(UpstreamError, match="could not be reached"):
        await client(fetch).decide(request())


async def test_an_upstream_that_does_not_answer() -> None:
    with pytest.raises(UpstreamTimeoutError):
        await client(ScriptedFetch(None)).decide(request(timeout_ms=1))
    silent = ScriptedFetch(ScriptedResponse(parts=[b"{", None]))
    with pytest.raises(UpstreamTimeoutError):
        await client(silent).decide(request(timeout_ms=1))
    assert silent.stopped == 1


async def test_an_answer_that_is_too_large() -> None:
    fetch = ScriptedFetch(ScriptedResponse(parts=[b" " * 1_000_000] * 5))
    with pytest.raises(InvalidOutputError, match="too large"):
        await client(fetch).decide(request())
    assert fetch.stopped == 1


async def test_the_trace_of_ai_gateway() -> None:
    body = json.dumps(choice("systemone", {"it": 1.0})).encode()
    headers = {"cf-aig-log-id": "log_1", "cf-aig-cache-status": "HIT"}
    fetch = ScriptedFetch(ScriptedResponse(200, [body], headers))
    answer = await client(fetch).decide(request(questions={"agent": AGENT}))
    assert answer.trace == GatewayTrace(log_id="log_1", cache_status="HIT")


@pytest.mark.parametrize(("status", "stale"), [("HIT", True), ("MISS", False)])
async def test_an_answer_of_the_cache_that_cannot_be_read(status: str, stale: bool) -> None:
    headers = {"cf-aig-cache-status": status}
    fetch = ScriptedFetch(ScriptedResponse(200, [b'{"answers": 7}'], headers))
    with pytest.raises(InvalidOutputError) as caught:
        await client(fetch).decide(request())
    assert isinstance(caught.value, StaleAnswerError) is stale
    assert caught.value.may_have_generated is not stale


async def test_without_a_token_no_request_is_made() -> None:
    fetch = answering({})
    gateway = build_gateway(
        SETTINGS, binding=None, fetch=fetch, secret=NO_SECRETS.get, now=lambda: NOW
    )
    with pytest.raises(UpstreamNotConfiguredError, match="no AI binding"):
        await gateway.decide(request())
    assert fetch.requests == []
