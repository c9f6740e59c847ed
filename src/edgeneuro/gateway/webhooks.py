"""Deliveries of webhooks: one signed request to an operator's address, and what came of it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edgeneuro.domain.agent_endpoint import is_local
from edgeneuro.domain.webhook import require_address, signed_headers
from edgeneuro.gateway.http import Fetch, read_start

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """`error` is None for a status of 200 to 299; `status` is None if there was no answer."""

    status: int | None = None
    error: str | None = None


class WebhookSender:
    """`now` gives unix seconds; `local` calls programs on this machine, None if that is not
    allowed."""

    def __init__(
        self, fetch: Fetch, *, now: Callable[[], float], local: Fetch | None = None
    ) -> None:
        self._fetch = fetch
        self._local = local
        self._now = now

    async def send(
        self, url: str, secrets: Sequence[str], *, message_id: str, body: bytes
    ) -> Outcome:
        """Never raises. Nothing of the answer but its status is kept."""
        fetch = self._local if is_local(url) else self._fetch
        if fetch is None:
            return Outcome(error="The address is on this machine, which `npm start` alone calls.")
        try:
            # Again: the row may be older than the rules, or edited in the database.
            require_address(url)
        except ValueError as error:
            return Outcome(error=f"The address {error}.")
        headers = {
            "content-type": "application/json",
            "user-agent": "EdgeNeuro",
            **signed_headers(secrets, message_id=message_id, now=self._now(), body=body),
        }
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await fetch("POST", url, headers, body)
                with suppress(OSError):  # the status says enough
                    await read_start(response, limit=1)
        except TimeoutError:
            return Outcome(error=f"No answer within {TIMEOUT_SECONDS:.0f} s.")
        except OSError:
            return Outcome(error="The address could not be reached.")
        return Outcome(response.status, _error(response.status))


def _error(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"HTTP status {status}: redirects are not followed."
    return f"HTTP status {status}."
