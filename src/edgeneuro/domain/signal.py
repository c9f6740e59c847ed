"""Signals: weak feedback on decisions. An agent or a caller said "not mine", or what the
person wrote next speaks for or against the decision. Signals decide what is labeled first; they
never become labels and count in no accuracy."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, StringConstraints

from edgeneuro.domain.fields import without_nul
from edgeneuro.domain.query import canonical, whole_characters

# "rerouted": a caller asked for the next best agent; "not_mine": the agent itself said so.
# Implicit ones, of what the person wrote next: "rephrased": the same question in other words within
# a minute; "human_wanted": "a human, please"; "thanks".
SignalKind = Literal["rerouted", "not_mine", "rephrased", "human_wanted", "thanks"]
# Those that say that the agent was the wrong one.
MISROUTES: tuple[SignalKind, ...] = ("rerouted", "not_mine")
# Those that speak against the decision in any way.
CONTRADICTIONS: tuple[SignalKind, ...] = (*MISROUTES, "rephrased", "human_wanted")
MAX_REASON_CHARACTERS = 200

ReasonText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON_CHARACTERS),
    AfterValidator(without_nul),
    AfterValidator(canonical),
]


class Signal(BaseModel):
    """`agent_id` is the agent that it is about, null where nobody answered; `key_id` is the caller
    whose request it comes from; `reason` is what the agent or the caller gave as its reason."""

    id: str
    kind: SignalKind
    agent_id: str | None
    reason: str | None
    key_id: str
    created_at: str


def reason_text(given: object) -> str | None:
    """The reason that an agent gives, in its canonical form, at most 200 characters; None if it is
    no text, or an empty one."""
    if not isinstance(given, str):
        return None
    # The canonical text may be shorter, so more than what counts is looked at.
    text = whole_characters(given[: 4 * MAX_REASON_CHARACTERS].replace("\0", ""))
    text = canonical(text)
    return canonical(text[:MAX_REASON_CHARACTERS]) or None
