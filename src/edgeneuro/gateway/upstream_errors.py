"""Maps the errors of upstreams to the classes under errors.UpstreamError: Cloudflare's codes, the
vendors' {"error"} and HTTP statuses. Codes as on the Workers AI "Errors" page and as observed."""

import re
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.domain.query import whole_characters
from edgeneuro.errors import (
    JsonModeUnmetError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)

WORKERS_AI = "Workers AI"
Kind = type[UpstreamError]
JSON_MODE_STREAMS_NOT = "5023"  # no streaming in JSON mode
MODEL_DEPRECATED = "5028"
_CREDENTIALS_REFUSED = frozenset({"2009", "2018"})  # also without HTTP status 401

_BY_CODE: dict[str, Kind] = {
    "3003": UpstreamRejectedError,
    "3006": UpstreamRejectedError,  # request too large
    "3007": UpstreamTimeoutError,
    "3008": UpstreamTimeoutError,
    "3040": UpstreamCapacityError,
    "3036": UpstreamQuotaError,  # the day's free neurons are used up
    "4006": UpstreamQuotaError,
    "2003": UpstreamRateLimitedError,  # AI Gateway's limit
    "2014": UpstreamTimeoutError,
    "2016": UpstreamRejectedError,  # guardrails: the prompt
    "2017": UpstreamRejectedError,  # guardrails: the answer
    "2029": UpstreamRejectedError,  # data loss prevention: the prompt
    "2030": UpstreamRejectedError,  # data loss prevention: the answer
    "7013": UpstreamError,  # guardrails could not be reached
    "2021": UpstreamQuotaError,  # no credits
    "2041": UpstreamQuotaError,  # spend limits
    "2045": UpstreamQuotaError,
    "2001": UpstreamNotConfiguredError,  # no such gateway
    "2008": UpstreamNotConfiguredError,  # no such provider
    "2009": UpstreamNotConfiguredError,  # the credential is refused, the gateway's or the vendor's
    "2018": UpstreamNotConfiguredError,  # in no published table; taken for the same
    "3023": UpstreamNotConfiguredError,  # account blocked
    "3037": UpstreamNotConfiguredError,  # finetune not found
    "3039": UpstreamNotConfiguredError,  # finetune's files are missing
    "3041": UpstreamNotConfiguredError,  # private model
    "3042": UpstreamNotConfiguredError,
    "5004": UpstreamRejectedError,
    "5005": UpstreamNotConfiguredError,  # model without LoRA
    "5006": UpstreamRejectedError,  # the input's fields
    "5007": UpstreamNotConfiguredError,  # no such model
    "5016": UpstreamNotConfiguredError,  # model terms not agreed
    "5018": UpstreamNotConfiguredError,
    "5019": UpstreamNotConfiguredError,  # deprecated SDK
    "5021": UpstreamRejectedError,  # context window
    JSON_MODE_STREAMS_NOT: JsonModeUnmetError,
    "5024": JsonModeUnmetError,
    "5025": JsonModeUnmetError,
    MODEL_DEPRECATED: UpstreamNotConfiguredError,
    "5035": UpstreamNotConfiguredError,  # needs Workers Paid
    # the vendors' codes, in `code` or `type`
    "authentication_error": UpstreamNotConfiguredError,
    "billing_hard_limit_reached": UpstreamQuotaError,
    "billing_not_active": UpstreamQuotaError,
    "content_filter": UpstreamRejectedError,
    "content_policy_violation": UpstreamRejectedError,
    "context_length_exceeded": UpstreamRejectedError,
    "insufficient_quota": UpstreamQuotaError,
    "invalid_api_key": UpstreamNotConfiguredError,
    "json_validate_failed": JsonModeUnmetError,
    "model_not_found": UpstreamNotConfiguredError,
    "not_found_error": UpstreamNotConfiguredError,
    "overloaded_error": UpstreamCapacityError,
    "permission_error": UpstreamNotConfiguredError,
    "rate_limit_error": UpstreamRateLimitedError,
    "rate_limit_exceeded": UpstreamRateLimitedError,
    "timeout_error": UpstreamTimeoutError,
}
_BY_STATUS: dict[int, Kind] = {
    400: UpstreamRejectedError,
    401: UpstreamNotConfiguredError,
    402: UpstreamQuotaError,
    403: UpstreamNotConfiguredError,
    404: UpstreamNotConfiguredError,
    408: UpstreamTimeoutError,
    413: UpstreamRejectedError,
    422: UpstreamRejectedError,
    429: UpstreamRateLimitedError,
    498: UpstreamCapacityError,  # Groq
    504: UpstreamTimeoutError,
    524: UpstreamTimeoutError,
    529: UpstreamCapacityError,  # Anthropic
}
# Less specific than the HTTP status.
_BY_TYPE: dict[str, Kind] = {"invalid_request_error": UpstreamRejectedError}
# An upstream may quote a part of a credential, which must not reach logs or responses.
_CREDENTIAL = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|gsk|pk|rk|xai|key)[-_][\w*.-]{6,}")


def upstream_error(
    status: int, body: str, *, vendor: str = WORKERS_AI, retry_after: str | None = None
) -> UpstreamError:
    """The most specific error for an HTTP response. `retry_after` is in whole seconds."""
    codes, message = _codes_and_message(_parsed(body))
    return _error(vendor, codes, message, status=status, retry_after=retry_after)


def error_within(content: Any, *, vendor: str) -> UpstreamError | None:
    """The error in an event, or in a response with status 200; None if there is none."""
    if not isinstance(content, dict) or not (content.get("error") or content.get("errors")):
        return None
    codes, message = _codes_and_message(content)
    return _error(vendor, codes, message)


def raised_error(text: str, *, vendor: str = WORKERS_AI) -> UpstreamError:
    """The error for an exception of a transport: "<code>: <description>", or a failed
    connection."""
    found = re.match(r"(\d{4}): (.*)", text, re.DOTALL)
    if found is None:
        return UpstreamError(f"{vendor} could not be reached.")
    return _error(vendor, (found[1],), found[2])


def _error(
    vendor: str,
    codes: tuple[str, ...],
    message: str | None,
    *,
    status: int | None = None,
    retry_after: str | None = None,
) -> UpstreamError:
    message = _CREDENTIAL.sub("[secret]", message or "")[:300]
    message = message or (f"HTTP status {status}" if status else "an error without a message")
    if status == 401 or _CREDENTIALS_REFUSED & set(codes):
        message = "the credentials are refused; see the secrets of the provider and of AI Gateway"
    elif MODEL_DEPRECATED in codes:
        message = f"{message.rstrip('.')}. No retry helps: choose another model."
    return _kind(codes, status)(
        f"{vendor}: {message}",
        upstream_code=next(iter(codes), str(status) if status else None),
        headers={"retry-after": retry_after} if retry_after else None,
    )


def _kind(codes: tuple[str, ...], status: int | None) -> Kind:
    known = [_BY_CODE[code] for code in codes if code in _BY_CODE]
    if known:
        return known[0]
    statuses = [status or 0, *(int(code) for code in codes if re.fullmatch(r"[45]\d\d", code))]
    known = [_BY_STATUS[each] for each in statuses if each in _BY_STATUS]
    known += [_BY_TYPE[code] for code in codes if code in _BY_TYPE]
    return known[0] if known else UpstreamError


def _parsed(body: str) -> Any:
    try:
        return bounded_json.loads(body)
    except bounded_json.InvalidJsonError:
        return None


def _codes_and_message(content: Any) -> tuple[tuple[str, ...], str | None]:
    """The codes, the most specific first, and the message, from any of the known formats."""
    match content:
        case {"internalCode": int() as code, "description": str() as text}:
            return (str(code),), text
        case {"errors": [{"code": int() as code, "message": str() as text}, *_]} | {
            "error": [{"code": int() as code, "message": str() as text}, *_]
        }:
            return (str(code),), text
        case {"error": {"message": str() as text, **fields}}:
            given = (fields.get("code"), fields.get("type"))
            codes = (str(each)[:64] for each in given if isinstance(each, str | int))
            return tuple(whole_characters(code) for code in codes), text
        case {"error": str() as text} | {"message": str() as text}:
            return (), text
    return (), None
