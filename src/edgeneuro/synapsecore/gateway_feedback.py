"""Tells AI Gateway's log what people said of an answer, by feedback or label. D1 is where that is
kept; this is done as well as it can be, after the caller has the answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from edgeneuro.call import Call
from edgeneuro.errors import DatabaseError, UpstreamError
from edgeneuro.services import Services
from edgeneuro.store.logs import GatewayLog, read_gateway_logs

_MAX_PUSHES = 20  # a call: a Worker may ask only so often while it serves one request
_RIGHT, _WRONG = (1, 100), (-1, 0)
# AI Gateway's `feedback` and `score`.
_Verdict = tuple[int, int | None]


def push_feedback(call: Call, log_id: str, value: Literal["up", "down"]) -> None:
    verdict = (1 if value == "up" else -1, None)
    _push_later(call, [log_id], lambda log: verdict)


def push_labels(call: Call, right_agents: Mapping[str, str | None]) -> None:
    """`right_agents` has the label's agent of each log row; None says that no agent fits."""

    def verdict(log: GatewayLog) -> _Verdict:
        right = right_agents[log.id]
        # An answer says by its reason that no agent fits, also if the fallback agent answers.
        agrees = log.reason == "out_of_scope" if right is None else log.agent_id == right
        return _RIGHT if agrees else _WRONG

    _push_later(call, list(right_agents), verdict)


def _push_later(
    call: Call, log_ids: Sequence[str], verdict: Callable[[GatewayLog], _Verdict]
) -> None:
    if log_ids and call.services.settings.gateway_id:
        call.background(_push(call.services, log_ids, verdict))


async def _push(
    services: Services, log_ids: Sequence[str], verdict: Callable[[GatewayLog], _Verdict]
) -> None:
    count = services.metrics.gateway_feedback.add
    try:
        logs = await read_gateway_logs(services.db, log_ids)
    except DatabaseError as error:
        services.failures.note("gateway_feedback", error)
        return
    for log in logs[:_MAX_PUSHES]:
        feedback, score = verdict(log)
        try:
            await services.gateway.patch_log(log.gateway_log_id, feedback=feedback, score=score)
            count(1, "told")
        except UpstreamError as error:
            services.failures.note("gateway_feedback", error)
            count(1, "failed")
    if len(logs) > _MAX_PUSHES:
        count(len(logs) - _MAX_PUSHES, "skipped")
