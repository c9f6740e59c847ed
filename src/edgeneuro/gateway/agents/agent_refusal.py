"""What an agent's endpoint means by an HTTP status that is none of success."""

from edgeneuro.domain.handoff import SIGNING_SECRET
from edgeneuro.errors import (
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamRejectedError,
)
from edgeneuro.gateway.upstream_errors import upstream_error


def refusal(status: int, body: str, *, vendor: str, retry_after: str | None) -> UpstreamError:
    if 300 <= status < 400:
        return UpstreamError(
            f"{vendor}'s endpoint answered with HTTP status {status}: redirects are not followed.",
            upstream_code=str(status),
        )
    if status in (401, 403):
        return UpstreamNotConfiguredError(
            f"{vendor} refuses us with HTTP status {status}. Does it know the secret"
            f" {SIGNING_SECRET} of this installation?",
            upstream_code=str(status),
        )
    error = upstream_error(status, body, vendor=vendor, retry_after=retry_after)
    if type(error) is UpstreamError and 400 <= status < 500:
        return UpstreamRejectedError(error.message, upstream_code=error.upstream_code)
    return error
