"""Copies feedback and labels into AI Gateway's log, after the response is sent. D1 has the
original, so a failure is only counted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from edgeneuro.call import Call
from edgeneuro.errors import DatabaseError, UpstreamError
from edgeneuro.services import Services
from edgeneuro.store.logs import GatewayLog, read_gateway_logs
from edgeneuro.synapsecore.policy import AMBIGUOUS

_MAX_PUSHES = 20  # for each call: a Worker may send only so many requests while it serves one
_RIGHT, _WRONG = (1, 100), (-1, 0)
# AI Gateway's `feedback` and `score`.
_Feedback = tuple[int, int | None]


def push_feedback(call: Call, log_id: str, value: Literal["up", "down"]) -> None:
    feedback = (1 if value == "up" else -1, None)
    _push_later(call, [log_id], lambda log: feedback)


def push_labels(call: Call, right_agents: Mapping[str, str | None]) -> None:
    """`right_agents` has the label's agent of each log row; None means that no agent fits. A
    clarifying question is neither right nor wrong."""

    def feedback_for(log: GatewayLog) -> _Feedback | None:
        if log.reason == AMBIGUOUS:
            return None
        right = right_agents[log.id]
        # "out_of_scope" means that no agent fits, even if the fallback agent answers.
        agrees = log.reason == "out_of_scope" if right is None else log.agent_id == right
        return _RIGHT if agrees else _WRONG

    _push_later(call, list(right_agents), feedback_for)


def _push_later(
    call: Call, log_ids: Sequence[str], feedback_for: Callable[[GatewayLog], _Feedback | None]
) -> None:
    if log_ids and call.services.settings.gateway_id:
        call.background(_push(call.services, log_ids, feedback_for))


async def _push(
    services: Services,
    log_ids: Sequence[str],
    feedback_for: Callable[[GatewayLog], _Feedback | None],
) -> None:
    count = services.metrics.gateway_feedback.add
    try:
        logs = await read_gateway_logs(services.db, log_ids)
    except DatabaseError as error:
        services.failures.note("gateway_feedback", error)
        return
    for log in logs[:_MAX_PUSHES]:
        given = feedback_for(log)
        if given is None:
            continue
        feedback, score = given
        try:
            await services.gateway.patch_log(log.gateway_log_id, feedback=feedback, score=score)
            count(1, "sent")
        except UpstreamError as error:
            services.failures.note("gateway_feedback", error)
            count(1, "failed")
    if len(logs) > _MAX_PUSHES:
        count(len(logs) - _MAX_PUSHES, "skipped")
