"""The router over HTTP."""

from edgeneuro.call import Call
from edgeneuro.domain.decision import Decision, RouteRequest
from edgeneuro.synapsecore.record import Asker
from edgeneuro.synapsecore.router import route_query
from edgeneuro.web.response import Reply


async def route(call: Call, body: RouteRequest) -> Reply[Decision]:
    """Decide which agent answers a query."""
    asker = Asker(call.request_id, call.credential, call.background, call.headers)
    routed = await route_query(call.services, body, asker)
    return Reply(
        routed.decision,
        {
            "x-edgeneuro-agent": routed.decision.agent.id,
            "x-edgeneuro-layer": routed.decision.layer,
            "server-timing": routed.stages.server_timing(),
        },
    )
