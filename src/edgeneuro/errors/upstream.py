"""Why a model, or an agent with an endpoint of its own, gave no usable answer."""

from typing import ClassVar, Literal, get_args

from edgeneuro.errors.base import EdgeNeuroError

FailureReason = Literal[
    "invalid_output",
    "timeout",
    "upstream_error",
    "capacity",
    "rate_limited",
    "quota",
    "not_configured",
]
Reason = Literal[
    "low_confidence",
    "out_of_scope",
    "preferred_by_rule",
    "ambiguous",
    "several_requests",
    "previous_agent",
    "background_prompt",
    FailureReason,
]
FAILURE_REASONS: tuple[FailureReason, ...] = get_args(FailureReason)

_JSON_NOT_MET = ("5024", "json_validate_failed")  # the output is not JSON of the schema


class UpstreamError(EdgeNeuroError):
    """A model gave no usable answer. `upstream_code` is Cloudflare's own code, if there was one.
    `model_works` is true if the model has answered other calls of the same attempt, so that the
    failure does not count for its circuit breaker."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"
    reason: ClassVar[Reason] = "upstream_error"
    retryable: ClassVar[bool] = True  # the same call may succeed in a moment
    # A changed call may succeed: without JSON mode, or past AI Gateway's cache.
    retry_at_once: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        upstream_code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.upstream_code = upstream_code
        self.model_works = False

    @property
    def may_have_generated(self) -> bool:
        """Whether the model may have made an answer that is billed but did not arrive."""
        return False

    @property
    def outcome(self) -> str:
        """The outcome that an attempt with this error is recorded with."""
        return self.reason

    @property
    def retry_after_seconds(self) -> int | None:
        """How long the upstream asks to wait, if it says so."""
        given = self.headers.get("retry-after", "")
        return int(given) if given.isdecimal() else None


class UpstreamTimeoutError(UpstreamError):
    status = 504
    type = "timeout_error"
    code = "upstream_timeout"
    reason = "timeout"
    retryable = False  # the time is used up

    @property
    def may_have_generated(self) -> bool:
        return True


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
    retryable = False


class UpstreamNotConfiguredError(UpstreamError):
    code = "upstream_not_configured"
    reason = "not_configured"
    public_message = (
        "The model or agent is not set up correctly. Give an administrator the request id."
    )
    retryable = False


class UpstreamRejectedError(UpstreamError):
    status = 400
    type = "invalid_request_error"
    code = "upstream_rejected"
    retryable = False


class UpstreamCutError(UpstreamError):
    code = "upstream_cut"
    retryable = False  # the parts that were sent cannot be taken back

    @property
    def may_have_generated(self) -> bool:
        return True


class InvalidOutputError(UpstreamError):
    code = "invalid_output"
    reason = "invalid_output"
    retryable = False  # the same question gets the same answer

    @property
    def may_have_generated(self) -> bool:
        return True


class JsonModeUnmetError(InvalidOutputError):
    retry_at_once = True

    @property
    def may_have_generated(self) -> bool:
        """False if JSON mode was refused before the model generated anything."""
        return self.upstream_code in _JSON_NOT_MET

    @property
    def outcome(self) -> str:
        return "json_mode_unmet"


class StaleAnswerError(InvalidOutputError):
    """An answer from AI Gateway's cache that cannot be read: no model was called."""

    retry_at_once = True

    @property
    def may_have_generated(self) -> bool:
        return False
