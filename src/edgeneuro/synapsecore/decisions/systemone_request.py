"""Requests in System One's format: the body of POST /v1/systemone.

It is what Workers AI, vLLM, Fireworks and others take: a `state` and 1 to 64 `questions` by id, of
the types "noul" (yes or no), "choice" and "score". Ids have letters, digits, `_ . -`, at most 100
characters. `instructions`, and texts of `criteria`, may be JSON, which is read as its text."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.question import Choice, Level, Score, YesNo
from edgeneuro.domain.router_names import AUTO
from edgeneuro.synapsecore.context_window import json_text
from edgeneuro.synapsecore.decisions.asked import (
    AGENT_QUESTION,
    QUESTION_ID,
    AskedQuestion,
    DecisionOptions,
    Option,
    QuestionSet,
    invalid,
    missing,
    previous_of,
    require_image,
    require_images,
    require_levels,
    require_options,
    require_text,
    said_last,
)
from edgeneuro.synapsecore.decisions.body import DecisionBody, Liberal, RepeatedNames

MAX_QUESTIONS = 64


class SystemOneQuestion(Liberal):
    """`criteria` of a "noul" say what true and false mean (optional), those of a "choice" are 2 to
    255 descriptions (or null) by option, those of a "score" 2 to 10 levels, the lowest first. A
    choice of the id "agent" without criteria asks which agent should answer."""

    type: Literal["noul", "choice", "score"]
    instructions: Any
    criteria: Any = None


class SystemOneRequest(DecisionBody):
    """`model` is "auto", "auto:ROUTER", or a decision model's id, alias or bare name. `state` is a
    text, an object or a list; a list of objects with `role` and `content` is a conversation.
    `images` are data URLs. With "auto", a choice question whose options are ids of agents (and
    "none") is decided by the router, as in POST /v1/route; other questions are answered by the
    active model if it is a decision model, else by the first decision model of the chain."""

    images_in_lists: ClassVar[bool] = True

    model: ModelId = AUTO
    state: Any
    questions: Annotated[
        dict[str, SystemOneQuestion], Field(min_length=1, max_length=MAX_QUESTIONS)
    ]
    images_: Annotated[list[str] | None, Field(alias="images")] = None
    edgeneuro: DecisionOptions = Field(default_factory=DecisionOptions)

    @field_validator("questions", mode="before")
    @classmethod
    def _each_once(cls, given: Any) -> Any:
        if isinstance(given, RepeatedNames):
            raise ValueError(f"{given.name!r} is there twice; each id must differ")
        return given

    def image_urls(self) -> list[str]:
        return self.images_ or []

    def asked(self) -> QuestionSet:
        """Raises InvalidRequestError."""
        _require_state(self.state)
        urls = [
            require_image(url, self.images, f"images[{at}]")
            for at, url in enumerate(self.image_urls())
        ]
        said = _said(self.state) if is_conversation(self.state) else None
        return QuestionSet(
            model=self.model,
            state=self.state,
            text=json_text(self.state) if said is None else said_last(said),
            previous=previous_of(said, self.edgeneuro.context),
            questions=tuple(_question(name, each) for name, each in self.questions.items()),
            options=self.edgeneuro,
            state_param="state",
            image_urls=require_images(urls, "images"),
            images=self.images,
        )


def is_conversation(state: Any) -> bool:
    return isinstance(state, list) and all(
        isinstance(each, dict)
        and isinstance(each.get("role"), str)
        and isinstance(each.get("content"), str | list)
        for each in state
    )


def _require_state(state: Any) -> None:
    if not isinstance(state, str | dict | list):
        raise invalid("state", "must be a text, an object or a list")
    if not state or (isinstance(state, str) and not state.strip()):
        raise invalid("state", "is empty; send a text, an object or a list")


def _said(conversation: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Who said what."""
    return [(each["role"], _text_of(each["content"])) for each in conversation]


def _text_of(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "\n".join(text for text in parts if isinstance(text, str))


def _question(name: str, given: SystemOneQuestion) -> AskedQuestion:
    param = f"questions.{name[:100]}"
    if not QUESTION_ID.fullmatch(name):
        raise invalid(
            param, "an id has 1 to 100 letters, digits, underscores, dots and hyphens; rename it"
        )
    path = f"{param}.instructions"
    instructions = require_text(_text(given.instructions, path), path)
    path = f"{param}.criteria"
    if given.type == "choice":
        return _choice(name, given.criteria, instructions, param)
    if given.type == "noul":
        criteria = {} if given.criteria is None else given.criteria
        if not isinstance(criteria, dict):
            raise invalid(path, "must be an object with `true` and `false`")
        yes, no = (_optional_text(criteria.get(side), f"{path}.{side}") for side in _SIDES)
        return AskedQuestion(name, name, param, YesNo(instructions, yes, no))
    if not isinstance(given.criteria, list):
        raise invalid(path, "must be a list of levels, the lowest first")
    levels = [
        Level(require_text(_text(each, f"{path}[{at}]"), f"{path}[{at}]"))
        for at, each in enumerate(given.criteria)
    ]
    return AskedQuestion(name, name, param, Score(instructions, require_levels(levels, path)))


_SIDES = ("true", "false")


def _choice(name: str, criteria: Any, instructions: str, param: str) -> AskedQuestion:
    path = f"{param}.criteria"
    if not criteria and name == AGENT_QUESTION:
        return AskedQuestion(name, name, param, None, options_param=path)
    if not isinstance(criteria, dict):
        raise invalid(path, "must be an object: a description or null for each option")
    if isinstance(criteria, RepeatedNames):
        raise invalid(path, f"{criteria.name!r} is there twice; each option must differ")
    options = tuple(
        Option(
            id=value,
            value=value,
            param=f"{path}.{value}",
            description=_optional_text(description, f"{path}.{value}"),
        )
        for value, description in criteria.items()
    )
    require_options(options, path)
    choice = Choice(instructions, {option.id: option.description for option in options})
    return AskedQuestion(name, name, param, choice, options, path)


def _text(value: Any, param: str) -> str:
    if value is None:
        raise missing(param)
    return json_text(value)


def _optional_text(value: Any, param: str) -> str | None:
    return None if value is None else _text(value, param)
