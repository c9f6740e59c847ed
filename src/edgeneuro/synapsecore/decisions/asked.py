"""A request to a decision API, in one form for both formats; and the rules that both share. What
cannot be answered is an InvalidRequestError that names the field."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.conversation import (
    NOTHING_BEFORE,
    PreviousTurn,
    RouteContext,
    read_said,
    with_agent,
)
from edgeneuro.domain.decision import MetadataKey, MetadataValue, ShortText
from edgeneuro.domain.fields import MAX_QUERY_CHARACTERS, routed_text
from edgeneuro.domain.images import Images
from edgeneuro.domain.outcome import PolicyOptions
from edgeneuro.domain.query import canonical
from edgeneuro.domain.question import MAX_LEVELS, MAX_OPTIONS, MIN_OPTIONS, Level, Question
from edgeneuro.errors import InvalidRequestError
from edgeneuro.synapsecore.context_window import json_text

MAX_IMAGES = 4
MAX_OPTION_CHARACTERS = 256
_MIN_LEVELS = 2
_MAX_PARAM = 200
_SHOWN = 100  # characters of a level
# A choice question of this name needs no options: they are the agents.
AGENT_QUESTION = "agent"
# What System One allows.
QUESTION_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class DecisionOptions(BaseModel):
    """What the decision APIs have no field for; an unknown field is refused. `user`, `session` and
    `metadata` are as in POST /v1/route: they are stored with the decision, and the router's
    decision is remembered in the session. `context` is the turn before the text, for the router;
    with a conversation it has `previous_agent` alone. If `cache` is false, no cached answer is used
    and nothing is cached. If `fallback` is false, no fallback model is called and the fallback
    agent does not answer. `policy` is as in POST /v1/route."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user: ShortText | None = None
    session: ShortText | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    context: RouteContext | None = None
    cache: bool = True
    fallback: bool = True
    policy: PolicyOptions | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """`id` is unique in its question, `value` is what the caller sent: OpenAI's values may be
    booleans. `param` is the path of the field."""

    id: str
    value: str | bool
    param: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """`id` is unique in the request and one that System One allows; `name` is the caller's.
    `question` is None for the question which agent should answer, without options;
    `options_param` is the field that has the options of a choice."""

    id: str
    name: str | None
    param: str
    question: Question | None
    options: tuple[Option, ...] = ()
    options_param: str = ""

    @property
    def is_agent_question(self) -> bool:
        return self.question is None


@dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """`state` is a text, JSON, or a conversation: a list of objects with `role` and `content`.
    `text` is what the router reads: the text, what the user said last (empty if nothing), or the
    JSON; `previous` is the turn before it. `state_param` is the field that has the state."""

    model: str
    state: Any
    text: str
    questions: tuple[AskedQuestion, ...]
    options: DecisionOptions
    state_param: str
    previous: PreviousTurn = NOTHING_BEFORE
    image_urls: tuple[str, ...] = ()
    images: Images = field(default_factory=Images)

    @cached_property
    def query(self) -> str:
        """The text that is routed: its first 8,000 characters, in canonical form."""
        return routed_text(self.text.replace("\0", " "))

    @property
    def query_is_cut(self) -> bool:
        length = len(self.text)
        if length > 2 * MAX_QUERY_CHARACTERS:
            return True
        return length > MAX_QUERY_CHARACTERS and len(canonical(self.text)) > MAX_QUERY_CHARACTERS

    @property
    def logged_text(self) -> str:
        return self.query or routed_text(json_text(self.state).replace("\0", " "))


def said_last(conversation: Sequence[tuple[str, str]]) -> str:
    """The text of the last message of the user in roles and texts; empty if there is none."""
    return next((text for role, text in reversed(conversation) if role == "user"), "")


def previous_of(
    conversation: Sequence[tuple[str, str]] | None, context: RouteContext | None
) -> PreviousTurn:
    """The turn before what is routed: of a conversation (roles and texts), or of a text with this
    context. Raises InvalidRequestError if both say it."""
    if conversation is None:
        return PreviousTurn.of(context)
    said = read_said([(role, text.replace("\0", " ")) for role, text in conversation])
    return with_agent(said, context, param="edgeneuro.context").previous


def invalid(param: str, message: str, *, code: str = "invalid_value") -> InvalidRequestError:
    param = param[:_MAX_PARAM]
    return InvalidRequestError(f"{param}: {message}.", code=code, param=param)


def missing(param: str) -> InvalidRequestError:
    return invalid(param, "this field is missing; add it", code="missing_field")


def require_text(text: str, param: str) -> str:
    if not text.strip():
        raise invalid(param, "is empty; send a text")
    return text


def require_options(options: Sequence[Option], param: str) -> None:
    """2 to 255 options, each a different text that can be shown in one line."""
    if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        raise invalid(
            param, f"there are {len(options)} options; send {MIN_OPTIONS} to {MAX_OPTIONS}"
        )
    seen: set[tuple[type, str | bool]] = set()
    for option in options:
        value = option.value
        if isinstance(value, str):
            _require_option_text(value, option.param)
        if (type(value), value) in seen:
            raise invalid(option.param, f"{value!r} is there twice; each option must differ")
        seen.add((type(value), value))


def _require_option_text(value: str, param: str) -> None:
    require_text(value, param)
    if len(value) > MAX_OPTION_CHARACTERS:
        raise invalid(
            param, f"has {len(value)} characters; an option has at most {MAX_OPTION_CHARACTERS}"
        )
    if _CONTROL.search(value):
        raise invalid(param, "holds a control character; remove it")


def require_levels(levels: Sequence[Level], param: str) -> tuple[Level, ...]:
    """2 to 10 levels, each of another label: an answer may name them by it."""
    if not _MIN_LEVELS <= len(levels) <= MAX_LEVELS:
        raise invalid(param, f"there are {len(levels)} levels; send {_MIN_LEVELS} to {MAX_LEVELS}")
    seen: set[str] = set()
    for at, level in enumerate(levels):
        if level.label in seen:
            raise invalid(
                f"{param}[{at}]", f"{level.label[:_SHOWN]!r} is there twice; levels must differ"
            )
        seen.add(level.label)
    return tuple(levels)


def require_image(url: str, images: Images, param: str) -> str:
    """An image inside the request: nothing is fetched from other hosts."""
    if url not in images.placeholders and not url.startswith("data:image/"):
        raise invalid(param, "must be a data URL of an image (data:image/…); send the image itself")
    return url


def require_images(urls: Sequence[str], param: str) -> tuple[str, ...]:
    if len(urls) > MAX_IMAGES:
        raise invalid(param, f"there are {len(urls)} images; send at most {MAX_IMAGES}")
    return tuple(urls)
