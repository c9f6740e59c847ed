"""Which errors of a request count as a refusal, and by which reason."""

from edgeneuro.domain.refusal import REASONS, Refusal, RefusalReason
from edgeneuro.errors import (
    BudgetExceededError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
)
from edgeneuro.web.auth import ANONYMOUS, Access

_BY_CODE: dict[str, RefusalReason] = {reason: reason for reason in REASONS}
# The first that fits: what the codes of these errors have in common.
_BY_CLASS: tuple[tuple[type[Exception], RefusalReason], ...] = (
    (UnauthenticatedError, "invalid_access_token"),  # all others have codes of their own
    (PermissionDeniedError, "forbidden"),
    (NotFoundError, "not_found"),
    (ConflictError, "conflict"),
    (InvalidRequestError, "invalid_request"),
)
# A mistake in a request that configures something is no refusal of the traffic.
_WRONG_REQUESTS = (InvalidRequestError, NotFoundError, ConflictError)
_FORBIDDEN = (PermissionDeniedError, RateLimitedError, BudgetExceededError)


def refusal_of(error: Exception, access: Access, key_id: str | None) -> Refusal | None:
    """What is counted of a request that ended with `error`; None if it was no refusal. `access` is
    what its route requires; `key_id` is that of its caller, None if nobody was let in. Requests
    without a credential, and those of public routes, do not count."""
    if key_id == ANONYMOUS.key_id:
        return None
    if isinstance(error, UnauthenticatedError):
        return Refusal(error.known_id, _reason(error, error.code)) if error.sent else None
    if isinstance(error, RateLimitedError):
        return Refusal(key_id or "", _reason(error, error.code))
    if key_id is None:
        return None
    if isinstance(error, _FORBIDDEN):
        return Refusal(key_id, _reason(error, error.code))
    if access is Access.ROUTE and isinstance(error, _WRONG_REQUESTS):
        return Refusal(key_id, _reason(error, error.code))
    return None


def _reason(error: Exception, code: str) -> RefusalReason:
    if code in _BY_CODE:
        return _BY_CODE[code]
    return next(reason for kind, reason in _BY_CLASS if isinstance(error, kind))
