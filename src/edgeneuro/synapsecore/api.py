"""The router over HTTP."""

from edgeneuro.call import Call
from edgeneuro.domain.decision import Decision, RouteRequest
from edgeneuro.synapsecore.record import Asker
from edgeneuro.synapsecore.router import route_query
from edgeneuro.web.response import Reply


async def route(call: Call, body: RouteRequest) -> Reply[Decision]:
    """Decide which agent answers a query."""
    routed = await route_query(call.services, body, Asker.of(call))
    agent = routed.decision.agent
    named = {} if agent is None else {"x-edgeneuro-agent": agent.id}
    return Reply(
        routed.decision,
        {
            **named,
            "x-edgeneuro-layer": routed.decision.layer,
            "server-timing": routed.stages.server_timing(),
        },
    )
