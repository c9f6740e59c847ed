"""After a clarifying question of the router the agent needs the message that it was about: the
router has answered that message itself, so the agent has never seen it."""

from typing import Any

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.chat_message import texts_of
from edgeneuro.domain.clarification import asked_options, read_reply
from edgeneuro.synapsecore.rankers.clarified import asks
from edgeneuro.synapsecore.turn import Turn


def with_asked_message(
    messages: list[dict[str, Any]],
    request: ChatRequest,
    routed: Turn,
    agent: Agent | None,
    *,
    only_last: bool,
) -> list[dict[str, Any]]:
    """What an agent gets after such a question. An agent that reads `only_last`, the last message
    of the user, gets both as one message, unless the message is another one, for an agent that was
    not asked about. Any other has the first one from the client; it is added, with the question, if
    only the session has it."""
    before = routed.previous
    if not asks(routed):
        return messages
    said = [message for message in request.messages if message.role == "user"]
    first = "\n".join(texts_of(said[-2])) if len(said) > 1 else before.user
    if not first:
        return messages
    if only_last:
        if not _replies(routed, agent):
            return messages
        return [*messages, {"role": "user", "content": f"{first}\n\n{routed.query}"}]
    if len(said) > 1:
        return messages
    at = next(n for n, message in enumerate(messages) if message["role"] == "user")
    added: list[dict[str, Any]] = [
        {"role": "user", "content": first},
        {"role": "assistant", "content": before.assistant},
    ]
    return [*messages[:at], *added, *messages[at:]]


def _replies(routed: Turn, agent: Agent | None) -> bool:
    options = asked_options(routed.config.clarify_text, routed.previous.assistant, routed.agents)
    if any(option.agent is not None and option.agent == agent for option in options):
        return True
    return read_reply(routed.query, options) is not None
