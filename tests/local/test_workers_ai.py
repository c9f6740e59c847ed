"""Workers AI's run endpoint: answers, shapes, and the errors of its table."""

from typing import Any

import pytest

from edgeneuro.domain.catalogue import facts_of
from edgeneuro.gateway.cloudflare_api import read_catalogue
from local.catalogue import MODELS, catalogue_entries
from local.errors import AI_ERRORS
from tests.local.emulator import GLM, HELLO, LLAMA, MISTRAL_LORA, NO_JSON_MODE, RUN, Emulator, Json

SCHEMA = {
    "type": "object",
    "properties": {"agent": {"type": "string", "enum": ["it", "hr", "none"]}},
}
JSON_MODE = {"type": "json_schema", "json_schema": SCHEMA}
ROUTER: list[Json] = [
    {"role": "system", "content": "Choose.\n\n- it: IT. VPN, laptops.\n- hr: HR. Leave.\n"},
    {"role": "user", "content": "my vpn is down"},
]


async def test_healthz(emulator: Emulator) -> None:
    answer = await emulator.client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["engine"] == "emulated"


async def test_classic_model_answers_wrapped_text(emulator: Emulator) -> None:
    answer = await emulator.run()
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-local-engine"] == "emulated"
    assert (body["success"], body["errors"], body["messages"]) == (True, [], [])
    result = body["result"]
    assert isinstance(result["response"], str)
    assert result["tool_calls"] == []
    usage = result["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 1
    assert result["metadata"]["engine"] == "emulated"
    assert "not a language model" in result["metadata"]["notice"]


async def test_prompt_will_do_instead_of_messages(emulator: Emulator) -> None:
    answer = await emulator.run({"prompt": "hello"})
    assert (
        answer.json()["result"]["response"] == (await emulator.run()).json()["result"]["response"]
    )


async def test_content_can_come_in_parts_and_text_be_asked_for(emulator: Emulator) -> None:
    """Of the newer models; the classic ones refuse lists."""
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    inputs = {"messages": [{"role": "user", "content": parts}], "response_format": {"type": "text"}}
    said, whole = await emulator.run(inputs, GLM), await emulator.run(HELLO, GLM)
    assert said.json()["result"]["choices"] == whole.json()["result"]["choices"]


async def test_json_mode_answers_a_parsed_object(emulator: Emulator) -> None:
    answer = await emulator.run({"messages": ROUTER, "response_format": JSON_MODE})
    response = answer.json()["result"]["response"]
    assert response["agent"] == "it"
    assert 0 < response["confidence"] < 1


async def test_json_object_mode_answers_a_parsed_object(emulator: Emulator) -> None:
    answer = await emulator.run({**HELLO, "response_format": {"type": "json_object"}})
    assert isinstance(answer.json()["result"]["response"], dict)


async def test_openai_wrapped_schema_is_understood(emulator: Emulator) -> None:
    wrapped = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    answer = await emulator.run({"messages": ROUTER, "response_format": wrapped})
    assert answer.json()["result"]["response"]["agent"] == "it"


async def test_json_cut_by_max_tokens_cannot_be_met(emulator: Emulator) -> None:
    answer = await emulator.run({"messages": ROUTER, "response_format": JSON_MODE, "max_tokens": 2})
    assert answer.json()["errors"][0]["code"] == 5024


async def test_newer_model_answers_in_openai_shape(emulator: Emulator) -> None:
    answer = await emulator.run({"messages": ROUTER, "response_format": JSON_MODE}, GLM)
    result = answer.json()["result"]
    assert "response" not in result
    assert result["object"] == "chat.completion"
    assert result["model"] == GLM
    choice = result["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert '"agent": "it"' in choice["message"]["content"]
    assert result["metadata"]["engine"] == "emulated"


async def test_known_adapter_on_a_lora_model(emulator: Emulator) -> None:
    answer = await emulator.run({**HELLO, "lora": "intent-routing-v1"}, MISTRAL_LORA)
    assert answer.status_code == 200


REFUSED: list[tuple[str, Json, int, int, str]] = [
    ("@cf/no/such-model", HELLO, 400, 5007, "No such model @cf/no/such-model or task"),
    (LLAMA, {**HELLO, "lora": "intent-routing-v1"}, 405, 5005, "does not support LoRA"),
    (MISTRAL_LORA, {**HELLO, "lora": "nobody"}, 400, 3037, "Finetune nobody not found"),
    (NO_JSON_MODE, {**HELLO, "response_format": JSON_MODE}, 400, 5025, "JSON Schema"),
    (MISTRAL_LORA, {**HELLO, "response_format": JSON_MODE}, 400, 5025, "JSON Schema"),
    (LLAMA, {}, 400, 5006, "required properties at '/' are 'prompt'"),
    (LLAMA, {"messages": []}, 400, 5006, "'/messages'"),
    (LLAMA, {"messages": [{"role": "king", "content": "x"}]}, 400, 5006, "'/messages/0'"),
    (LLAMA, {"messages": [{"role": "user", "content": 1}]}, 400, 5006, "'/messages/0/content'"),
    (
        LLAMA,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        400,
        5006,
        "'array' not in 'string'",
    ),
    (LLAMA, {**HELLO, "user": "ada"}, 400, 5006, "'user'"),
    (LLAMA, {**HELLO, "reasoning_effort": "low"}, 400, 5006, "'reasoning_effort'"),
    (GLM, {**HELLO, "store": True}, 400, 5006, "'store'"),
    (LLAMA, {**HELLO, "stream": True, "response_format": JSON_MODE}, 400, 5023, "streaming"),
    (LLAMA, {**HELLO, "seed": 10_000_000_000}, 400, 5006, "'/seed'"),
    (LLAMA, {**HELLO, "max_tokens": "many"}, 400, 5006, "'/max_tokens'"),
    (LLAMA, {**HELLO, "temperature": 9}, 400, 5006, "'/temperature'"),
    (LLAMA, {**HELLO, "seed": 0}, 400, 5006, "'/seed'"),
    (LLAMA, {**HELLO, "response_format": {"type": "xml"}}, 400, 5006, "response_format"),
    (LLAMA, {**HELLO, "response_format": {"type": "json_schema"}}, 400, 5006, "json_schema"),
    (LLAMA, {**HELLO, "stream": "yes"}, 400, 5006, "'/stream'"),
    (LLAMA, {**HELLO, "stream_options": 1}, 400, 5006, "'/stream_options'"),
    (LLAMA, {"messages": [{"role": "assistant", "content": None}]}, 400, 5006, "/content'"),
    (LLAMA, {"prompt": "x" * 400_000}, 413, 5021, "context window limit (60000)"),
]


@pytest.mark.parametrize(("model", "inputs", "status", "code", "words"), REFUSED)
async def test_refusals(
    emulator: Emulator, model: str, inputs: Json, status: int, code: int, words: str
) -> None:
    answer = await emulator.run(inputs, model)
    body = answer.json()
    assert answer.status_code == status
    assert (body["success"], body["result"], body["messages"]) == (False, {}, [])
    assert body["errors"][0]["code"] == code
    assert words in body["errors"][0]["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
async def test_body_that_is_no_json(emulator: Emulator, content: bytes) -> None:
    answer = await emulator.client.post(f"{RUN}/{LLAMA}", content=content)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == 3003


@pytest.mark.parametrize("inputs", [[], "text", None])
async def test_inputs_that_are_no_object(emulator: Emulator, inputs: Any) -> None:
    answer = await emulator.client.post(f"{RUN}/{LLAMA}", json=inputs)
    assert answer.json()["errors"][0]["code"] in (3003, 5006)
    assert answer.status_code == 400


async def test_inference_errors_carry_the_services_prefix_and_a_request_id(
    emulator: Emulator,
) -> None:
    await emulator.fault(kind="error", code=3040)
    message = (await emulator.run()).json()["errors"][0]["message"]
    assert message.startswith("AiError: AiError: Capacity temporarily exceeded")
    assert message.endswith(")")


async def test_rest_chat_completions(emulator: Emulator) -> None:
    url = "/client/v4/accounts/acc/ai/v1/chat/completions"
    answer = await emulator.client.post(url, json={"model": LLAMA, **HELLO})
    assert answer.json()["object"] == "chat.completion"


def test_every_error_has_a_status_and_words() -> None:
    for code, (status, words) in AI_ERRORS.items():
        assert 2000 <= code < 6000
        assert 400 <= status < 600
        assert words


def test_the_catalogue_has_the_prices_of_the_built_in_table() -> None:
    listed = {each.id: each for each in read_catalogue(catalogue_entries(MODELS.values()))}
    prices = {
        name: (each.input_price, each.output_price)
        for name, each in listed.items()
        if facts_of(name).input_price is not None
    }
    assert len(prices) >= 12
    # Workers AI lists no price for the output of decision models.
    assert prices == {
        name: (facts_of(name).input_price, facts_of(name).output_price or None) for name in prices
    }
