"""Every error that the product raises on purpose, as one tree. Each class owns its HTTP status,
its `type` and its stable `code`; web/response.py turns any of them into the one JSON shape.

EdgeNeuroError
├── InvalidRequestError 400        what the client sent is wrong; `param` names the field
│   ├── InvalidItemsError          some of many items are wrong, so none was taken
│   ├── InvalidLinesError          some of a file's lines are wrong, so none was taken
│   ├── BodyTooLargeError 413
│   └── MethodNotAllowedError 405
├── UnauthenticatedError 401       no key, or not a right one
├── PermissionDeniedError 403      a right key without the scope
├── NotFoundError 404
├── ConflictError 409              the request is fine, the state of things forbids it
├── IdempotencyMismatchError 422   the Idempotency-Key was sent with another request before
├── RateLimitedError 429           our own limit in front
│   └── KeyRateLimitedError        the key's requests in this minute are used up
├── BudgetExceededError 429        the key's USD for this month are used up
│   └── TokenBudgetExceededError   its tokens are
├── NotConfiguredError 503         a setting or a first record is missing
├── UnavailableError 503           a service that is needed does not answer
├── DatabaseError 503              D1 failed
│   └── ConstraintError            it refused a write that a constraint forbids
└── UpstreamError 502              a model gave no usable answer; `reason` is the decision's reason
    ├── UpstreamTimeoutError 504
    ├── UpstreamCapacityError 429      Workers AI is out of capacity, may pass
    ├── UpstreamRateLimitedError 429   AI Gateway's limit
    ├── UpstreamQuotaError 429         the account's allowance is used up
    ├── UpstreamNotConfiguredError 502 no such model or adapter, terms not agreed
    ├── UpstreamRejectedError 400      it found fault with what the caller sent
    ├── UpstreamCutError 502           its stream broke off
    └── InvalidOutputError 502         it answered, but not what was asked for
        └── JsonModeUnmetError         the model cannot do JSON mode; ask again in plain text
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

Reason = Literal[
    "low_confidence",
    "out_of_scope",
    "invalid_output",
    "timeout",
    "upstream_error",
    "capacity",
    "rate_limited",
    "quota",
    "not_configured",
]


class EdgeNeuroError(Exception):
    """The root: `message` is for people, `code` for programs, `param` names the field at fault."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers or {}
        if code is not None:
            self.code = code

    def details(self) -> dict[str, Any]:
        """What goes beside the error's own fields."""
        return {}


class InvalidRequestError(EdgeNeuroError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


@dataclass(frozen=True)
class ItemFault:
    """What is wrong with the item at `index`; `param` is the whole way to the field."""

    index: int
    param: str | None
    code: str
    message: str


class InvalidItemsError(InvalidRequestError):
    """The error is the first item's; `faults` are all of them, for the body's list `errors`."""

    def __init__(self, faults: Sequence[ItemFault]) -> None:
        first = faults[0]
        wrong = len({fault.index for fault in faults})
        message = first.message
        if wrong > 1:
            message += f" {wrong} items are wrong (see `errors`); none was taken."
        super().__init__(message, code=first.code, param=first.param)
        self.faults = faults

    def details(self) -> dict[str, Any]:
        return {"errors": [asdict(fault) for fault in self.faults]}


@dataclass(frozen=True)
class LineFault:
    """`line` counts from 1, `param` names the field at fault."""

    line: int
    param: str | None
    message: str


class InvalidLinesError(InvalidRequestError):
    """The first 100 faults are told."""

    code = "invalid_lines"

    def __init__(self, message: str, faults: Sequence[LineFault]) -> None:
        super().__init__(message)
        self.faults = faults

    def details(self) -> dict[str, Any]:
        told = [asdict(fault) for fault in self.faults[:100]]
        return {"errors": told, "error_count": len(self.faults)}


class BodyTooLargeError(InvalidRequestError):
    status = 413
    code = "body_too_large"


class MethodNotAllowedError(InvalidRequestError):
    status = 405
    code = "method_not_allowed"


class UnauthenticatedError(EdgeNeuroError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class PermissionDeniedError(EdgeNeuroError):
    status = 403
    type = "permission_error"
    code = "missing_scope"


class NotFoundError(EdgeNeuroError):
    status = 404
    type = "not_found_error"
    code = "not_found"


class ConflictError(EdgeNeuroError):
    status = 409
    type = "conflict_error"
    code = "conflict"


class IdempotencyMismatchError(EdgeNeuroError):
    status = 422
    type = "invalid_request_error"
    code = "idempotency_mismatch"


class RateLimitedError(EdgeNeuroError):
    status = 429
    type = "rate_limit_error"
    code = "edge_rate_limited"


class KeyRateLimitedError(RateLimitedError):
    code = "key_rate_limited"


class BudgetExceededError(EdgeNeuroError):
    status = 429
    type = "budget_exceeded"
    code = "key_budget_exceeded"


class TokenBudgetExceededError(BudgetExceededError):
    code = "key_token_budget_exceeded"


class NotConfiguredError(EdgeNeuroError):
    status = 503
    code = "not_configured"


class UnavailableError(EdgeNeuroError):
    status = 503
    code = "unavailable"


class DatabaseError(EdgeNeuroError):
    """`message` is D1's own text: for our logs, never for the client."""

    status = 503
    code = "database_unavailable"


class ConstraintError(DatabaseError):
    pass


class UpstreamError(EdgeNeuroError):
    """A model gave no usable answer. `upstream_code` is Cloudflare's own code where there was
    one."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"
    reason: ClassVar[Reason] = "upstream_error"
    may_pass: ClassVar[bool] = True  # asked again in a moment, it might answer

    def __init__(
        self,
        message: str,
        *,
        upstream_code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.upstream_code = upstream_code


class UpstreamTimeoutError(UpstreamError):
    status = 504
    type = "timeout_error"
    code = "upstream_timeout"
    reason = "timeout"
    may_pass = False  # the time is gone


class UpstreamCapacityError(UpstreamError):
    status = 429
    code = "upstream_capacity"
    reason = "capacity"


class UpstreamRateLimitedError(UpstreamError):
    status = 429
    code = "upstream_rate_limited"
    reason = "rate_limited"


class UpstreamQuotaError(UpstreamError):
    status = 429
    code = "upstream_quota"
    reason = "quota"
    may_pass = False


class UpstreamNotConfiguredError(UpstreamError):
    code = "upstream_not_configured"
    reason = "not_configured"
    may_pass = False


class UpstreamRejectedError(UpstreamError):
    status = 400
    type = "invalid_request_error"
    code = "upstream_rejected"
    may_pass = False


class UpstreamCutError(UpstreamError):
    code = "upstream_cut"
    may_pass = False  # what is out cannot be taken back


class InvalidOutputError(UpstreamError):
    code = "invalid_output"
    reason = "invalid_output"
    may_pass = False  # the same question gets the same answer


class JsonModeUnmetError(InvalidOutputError):
    pass
