"""Every error that the product raises on purpose, as one tree. Each class owns its HTTP status,
its `type` and its stable `code`; web/response.py turns any of them into the one JSON shape.

EdgeNeuroError
├── InvalidRequestError 400        what the client sent is wrong; `param` names the field
│   ├── InvalidItemsError          some of many items are wrong, so none was taken
│   ├── InvalidFieldsError         several fields are wrong; `errors` has them all
│   ├── InvalidLinesError          some of a file's lines are wrong, so none was taken
│   ├── AdapterRefusedError        the rules refuse an adapter's files; nothing was stored
│   ├── BodyTooLargeError 413
│   ├── UnsupportedEncodingError 415
│   └── MethodNotAllowedError 405
├── ClientClosedRequestError 499   the client disconnected before its body was read
├── UnauthenticatedError 401       no key, or not a valid one
├── PermissionDeniedError 403      a valid key without the scope
├── NoAgentFitsError 422           no agent was decided on, and the caller needs an answer
├── NotFoundError 404
├── ConflictError 409              the request is valid, but the current state forbids it
│   └── PreconditionFailedError 412    the state is not the one that `If-Match` names
├── IdempotencyMismatchError 422   the Idempotency-Key was sent with another request before
├── RateLimitedError 429           our own rate limit
│   └── KeyRateLimitedError        the key's requests in this minute are used up
├── BudgetExceededError 429        the key's USD for this month are used up
│   └── TokenBudgetExceededError   its tokens are
├── NotConfiguredError 503         a setting or a first record is missing
├── UnavailableError 503           a service that is needed does not answer
├── DatabaseError 503              D1 failed
│   ├── ConstraintError            it refused a write that a constraint forbids
│   └── MissingSchemaError         a statement names a table or column that the schema lacks
├── SchemaMismatchError 503        the database has another schema; this version must not change it
└── UpstreamError 502              a model gave no usable answer; `reason` is the decision's reason
    ├── UpstreamTimeoutError 504
    ├── UpstreamCapacityError 429      Workers AI is out of capacity; retryable
    ├── UpstreamRateLimitedError 429   AI Gateway's limit
    ├── UpstreamQuotaError 429         the account's allowance is used up
    ├── UpstreamNotConfiguredError 502 no such model or adapter, terms not agreed
    ├── UpstreamRejectedError 400      it refuses what the caller sent
    ├── UpstreamCutError 502           its stream broke off
    └── InvalidOutputError 502         it answered, but not in the requested form
        ├── JsonModeUnmetError         the model cannot do JSON mode; call again in plain text
        └── StaleAnswerError           such an answer from a cache; call again past the cache
"""

from edgeneuro.errors.base import (
    AdapterRefusedError,
    BodyTooLargeError,
    BudgetExceededError,
    ClientClosedRequestError,
    ConflictError,
    ConstraintError,
    DatabaseError,
    EdgeNeuroError,
    FieldFault,
    IdempotencyMismatchError,
    InvalidFieldsError,
    InvalidItemsError,
    InvalidLinesError,
    InvalidRequestError,
    ItemFault,
    KeyRateLimitedError,
    LineFault,
    MethodNotAllowedError,
    MissingSchemaError,
    NoAgentFitsError,
    NotConfiguredError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
    SchemaMismatchError,
    TokenBudgetExceededError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedEncodingError,
)
from edgeneuro.errors.upstream import (
    FAILURE_REASONS,
    FailureReason,
    InvalidOutputError,
    JsonModeUnmetError,
    Reason,
    StaleAnswerError,
    UpstreamCapacityError,
    UpstreamCutError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)

__all__ = [
    "FAILURE_REASONS",
    "AdapterRefusedError",
    "BodyTooLargeError",
    "BudgetExceededError",
    "ClientClosedRequestError",
    "ConflictError",
    "ConstraintError",
    "DatabaseError",
    "EdgeNeuroError",
    "FailureReason",
    "FieldFault",
    "IdempotencyMismatchError",
    "InvalidFieldsError",
    "InvalidItemsError",
    "InvalidLinesError",
    "InvalidOutputError",
    "InvalidRequestError",
    "ItemFault",
    "JsonModeUnmetError",
    "KeyRateLimitedError",
    "LineFault",
    "MethodNotAllowedError",
    "MissingSchemaError",
    "NoAgentFitsError",
    "NotConfiguredError",
    "NotFoundError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitedError",
    "Reason",
    "SchemaMismatchError",
    "StaleAnswerError",
    "TokenBudgetExceededError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedEncodingError",
    "UpstreamCapacityError",
    "UpstreamCutError",
    "UpstreamError",
    "UpstreamNotConfiguredError",
    "UpstreamQuotaError",
    "UpstreamRateLimitedError",
    "UpstreamRejectedError",
    "UpstreamTimeoutError",
]
