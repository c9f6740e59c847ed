"""How a setting is declared: its type with the bounds, its default, and what it does."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

from pydantic import AfterValidator, Field, StringConstraints

from edgeneuro.domain.fields import INTEGRAL, one_line_text, without_nul

Group = Literal["models", "routing", "outcomes", "storage", "classifier", "promotion"]
Unit = Literal["ms", "seconds", "minutes", "days", "labels", "retries"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=1, le=1_000, allow_inf_nan=False)]
Labels = Annotated[int, Field(ge=1, le=1_000_000), INTEGRAL]
# Whether the router teaches itself: `observe` trains classifiers and counts what they would have
# answered, `on` enables those that pass too.
Learning = Literal["off", "observe", "on"]
ModelShortlist = Literal["auto", "off"]
# Who answers a message for several agents: the first of them, or all, one after another.
SeveralAnswers = Literal["first", "all"]
Sentence = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200),
    AfterValidator(without_nul),
    AfterValidator(one_line_text),
]


@dataclass(frozen=True)
class About:
    """`text` says what the setting does. With `variable` a variable of wrangler.toml applies while
    nothing is stored, else the default below. With `per_router` a router (domain/router.py) may
    have its own value. PATCH still accepts the `deprecated` names. `decides`: it changes which
    agent is decided on, so it is part of the fingerprint of a configuration and can be tried on
    logged queries (domain/proposal.py)."""

    group: Group
    text: str
    unit: Unit | None = None
    variable: bool = False
    per_router: bool = False
    decides: bool = False
    deprecated: tuple[str, ...] = ()


def outcomes(text: str) -> About:
    """Of the group "outcomes"."""
    return About("outcomes", text, per_router=True, decides=True)


ABOUT_SHORTLIST = About(
    "classifier",
    "auto: of more than 30 agents a model is offered the classifier's best, if these hold the right"
    " one in 99 % of held-out questions; off: all agents",
    per_router=True,
)


class Declared(NamedTuple):
    """A setting as SettingValues declares it; `type` has the bounds."""

    type: Any
    default: Any
    about: About


def declared_settings(values: type[Any]) -> dict[str, Declared]:
    """By name, in the order of the declaration."""
    hints = get_type_hints(values, include_extras=True)
    defaults = {field.name: field.default for field in fields(values)}
    found = {}
    for name, default in defaults.items():
        outer = hints[name]
        [about] = [each for each in outer.__metadata__ if isinstance(each, About)]
        rest = tuple(each for each in outer.__metadata__ if each is not about)
        kind = Annotated[(outer.__origin__, *rest)] if rest else outer.__origin__
        found[name] = Declared(kind, default, about)
    return found
