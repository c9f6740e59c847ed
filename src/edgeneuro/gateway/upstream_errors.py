"""Cloudflare's errors in our words: Workers AI's and AI Gateway's codes and HTTP statuses to the
classes under errors.UpstreamError. Codes as on the Workers AI "Errors" page and as seen live."""

import json
import re

from edgeneuro.errors import (
    JsonModeUnmetError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)

_BY_CODE: dict[str, type[UpstreamError]] = {
    "3007": UpstreamTimeoutError,
    "3008": UpstreamTimeoutError,
    "3040": UpstreamCapacityError,
    "3036": UpstreamQuotaError,  # the day's free neurons are used up
    "4006": UpstreamQuotaError,
    "2003": UpstreamRateLimitedError,  # AI Gateway's limit
    "2021": UpstreamQuotaError,  # no credits
    "2041": UpstreamQuotaError,  # spend limits
    "2045": UpstreamQuotaError,
    "2001": UpstreamNotConfiguredError,  # no such gateway
    "2009": UpstreamNotConfiguredError,  # the gateway's credential is refused
    "3023": UpstreamNotConfiguredError,  # account blocked
    "3037": UpstreamNotConfiguredError,  # finetune not found
    "3039": UpstreamNotConfiguredError,  # finetune's files are missing
    "3041": UpstreamNotConfiguredError,  # private model
    "3042": UpstreamNotConfiguredError,
    "5005": UpstreamNotConfiguredError,  # model without LoRA
    "5007": UpstreamNotConfiguredError,  # no such model
    "5016": UpstreamNotConfiguredError,  # model terms not agreed
    "5018": UpstreamNotConfiguredError,
    "5035": UpstreamNotConfiguredError,  # needs Workers Paid
    "5024": JsonModeUnmetError,
    "5025": JsonModeUnmetError,
}
_BY_STATUS: dict[int, type[UpstreamError]] = {
    408: UpstreamTimeoutError,
    429: UpstreamRateLimitedError,
    504: UpstreamTimeoutError,
    524: UpstreamTimeoutError,
}


def upstream_error(status: int, body: str, *, retry_after: str | None = None) -> UpstreamError:
    """The error that an HTTP answer of Cloudflare's stands for, the most specific one known."""
    code, message = _code_and_message(body)
    kind = _BY_CODE.get(code or "") or _BY_STATUS.get(status, UpstreamError)
    headers = {"retry-after": retry_after} if retry_after and retry_after.isdigit() else None
    return kind(
        f"Workers AI: {message or f'HTTP status {status}'}",
        upstream_code=code or str(status),
        headers=headers,
    )


def raised_error(text: str) -> UpstreamError:
    """The error for what the binding threw: "<code>: <description>", or a failed connection."""
    found = re.match(r"(\d{4}): (.*)", text, re.DOTALL)
    if found is None:
        return UpstreamError("Workers AI could not be reached.")
    code, description = found.groups()
    kind = _BY_CODE.get(code, UpstreamError)
    return kind(f"Workers AI: {_short(description)}", upstream_code=code)


def _code_and_message(body: str) -> tuple[str | None, str | None]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    match parsed:
        case {"internalCode": int() as code, "description": str() as text}:
            return str(code), _short(text)
        case {"errors": [{"code": int() as code, "message": str() as text}, *_]} | {
            "error": [{"code": int() as code, "message": str() as text}, *_]
        }:
            return str(code), _short(text)
    return None, None


def _short(text: str) -> str:
    return text[:300]
