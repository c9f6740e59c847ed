"""Reads a model's output: the JSON that it was asked for, or a text that names one agent. The
result is always an agent that was offered, or none.

The confidence is the probability of the tokens that name the agent, if the model gives token
probabilities; else the number that the model states, if it was asked for one; else it is
unknown."""

import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from edgeneuro import bounded_json
from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.domain.decision import ConfidenceSource
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.interface import ModelAnswer, Token

# The confidence if the output names an agent somewhere in a sentence.
_MENTION_CONFIDENCE = 0.5
_NAMED = re.compile(r'"agent"\s*:\s*"([^"]*")')
_OF_WORDS = string.ascii_lowercase + string.digits + "_-"


class _Output(BaseModel):
    """The JSON that models are asked for. Other fields are ignored: small models often add some."""

    agent: str
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None

    @field_validator("confidence", mode="before")
    @classmethod
    def _percent(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a boolean is not a number")
        # Small models that are asked for 0 to 1 also write 95.
        return value / 100 if isinstance(value, int | float) and 1 < value <= 100 else value


@dataclass(frozen=True)
class NamedAgent:
    """`agent_id` None: no agent fits. `confidence` and `source` None: the confidence is unknown."""

    agent_id: str | None
    confidence: float | None
    source: ConfidenceSource | None


def read_output(answer: ModelAnswer, agents: Sequence[Agent], *, stated: bool) -> NamedAgent:
    """`stated` says whether the model was asked for its confidence; if not, a number in the output
    is not used. Raises InvalidOutputError."""
    agent_id, confidence = _read_content(answer.content, agents, stated=stated)
    probability = _probability(answer.tokens)
    if probability is not None:
        return NamedAgent(agent_id, probability, "logprobs")
    return NamedAgent(agent_id, confidence, None if confidence is None else "stated")


def _read_content(
    content: str | dict[str, Any] | None, agents: Sequence[Agent], *, stated: bool
) -> tuple[str | None, float | None]:
    if isinstance(content, str):
        found = bounded_json.first_object(content)
        if found is None:
            return _read_text(content, agents)
        content = found
    if not stated and isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != "confidence"}
    try:
        output = _Output.model_validate(content)
    except ValidationError as error:
        raise InvalidOutputError("The model's JSON is not the one asked for.") from error
    return _offered(output.agent, agents), output.confidence


def _probability(tokens: Sequence[Token]) -> float | None:
    """The product of the probabilities of the tokens that make the name after "agent" in the
    model's JSON. The closing quote belongs to the name: one id may begin with another. None if the
    text of the tokens has no such name."""
    named = _NAMED.search("".join(token.text for token in tokens))
    if named is None:
        return None
    total, end = 0.0, 0
    for token in tokens:
        begin, end = end, end + len(token.text)
        if begin < named.end(1) and end > named.start(1):
            total += token.logprob
    return math.exp(total)


def _read_text(text: str, agents: Sequence[Agent]) -> tuple[str | None, float | None]:
    bare = text.strip().strip("\"'`.").strip()
    try:
        return _offered(bare, agents), None
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
