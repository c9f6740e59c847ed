"""The root of all errors that the product raises on purpose, and the errors that no model causes:
the request, the caller, a state that forbids it, D1."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


class EdgeNeuroError(Exception):
    """The root: `message` is for people, `code` for programs, `param` names the field at fault."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: str = "internal_error"
    # What callers without the scope `read` get instead of a message about the installation.
    public_message: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        hint: str = "",
    ) -> None:
        """`hint` is for callers with the scope `read`: what to change in the installation."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.headers = headers or {}
        if code is not None:
            self.code = code

    def details(self) -> dict[str, Any]:
        """Fields of the response beside `error`."""
        return {}


class InvalidRequestError(EdgeNeuroError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


@dataclass(frozen=True)
class ItemFault:
    """What is wrong with the item at `index`; `param` is the full path of the field."""

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
class FieldFault:
    """`param` is the full path of the field."""

    param: str | None
    code: str
    message: str


class InvalidFieldsError(InvalidRequestError):
    """The error is the first field's; `faults` are those of all fields, for the body's list
    `errors`."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        first = faults[0]
        message = first.message
        if len(faults) > 1:
            message += f" {len(faults)} errors were found (see `errors`); nothing was changed."
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
    """The response has the first 100 faults; `count` is the number of all faults, if `faults` has
    only some."""

    code = "invalid_lines"

    def __init__(
        self, message: str, faults: Sequence[LineFault], *, count: int | None = None
    ) -> None:
        super().__init__(message)
        self.faults = faults
        self.count = len(faults) if count is None else count

    def details(self) -> dict[str, Any]:
        return {
            "errors": [asdict(fault) for fault in self.faults[:100]],
            "error_count": self.count,
        }


class AdapterRefusedError(InvalidRequestError):
    """The rules refuse an adapter's files; `checks` are all rules with what was found."""

    code = "adapter_refused"

    def __init__(self, message: str, checks: Sequence[dict[str, Any]], *, param: str) -> None:
        super().__init__(message, param=param)
        self.checks = checks

    def details(self) -> dict[str, Any]:
        return {"checks": list(self.checks)}


class BodyTooLargeError(InvalidRequestError):
    status = 413
    code = "body_too_large"


class ClientClosedRequestError(EdgeNeuroError):
    """The client disconnected while its body was read; nobody receives the response."""

    status = 499
    type = "invalid_request_error"
    code = "client_closed_request"


class UnsupportedEncodingError(InvalidRequestError):
    status = 415
    code = "unsupported_encoding"


class MethodNotAllowedError(InvalidRequestError):
    status = 405
    code = "method_not_allowed"


class UnauthenticatedError(EdgeNeuroError):
    """`known_id` is the id of the key or the user that is refused; empty if there is none. `sent`
    says whether the request had a credential at all."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        known_id: str = "",
    ) -> None:
        super().__init__(message, code=code, headers=headers)
        self.known_id = known_id
        self.sent = True


class PermissionDeniedError(EdgeNeuroError):
    status = 403
    type = "permission_error"
    code = "missing_scope"


class NoAgentFitsError(EdgeNeuroError):
    """The router decided on no agent, and the caller needs an answer."""

    status = 422
    type = "invalid_request_error"
    code = "no_agent_fits"


class NotFoundError(EdgeNeuroError):
    status = 404
    type = "not_found_error"
    code = "not_found"


class ConflictError(EdgeNeuroError):
    status = 409
    type = "conflict_error"
    code = "conflict"


class PreconditionFailedError(ConflictError):
    """`If-Match` names another state than the present one."""

    status = 412
    code = "changed_meanwhile"


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
    """`resets_at` is when the budget begins again, as RFC 3339."""

    status = 429
    type = "budget_exceeded"
    code = "key_budget_exceeded"

    def __init__(
        self, message: str, *, resets_at: str, param: str, headers: dict[str, str]
    ) -> None:
        super().__init__(message, param=param, headers=headers)
        self.resets_at = resets_at

    def details(self) -> dict[str, Any]:
        return {"resets_at": self.resets_at}


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


class MissingSchemaError(DatabaseError):
    """A statement names a table or a column that the database does not have."""

    code = "schema_mismatch"
    public_message = (
        "The database lacks a table or a column that this version of EdgeNeuro names, so nothing of"
        " this call was written. GET /healthz shows both schema versions. Migrate the database"
        " (npm run upgrade), or deploy the version that migrated it."
    )


class SchemaMismatchError(EdgeNeuroError):
    """The database has another schema than this version needs, and must not be changed by it."""

    status = 503
    code = "schema_mismatch"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "60"})
