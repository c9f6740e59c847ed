"""The failures of Workers AI and AI Gateway: code, HTTP status, words, and their JSON shapes.

Codes and statuses follow Cloudflare's table of Workers AI errors; those marked (seen) are not in
it but have been reported from the live service, those marked (assumed) are assumptions.
"""

from __future__ import annotations

from typing import Any

AI_ERRORS: dict[int, tuple[int, str]] = {
    2009: (401, "Unauthorized"),  # (seen): the provider's credential is refused
    3003: (400, "Request headers or body are missing"),
    3006: (413, "Request is too large"),
    3007: (408, "Request timeout"),
    3008: (408, "Request was aborted"),
    3023: (403, "Account is blocked"),
    3036: (429, "You have used up your daily free allocation of 10,000 neurons"),
    3037: (400, "Finetune not found"),  # (seen), status assumed
    3039: (400, "Finetune is missing required files"),
    3040: (429, "Capacity temporarily exceeded, please try again."),
    3041: (403, "Account is not allowed to access this private model"),
    3042: (404, "Invalid model ID"),
    3043: (500, "Internal server error"),  # (seen)
    # (seen): beside 3036
    4006: (429, "you have used up your daily free allocation of 10,000 neurons"),
    5004: (400, "Invalid data type for base64 input"),
    5005: (405, "The model does not support LoRA"),
    5006: (400, "Bad input"),  # (seen)
    5007: (400, "No such model or task"),
    5012: (422, "validation_error"),  # (seen): a Clef model refuses an input that fits its schema
    5016: (403, "Model agreement: submit the prompt 'agree' before using this model"),
    5018: (403, "Account is not allowed to access this model"),
    5019: (405, "Request is using a deprecated SDK version"),
    5021: (413, "The context window of this model is exceeded"),  # (seen)
    5023: (400, "JSON Mode doesn't support streaming"),  # (seen), status assumed
    5024: (400, "JSON Mode couldn't be met"),  # (seen), status assumed
    5025: (400, "This model doesn't support JSON Schema"),  # (seen), status assumed
    # (seen), status assumed
    5028: (410, "This model was deprecated on 2026-05-30. Please use an alternative model"),
    5035: (403, "This model requires the Workers Paid plan"),
}

GATEWAY_ERRORS: dict[int, tuple[int, str]] = {
    2003: (429, "Rate limited"),
    2008: (400, "Invalid provider"),
    2010: (400, "Invalid request"),  # (assumed): no public code for a bad universal request
    2014: (408, "Request timeout"),  # (assumed): no public code for cf-aig-request-timeout
}

# What OpenAI calls the same failure: type and code.
_VENDOR_WORDS: dict[int, tuple[str, str | None]] = {
    2009: ("invalid_request_error", "invalid_api_key"),
    3036: ("insufficient_quota", "insufficient_quota"),
    3040: ("rate_limit_error", "rate_limit_exceeded"),
    5007: ("invalid_request_error", "model_not_found"),
    5021: ("invalid_request_error", "context_length_exceeded"),
}


class AiError(Exception):
    """An error of Workers AI itself, raised by validation, engines and faults."""

    def __init__(
        self, code: int, description: str | None = None, *, retry_after: float | None = None
    ) -> None:
        self.code = code
        self.status, default = AI_ERRORS[code]
        self.description = description or default
        self.retry_after = retry_after
        super().__init__(f"{code}: {self.description}")


def bad_input(description: str) -> AiError:
    return AiError(5006, f"Error: {description}")


def ai_error_body(error: AiError, request_id: str) -> dict[str, Any]:
    """The REST shape. Errors of the inference service carry its prefix and request id."""
    message = error.description
    if 3000 <= error.code < 4000 or error.code == 5012:
        message = f"AiError: AiError: {message} ({request_id})"
    return {
        "errors": [{"message": message, "code": error.code}],
        "success": False,
        "result": {},
        "messages": [],
    }


def vendor_error_body(error: AiError) -> dict[str, Any]:
    """The shape of OpenAI and of those who are compatible with it."""
    kind, code = _VENDOR_WORDS.get(error.code, (None, None))
    if kind is None:
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
    fields = {"message": error.description, "type": kind, "param": None, "code": code}
    return {"error": fields}


def gateway_error_body(code: int, message: str | None = None) -> dict[str, Any]:
    status, default = GATEWAY_ERRORS[code]
    text = message or default
    return {
        "success": False,
        "result": [],
        "messages": [],
        "error": [{"code": code, "message": text}],
        "name": "AiGatewayError",
        "httpCode": status,
        "internalCode": code,
        "message": text,
        "description": text,
    }
