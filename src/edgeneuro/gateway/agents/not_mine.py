"""How an agent at an endpoint says "not mine", before it has answered anything: so that the next
best agent gets the turn. It is no failure, so it counts for no circuit breaker.

By OpenAI's protocol: the response header `x-edgeneuro-not-mine: 1`, or in the body (of a stream,
in a chunk before the first content) `"edgeneuro": {"not_mine": true, "reason": "…"}`. By A2A: a
task in the state `rejected`."""

from contextlib import suppress

from edgeneuro import bounded_json
from edgeneuro.domain.signal import reason_text
from edgeneuro.gateway.answers import read_usage
from edgeneuro.gateway.deltas import OpenAiStreamDecoder
from edgeneuro.gateway.http import HttpResponse, read_start
from edgeneuro.gateway.interface import Delta, NotMine

HEADER = "x-edgeneuro-not-mine"
_FIELD = "not_mine"
_MAX_BYTES = 65_536


def header_says_so(response: HttpResponse) -> bool:
    """With a status of success, or of an error of the request: other statuses are failures."""
    status = response.status
    says = (response.header(HEADER) or "").strip().lower() in ("1", "true")
    return says and (200 <= status < 300 or 400 <= status < 500)


async def read_refusal(response: HttpResponse) -> NotMine:
    """What the body of such a response gives as the reason. The rest of it is not read."""
    body = b""
    if "json" in (response.header("content-type") or "").lower():
        with suppress(OSError):
            body = await read_start(response, limit=_MAX_BYTES)
    else:
        await response.chunks().aclose()
    return body_says_so(body) or NotMine()


def body_says_so(sent: bytes | str) -> NotMine | None:
    """Of a whole body, or of one event of a stream."""
    if (_FIELD not in sent) if isinstance(sent, str) else (_FIELD.encode() not in sent):
        return None
    try:
        body = bounded_json.loads(sent)
    except bounded_json.InvalidJsonError:
        return None
    match body:
        case {"edgeneuro": {"not_mine": True, **fields}}:
            return NotMine(reason_text(fields.get("reason")), read_usage(body))
    return None


class AgentStreamDecoder(OpenAiStreamDecoder):
    """After the first content it is too late: the answer has begun."""

    def __init__(self, vendor: str) -> None:
        super().__init__(vendor)
        self._begun = False

    def feed(self, data: str) -> Delta:
        refusal = None if self._begun else body_says_so(data)
        if refusal is not None:
            self.done = True
            return Delta(not_mine=refusal)
        delta = super().feed(data)
        self._begun = self._begun or bool(delta.content or delta.tool_calls)
        return delta
