"""Why a model, or an agent of somebody else, gave no usable answer."""

from typing import ClassVar, Literal

from edgeneuro.errors.root import EdgeNeuroError

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

_JSON_NOT_MET = ("5024", "json_validate_failed")  # what was made is no JSON of the schema


class UpstreamError(EdgeNeuroError):
    """A model gave no usable answer. `upstream_code` is Cloudflare's own code where there was
    one."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"
    reason: ClassVar[Reason] = "upstream_error"
    may_pass: ClassVar[bool] = True  # asked again in a moment, it might answer
    ask_differently: ClassVar[bool] = False  # asked again at once, in the other way, it might

    def __init__(
        self,
        message: str,
        *,
        upstream_code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.upstream_code = upstream_code

    @property
    def may_have_generated(self) -> bool:
        """Whether the model may have made an answer that is paid for and did not arrive."""
        return False

    @property
    def outcome(self) -> str:
        """What an attempt that ended so is recorded as."""
        return self.reason

    @property
    def retry_after_seconds(self) -> int | None:
        """How long the upstream asks to be left alone, where it says so."""
        given = self.headers.get("retry-after", "")
        return int(given) if given.isdecimal() else None


class UpstreamTimeoutError(UpstreamError):
    status = 504
    type = "timeout_error"
    code = "upstream_timeout"
    reason = "timeout"
    may_pass = False  # the time is gone

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
    may_pass = False


class UpstreamNotConfiguredError(UpstreamError):
    code = "upstream_not_configured"
    reason = "not_configured"
    public_message = (
        "The model or agent is not set up correctly. Give an administrator the request id."
    )
    may_pass = False


class UpstreamRejectedError(UpstreamError):
    status = 400
    type = "invalid_request_error"
    code = "upstream_rejected"
    may_pass = False


class UpstreamCutError(UpstreamError):
    code = "upstream_cut"
    may_pass = False  # what is out cannot be taken back

    @property
    def may_have_generated(self) -> bool:
        return True


class InvalidOutputError(UpstreamError):
    code = "invalid_output"
    reason = "invalid_output"
    may_pass = False  # the same question gets the same answer

    @property
    def may_have_generated(self) -> bool:
        return True


class JsonModeUnmetError(InvalidOutputError):
    ask_differently = True

    @property
    def may_have_generated(self) -> bool:
        """Not where JSON mode was refused before anything was made."""
        return self.upstream_code in _JSON_NOT_MET

    @property
    def outcome(self) -> str:
        return "json_mode_unmet"


class StaleAnswerError(InvalidOutputError):
    ask_differently = True
