"""Rules: what an operator decides before any other stage of the pipeline does. An ordered list; a
rule has conditions (`when`) and an effect (`then`)."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgeneuro.domain.agent import AgentId, ModelId
from edgeneuro.domain.decision import MetadataKey, MetadataValue
from edgeneuro.domain.fields import INTEGRAL, Id, hide_defaults, without_nul
from edgeneuro.domain.pattern import MAX_CHARACTERS, PatternError
from edgeneuro.domain.pattern_search import pattern_of
from edgeneuro.domain.query import normalise
from edgeneuro.domain.router_names import RouterId

MAX_RULES = 100
MAX_WORDS = 50  # of one rule
MAX_EXAMPLES = 20


def _word(text: str) -> str:
    if not normalise(text):
        raise ValueError("holds no visible character; send a word or a phrase")
    return text


def _pattern(text: str) -> str:
    try:
        pattern_of(text)
    except PatternError as error:
        raise ValueError(f"the expression {error}") from error
    return text


def _opaque(text: str) -> str:
    if "@" in text:  # an erasure of a person does not look for addresses in rules
        raise ValueError("must be an opaque id, not an e-mail address")
    return text


def _unset() -> Any:
    """A field that is not shown where it is not set."""
    return Field(default=None, exclude_if=lambda value: value is None)


RuleName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(without_nul),
]
Word = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(without_nul),
    AfterValidator(_word),
]
PatternText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_CHARACTERS),
    AfterValidator(without_nul),
    AfterValidator(_pattern),
]
UserId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_opaque)]
Position = Annotated[int, Field(ge=1, le=MAX_RULES), INTEGRAL]


class RuleConditions(BaseModel):
    """When a rule holds: if all conditions that are there do. Without conditions it holds for every
    message. `mention`: the message has "@" and the id or the name of an enabled agent. `words`: it
    has at least one of these words or phrases, as whole words, without regard to case and Unicode
    form. `pattern`: a regular expression is found in it, in a subset that needs linear time.
    `metadata`: the request has these values. `key_id`: it was sent with this key. `user`: it has
    this `user`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mention: Literal[True] | None = _unset()
    words: Annotated[list[Word], Field(min_length=1, max_length=MAX_WORDS)] | None = _unset()
    pattern: PatternText | None = _unset()
    metadata: (
        Annotated[dict[MetadataKey, MetadataValue], Field(min_length=1, max_length=16)] | None
    ) = _unset()
    key_id: Id | None = _unset()
    user: UserId | None = _unset()

    @property
    def is_empty(self) -> bool:
        return not self.model_dump()


class RuleEffect(BaseModel):
    """What a rule does; exactly one field is set. `agent_id`: this agent answers. `never`: these
    agents are not allowed. `prefer`: this agent answers if no stage decides on one. `model`: this
    model routes, as if the request had named it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent_id: AgentId | None = _unset()
    never: Annotated[list[AgentId], Field(min_length=1, max_length=250)] | None = _unset()
    prefer: AgentId | None = _unset()
    model: ModelId | None = _unset()

    @property
    def named(self) -> list[str]:
        """The fields that are set."""
        return list(self.model_dump())


class Rule(BaseModel):
    """`position` counts from 1; rules are tried in this order. `then` is null if `when.mention` is
    true: then the mentioned agent answers. The rule is for requests to `router`, null: to all
    routers. `created_at` and `updated_at` are RFC 3339 in UTC."""

    object: Literal["rule"] = "rule"
    id: str
    position: int
    name: str | None
    when: RuleConditions
    then: RuleEffect | None
    router: str | None = None
    enabled: bool
    created_at: str
    updated_at: str

    @property
    def title(self) -> str:
        """For the records of stages."""
        return f"rule {self.id}" + (f" ({self.name})" if self.name else "")


class RuleCreate(BaseModel):
    """Without `position` the rule goes to the end; else to this place, and those from there on move
    by one. `then` is left out if `when.mention` is true. `router` null: for all routers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    when: RuleConditions
    then: RuleEffect | None = None
    router: RouterId | None = None
    position: Position | None = None
    enabled: bool = True
    name: RuleName | None = None


class RulePatch(BaseModel):
    """A field that is left out stays as it is; `when` and `then` are replaced as a whole."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    when: RuleConditions = Field(default_factory=RuleConditions)
    then: RuleEffect | None = None
    router: RouterId | None = None
    position: Position = 1
    enabled: bool = True
    name: RuleName | None = None


class RuleDeleted(BaseModel):
    object: Literal["rule.deleted"] = "rule.deleted"
    id: str
    deleted: Literal[True] = True


class RuleTestRequest(RuleCreate):
    """A rule as POST /v1/rules gets it; it is tested as if it were enabled. `replaces` is the id of
    the rule that it would replace."""

    replaces: Id | None = None


class RuleTestExample(BaseModel):
    """A logged query whose decision the rule would change. `agent_before` is what was decided, null
    for nobody. `agent_after` is null if the later stages would decide, among other agents (`effect`
    "never") or by another model ("model"): they are not called for a test."""

    log_id: str
    created_at: str
    query: str
    agent_before: str | None
    agent_after: str | None
    effect: Literal["agent_id", "never", "prefer", "model"]


class RuleTest(BaseModel):
    """What a rule would have changed, of the newest 1,000 log rows. `tested` are the routed queries
    among them whose text is stored. Of these `matched` meet the conditions, and for `changed`
    another decision would have been made, or would have to be. `undecided` are those of `changed`
    whose new agent the later stages would choose. `complete` is false if the test ended early,
    because the texts or the expressions took too long. `warning` is there if the rule holds for
    every query."""

    object: Literal["rule.test"] = "rule.test"
    tested: int
    matched: int
    changed: int
    undecided: int
    complete: bool
    warning: str | None
    examples: list[RuleTestExample]


def agents_named(effect: RuleEffect | None) -> Iterable[tuple[str, str]]:
    """The agents of an effect, each with the path of its field."""
    if effect is None:
        return
    for name in ("agent_id", "prefer"):
        agent_id = getattr(effect, name)
        if agent_id is not None:
            yield f"then.{name}", agent_id
    for index, agent_id in enumerate(effect.never or ()):
        yield f"then.never[{index}]", agent_id


def rules_of_router(rules: Iterable[Rule], router_id: str) -> tuple[Rule, ...]:
    """Those for this router, and those for all."""
    return tuple(rule for rule in rules if rule.router in (None, router_id))
