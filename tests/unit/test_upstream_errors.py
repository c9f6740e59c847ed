"""What upstreams say when they fail, in our words."""

import json
from typing import Any

import pytest

from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.errors import (
    InvalidOutputError,
    JsonModeUnmetError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.answers import read_answer, read_usage
from edgeneuro.gateway.http import read_retry_after
from edgeneuro.gateway.upstream_errors import error_within, raised_error, upstream_error
from tests.unit.upstreams import FakeResponse


def vendor(message: str, type: str | None = None, code: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (429, {"internalCode": 3040, "description": "busy"}, UpstreamCapacityError, "3040"),
        (429, {"internalCode": 3036, "description": "quota"}, UpstreamQuotaError, "3036"),
        (408, {"errors": [{"code": 3007, "message": "slow"}]}, UpstreamTimeoutError, "3007"),
        (429, {"error": [{"code": 2003, "message": "limit"}]}, UpstreamRateLimitedError, "2003"),
        (424, {"error": [{"code": 2016, "message": "guard"}]}, UpstreamRejectedError, "2016"),
        (424, {"error": [{"code": 2017, "message": "guard"}]}, UpstreamRejectedError, "2017"),
        (405, {"errors": [{"code": 5005, "message": "x"}]}, UpstreamNotConfiguredError, "5005"),
        (400, {"internalCode": 5025, "description": "x"}, JsonModeUnmetError, "5025"),
        (400, {"internalCode": 5006, "description": "x"}, UpstreamRejectedError, "5006"),
        (410, {"internalCode": 5028, "description": "x"}, UpstreamNotConfiguredError, "5028"),
        (400, {"internalCode": 5023, "description": "x"}, JsonModeUnmetError, "5023"),
        (405, {"internalCode": 5019, "description": "x"}, UpstreamNotConfiguredError, "5019"),
        (401, {"errors": [{"code": 2009, "message": "x"}]}, UpstreamNotConfiguredError, "2009"),
        (503, {"errors": [{"code": 2009, "message": "x"}]}, UpstreamNotConfiguredError, "2009"),
        (400, {"error": [{"code": 2018, "message": "x"}]}, UpstreamNotConfiguredError, "2018"),
        (424, {"error": [{"code": 2029, "message": "DLP"}]}, UpstreamRejectedError, "2029"),
        (503, {"error": [{"code": 7013, "message": "guard"}]}, UpstreamError, "7013"),
        (429, "too many", UpstreamRateLimitedError, "429"),
        (302, "", UpstreamError, "302"),
        (504, "", UpstreamTimeoutError, "504"),
        (529, "", UpstreamCapacityError, "529"),
        (503, {"errors": "?"}, UpstreamError, "503"),
        (500, "[" * 10_000, UpstreamError, "500"),
        (401, vendor("no", None, "invalid_api_key"), UpstreamNotConfiguredError, "invalid_api_key"),
        (403, vendor("no", "invalid_request_error"), UpstreamNotConfiguredError,
         "invalid_request_error"),
        (404, vendor("no", "invalid_request_error", "model_not_found"),
         UpstreamNotConfiguredError, "model_not_found"),
        (400, vendor("no", "invalid_request_error", "context_length_exceeded"),
         UpstreamRejectedError, "context_length_exceeded"),
        (429, vendor("no", "insufficient_quota", "insufficient_quota"), UpstreamQuotaError,
         "insufficient_quota"),
        (429, vendor("no", "rate_limit_error"), UpstreamRateLimitedError, "rate_limit_error"),
        (402, vendor("no"), UpstreamQuotaError, "402"),
        (400, vendor("no", None, "json_validate_failed"), JsonModeUnmetError,
         "json_validate_failed"),
        (500, vendor("no", "overloaded_error"), UpstreamCapacityError, "overloaded_error"),
    ],
)  # fmt: skip
def test_errors_are_mapped(
    status: int, body: Any, expected: type[UpstreamError], code: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    error = upstream_error(status, text, retry_after="7")
    assert (type(error), error.upstream_code) == (expected, code)
    assert error.headers == {"retry-after": "7"}


def test_a_refused_credential_is_not_the_callers_fault() -> None:
    error = upstream_error(401, json.dumps(vendor("Incorrect API key: abcdef123")), vendor="X")
    assert error.status == 502
    assert "abcdef123" not in error.message


def test_a_deprecated_model_has_a_clear_message() -> None:
    shown = {"internalCode": 5028, "description": "This model was deprecated on 2026-05-30."}
    assert upstream_error(410, json.dumps(shown)).message == (
        "Workers AI: This model was deprecated on 2026-05-30. No retry helps: choose another model."
    )


@pytest.mark.parametrize("code", [2009, 2018])
def test_refused_credentials_are_named_whatever_the_status(code: int) -> None:
    error = raised_error(f"{code}: Bad token abcdef123")
    assert error.status == 502
    assert "credentials are refused" in error.message
    assert "abcdef123" not in error.message


@pytest.mark.parametrize("text", ["sent sk-proj-abc123def", "Authorization: Bearer abc.def"])
def test_a_quoted_credential_is_hidden(text: str) -> None:
    message = upstream_error(400, json.dumps(vendor(f"{text} is odd"))).message
    assert "[secret]" in message
    assert "abc" not in message


def test_an_error_under_another_name() -> None:
    within = error_within(vendor("late", None, 429), vendor="X")
    assert type(within) is UpstreamRateLimitedError
    assert type(error_within(vendor("x", "invalid_request_error"), vendor="X")) is (
        UpstreamRejectedError
    )
    fine: list[Any] = [{}, [], None, {"error": None, "response": "x"}]
    assert [error_within(content, vendor="X") for content in fine] == [None] * 4


def test_exceptions_of_a_transport() -> None:
    assert isinstance(raised_error("3008: aborted"), UpstreamTimeoutError)
    assert type(raised_error("InferenceUpstreamError")) is UpstreamError


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, "7"),
        ({"retry-after": "0.2"}, "1"),
        ({"retry-after-ms": "1500", "retry-after": "9"}, "2"),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, "30"),
        ({"retry-after": "Wed, 21 Oct 2020 07:28:00 GMT"}, "0"),
        ({"retry-after": "Wednesday, 21-Oct-26 07:28:30 GMT"}, "30"),
        ({"retry-after": "Wed Oct 21 07:28:30 2026"}, "30"),
        ({"retry-after": f"Wed, 21 Oct {'9' * 20} 07:28:30 GMT"}, None),
        ({"retry-after": f"Wed, 21 Oct 2026 07:28:30 +{'9' * 20}"}, None),
        ({"retry-after": "soon\r\nx: y"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e300"}, "86400"),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: str | None) -> None:
    now = 1_792_567_680.0  # Wed, 21 Oct 2026 07:28:00 GMT
    assert read_retry_after(FakeResponse(429, b"", headers), lambda: now) == seconds


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
NATIVE_CALL = {"id": "c1", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("output", "content", "calls", "finish_reason"),
    [
        ({"response": "text"}, "text", (), "stop"),
        ({"response": ""}, "", (), "stop"),
        ({"success": True, "result": {"response": "text"}}, "text", (), "stop"),
        ({"response": {"agent": "hr"}}, {"agent": "hr"}, (), "stop"),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "end"}]}, "x", (), "end"),
        ({"choices": [{"message": {"content": None, "refusal": "no"}}]}, "no", (), "stop"),
        ({"choices": [{"message": {"content": None, "tool_calls": [CALL]}}]}, None, (CALL,),
         "tool_calls"),
        ({"response": "", "tool_calls": [NATIVE_CALL]}, "", (CALL,), "tool_calls"),
    ],
)  # fmt: skip
def test_both_output_formats(output: Any, content: Any, calls: Any, finish_reason: str) -> None:
    answer = read_answer(json.dumps(output).encode(), GatewayTrace(), vendor="X")
    assert (answer.content, answer.tool_calls, answer.finish_reason) == (
        content,
        calls,
        finish_reason,
    )


@pytest.mark.parametrize(
    "output",
    [
        None,
        {},
        {"response": 7},
        {"response": None},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": {"content": None}}]},
        {"response": "", "tool_calls": ["?"]},
    ],
)
def test_other_formats_are_no_answer(output: Any) -> None:
    with pytest.raises(InvalidOutputError):
        read_answer(json.dumps(output).encode(), GatewayTrace(), vendor="X")


def test_usage_is_optional_and_never_trusted() -> None:
    assert read_usage({}) is None
    assert read_usage([]) is None
    assert read_usage({"usage": {"prompt_tokens": "many", "completion_tokens": -1}}) == Usage()
