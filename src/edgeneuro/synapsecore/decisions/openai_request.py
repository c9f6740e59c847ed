"""Requests in OpenAI's format: the body of POST /v1/decisions.

The types are those of the official client (openai/types/decision_create_params.py): `input` is a
text or a list of messages and tool calls, and 1 to 400 questions are answered in their order."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StringConstraints, Tag

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.fields import without_nul
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
from edgeneuro.synapsecore.decisions.body import DecisionBody, Liberal

MAX_QUESTIONS = 400
_TEXT_FIELDS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
}
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = ("function_call_output", "custom_tool_call_output")


def _text_or_list(value: Any) -> str:
    return "(text)" if isinstance(value, str) else "(list)"


def _text_or_boolean(value: Any) -> str:
    return "(boolean)" if isinstance(value, bool) else "(text)"


def _address(given: Any) -> Any:
    """Chats have an object with the address where this API has the address."""
    return given.get("url") if isinstance(given, dict) else given


class DecisionPart(Liberal):
    """A part of a message or of a question's instructions: a text, an image as a data URL, or JSON
    in `data`."""

    type: Literal[
        "input_text", "output_text", "text", "refusal", "input_image", "image_url", "input_json"
    ]
    text: str | None = None
    refusal: str | None = None
    image_url: Annotated[str | None, BeforeValidator(_address)] = None
    data: dict[str, Any] | list[Any] | None = None


Parts = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[list[DecisionPart], Tag("(list)")],
    Discriminator(_text_or_list),
]


class DecisionInputItem(Liberal):
    """A message, a call of a tool, or a tool's output."""

    type: Literal[
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    ] = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Parts | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: Parts | None = None


class DecisionChoice(Liberal):
    """Values are typed: a text and a boolean with the same spelling are two options."""

    value: Annotated[
        Annotated[str, Tag("(text)")] | Annotated[bool, Tag("(boolean)")],
        Discriminator(_text_or_boolean),
    ]
    description: str | None = None


class DecisionLevel(Liberal):
    label: str
    description: str | None = None


class DecisionQuestion(Liberal):
    """A "predicate" asks for the probability that a statement is true, a "choice" for one of 2 to
    255 `choices`, a "score" for one of 2 to 10 `levels`, the lowest first. A choice of the name
    "agent" without choices asks which agent should answer."""

    type: Literal["predicate", "choice", "score"]
    name: str | None = None
    instructions: Parts
    choices: list[DecisionChoice] | None = None
    levels: list[DecisionLevel] | None = None


class DecisionsRequest(DecisionBody):
    """`model` is "auto", "auto:ROUTER", or a decision model's id or alias. `input` is a text, or
    messages and tool calls. With "auto", a choice question whose choices are ids of agents (and
    "none") is decided by the router, as in POST /v1/route; other questions are answered by the
    active model if it is a decision model, else by the first decision model of the chain."""

    model: ModelId = AUTO
    input: Annotated[
        Annotated[str, Tag("(text)")] | Annotated[list[DecisionInputItem], Tag("(list)")],
        Discriminator(_text_or_list),
    ]
    questions: Annotated[list[DecisionQuestion], Field(min_length=1, max_length=MAX_QUESTIONS)]
    safety_identifier: (
        Annotated[str, StringConstraints(max_length=200), AfterValidator(without_nul)] | None
    ) = None
    edgeneuro: DecisionOptions = Field(default_factory=DecisionOptions)

    def image_urls(self) -> list[str]:
        return [part.image_url for _, part in self._parts() if part.image_url is not None]

    def asked(self) -> QuestionSet:
        """Raises InvalidRequestError."""
        urls = [
            require_image(part.image_url, self.images, f"{param}.image_url")
            for param, part in self._parts()
            if part.image_url is not None
        ]
        options = self.edgeneuro
        if options.user is None and self.safety_identifier:
            options = options.model_copy(update={"user": self.safety_identifier})
        state, said = self._state()
        return QuestionSet(
            model=self.model,
            state=state,
            text=state if said is None else said_last(said),
            previous=previous_of(said, options.context),
            questions=tuple(
                _question(at, name, each)
                for at, (name, each) in enumerate(
                    zip(_ids(self.questions), self.questions, strict=True)
                )
            ),
            options=options,
            state_param="input",
            image_urls=require_images(urls, "input"),
            images=self.images,
        )

    def _parts(self) -> list[tuple[str, DecisionPart]]:
        if isinstance(self.input, str):
            return []
        return [
            (f"input[{at}].{name}[{place}]", part)
            for at, item in enumerate(self.input)
            for name, parts in (("content", item.content), ("output", item.output))
            if isinstance(parts, list)
            for place, part in enumerate(parts)
        ]

    def _state(self) -> tuple[Any, list[tuple[str, str]] | None]:
        """The text or the conversation, and who said what in it: calls of tools and their outputs
        do not count for routing. None of a text."""
        if isinstance(self.input, str):
            return require_text(self.input, "input"), None
        messages = [_message(item, f"input[{at}]") for at, item in enumerate(self.input)]
        if not self.image_urls() and not any(each["content"].strip() for each in messages):
            raise invalid("input", "is empty; send a text or messages")
        said = [
            (each["role"], each["content"])
            for item, each in zip(self.input, messages, strict=True)
            if item.type == "message"
        ]
        return messages, said


def _message(item: DecisionInputItem, param: str) -> dict[str, str]:
    """One message of the conversation. Calls of tools and their outputs are texts in it."""
    if item.type == "message":
        if item.role is None:
            raise missing(f"{param}.role")
        return {"role": item.role, "content": _text(item.content, f"{param}.content")}
    if item.type in _RESULTS:
        output = _text(item.output, f"{param}.output")
        return {"role": "assistant", "content": f"The tool's output: {output}"}
    field = _CALLS[item.type]
    given = getattr(item, field)
    if item.name is None or given is None:
        raise missing(f"{param}.{'name' if item.name is None else field}")
    return {"role": "assistant", "content": f"Calls the tool {item.name} with: {given}"}


def _text(parts: str | list[DecisionPart] | None, param: str, *, images: bool = True) -> str:
    """The texts of the parts, one in a line; images are sent beside the text."""
    if parts is None:
        raise missing(param)
    if isinstance(parts, str):
        return parts
    texts: list[str] = []
    for at, part in enumerate(parts):
        path = f"{param}[{at}]"
        if part.type == "input_json":
            if part.data is None:
                raise missing(f"{path}.data")
            texts.append(json_text(part.data))
        elif part.type in _TEXT_FIELDS:
            field = _TEXT_FIELDS[part.type]
            text = getattr(part, field)
            if text is None:
                raise missing(f"{path}.{field}")
            texts.append(text)
        elif part.image_url is None:
            raise missing(f"{path}.image_url")
        elif not images:
            raise invalid(f"{path}.type", "a question takes no images; send them in `input`")
    return "\n".join(texts)


def _ids(questions: list[DecisionQuestion]) -> list[str]:
    """The names, which models read too; where there is none, or several questions have it, or
    System One does not allow it, one that no other question has."""
    counts = Counter(each.name for each in questions)
    ids = []
    for at, each in enumerate(questions):
        name = each.name
        if name is None or counts[name] > 1 or not QUESTION_ID.fullmatch(name):
            name = f"q{at}"
            while name in counts:
                name += "_"
        ids.append(name)
    return ids


def _question(at: int, id: str, given: DecisionQuestion) -> AskedQuestion:
    param = f"questions[{at}]"
    path = f"{param}.instructions"
    instructions = require_text(_text(given.instructions, path, images=False), path)
    if given.type == "choice":
        return _choice(at, id, given, instructions)
    if given.type == "predicate":
        return AskedQuestion(id, given.name, param, YesNo(instructions))
    levels = [Level(each.label, each.description) for each in given.levels or ()]
    for place, level in enumerate(levels):
        require_text(level.label, f"{param}.levels[{place}].label")
    score = Score(instructions, require_levels(levels, f"{param}.levels"))
    return AskedQuestion(id, given.name, param, score)


def _choice(at: int, id: str, given: DecisionQuestion, instructions: str) -> AskedQuestion:
    param = f"questions[{at}]"
    if not given.choices and given.name == AGENT_QUESTION:
        return AskedQuestion(id, given.name, param, None, options_param=f"{param}.choices")
    texts = {each.value for each in given.choices or () if isinstance(each.value, str)}
    options = tuple(
        Option(
            id=each.value if isinstance(each.value, str) else _id_of(each.value, texts),
            value=each.value,
            param=f"{param}.choices[{place}].value",
            description=each.description,
        )
        for place, each in enumerate(given.choices or ())
    )
    require_options(options, f"{param}.choices")
    choice = Choice(instructions, {option.id: option.description for option in options})
    return AskedQuestion(id, given.name, param, choice, options, f"{param}.choices")


def _id_of(value: bool, texts: set[str]) -> str:
    """A boolean's id, which no other option has."""
    name = str(value).lower()
    while name in texts:
        name += " (boolean)"
    return name
