"""The decision APIs over HTTP: POST /v1/decisions and POST /v1/systemone."""

from edgeneuro.call import Call
from edgeneuro.synapsecore.decisions.answer import answer_questions
from edgeneuro.synapsecore.decisions.openai_answer import DecisionsResponse, openai_response
from edgeneuro.synapsecore.decisions.openai_request import DecisionsRequest
from edgeneuro.synapsecore.decisions.systemone_answer import SystemOneResponse, systemone_response
from edgeneuro.synapsecore.decisions.systemone_request import SystemOneRequest
from edgeneuro.web.response import Reply


async def create_decisions(call: Call, body: DecisionsRequest) -> Reply[DecisionsResponse]:
    """Answer questions about a text or a conversation with probabilities, in OpenAI's format. With
    model "auto" a choice among agents is decided by the router."""
    found = await answer_questions(call, body.asked())
    response = openai_response(found.model, found.answers, found.usage, found.facts)
    return Reply(response, found.headers)


async def answer_systemone(call: Call, body: SystemOneRequest) -> Reply[SystemOneResponse]:
    """The same in System One's format, as Workers AI and vLLM have it."""
    found = await answer_questions(call, body.asked())
    response = systemone_response(found.model, found.answers, found.usage, found.facts)
    return Reply(response, found.headers)
