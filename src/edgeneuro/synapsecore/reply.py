"""Reading a model's reply: JSON as asked for, or what can be understood of a text. Whatever it
says, only an agent that was offered, or none, comes out."""

import re
import string
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from edgeneuro import bounded_json
from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.errors import InvalidOutputError

# What a reply is worth that names an agent without a figure: alone, or somewhere in a sentence.
_BARE_CONFIDENCE = 1.0
_MENTION_CONFIDENCE = 0.5
_OF_WORDS = string.ascii_lowercase + string.digits + "_-"


class Reply(BaseModel):
    """Fields that were not asked for are passed over; small models like to add some."""

    agent: str
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = _BARE_CONFIDENCE

    @field_validator("confidence", mode="before")
    @classmethod
    def _percent(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a truth value is no figure")
        # Asked for 0 to 1, small models write 95 too.
        return value / 100 if isinstance(value, int | float) and 1 < value <= 100 else value


def read_reply(
    content: str | dict[str, Any] | None, agents: Sequence[Agent]
) -> tuple[str | None, float]:
    """The chosen agent's id (None: no agent fits) and the confidence. Raises InvalidOutputError."""
    if isinstance(content, str):
        found = bounded_json.first_object(content)
        if found is None:
            return _read_text(content, agents)
        content = found
    try:
        reply = Reply.model_validate(content)
    except ValidationError as error:
        raise InvalidOutputError("The model's JSON is not the one asked for.") from error
    return _offered(reply.agent, agents), reply.confidence


def _read_text(text: str, agents: Sequence[Agent]) -> tuple[str | None, float]:
    bare = text.strip().strip("\"'`.").strip()
    try:
        return _offered(bare, agents), _BARE_CONFIDENCE
    except InvalidOutputError:
        pass
    text = text.lower()
    if text.rfind("{") > text.rfind("}"):  # JSON that was cut off, maybe in the middle of an id
        text = text.rstrip(_OF_WORDS)
    words = set(re.findall(f"[{_OF_WORDS}]+", text))
    mentioned = [agent.id for agent in agents if agent.id in words]
    if len(mentioned) != 1:
        raise InvalidOutputError("The model's text names no agent, or several.")
    return mentioned[0], _MENTION_CONFIDENCE


def _offered(name: str, agents: Sequence[Agent]) -> str | None:
    wanted = name.strip().lower()
    if wanted == NO_AGENT:
        return None
    for agent in agents:
        if wanted in (agent.id, agent.name.lower()):
            return agent.id
    raise InvalidOutputError("The model named an agent that was not offered.")
