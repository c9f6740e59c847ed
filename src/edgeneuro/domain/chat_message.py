"""The messages and tools of a chat, in OpenAI's shape.

Where a field is a text or something else, pydantic would name the kind in an error's way to the
field. The kinds here have names in parentheses, which web/handler.py leaves out."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from edgeneuro.domain.text import without_nul

Role = Literal["system", "developer", "user", "assistant", "tool"]
FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
CallId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, AfterValidator(without_nul)]
_MOST_CALLS = 128


class Strict(BaseModel):
    """Of what clients send: nothing unknown, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(Strict):
    type: Literal["text"]
    text: Text


class ImageUrl(Strict):
    """`url` is an address, or a data: URL that holds the image."""

    url: Annotated[str, StringConstraints(min_length=1)]
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


def _kind_of_part(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"({kind})" if kind in ("text", "image_url") else None


def _kind_of_content(value: Any) -> str:
    return "(text)" if isinstance(value, str) else "(parts)"


Part = Annotated[
    Annotated[TextPart, Tag("(text)")] | Annotated[ImagePart, Tag("(image_url)")],
    Discriminator(
        _kind_of_part,
        custom_error_type="unknown_part",
        custom_error_message="must be an object with the type 'text' or 'image_url'",
    ),
]
Content = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Annotated[list[Part], Field(min_length=1)], Tag("(parts)")],
    Discriminator(_kind_of_content),
]


class CalledFunction(Strict):
    """`arguments` is JSON as the model wrote it, which need not be valid."""

    name: FunctionName
    arguments: Text


class ToolCall(Strict):
    id: CallId
    type: Literal["function"]
    function: CalledFunction


_OF_A_MESSAGE = ("role", "name", "refusal", "tool_calls", "tool_call_id", "content")


class Message(Strict):
    """An assistant's comes back as some library made it of our answer, with fields of its own
    (LiteLLM's `provider_specific_fields`): they are passed over."""

    role: Role
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    refusal: Text | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=_MOST_CALLS)] | None = None
    tool_call_id: Annotated[CallId | None, Field(validate_default=True)] = None
    content: Annotated[Content | None, Field(validate_default=True)] = None

    @model_validator(mode="before")
    @classmethod
    def _without_additions(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("role") != "assistant":
            return given
        return {name: given[name] for name in _OF_A_MESSAGE if name in given}

    @field_validator("refusal", "tool_calls")
    @classmethod
    def _of_an_assistant(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("role", "assistant") != "assistant":
            raise ValueError("only a message of the role 'assistant' has it; remove it")
        return value

    @field_validator("tool_call_id")
    @classmethod
    def _of_a_tool(cls, call_id: str | None, info: ValidationInfo) -> str | None:
        role = info.data.get("role")
        if role == "tool" and call_id is None:
            raise ValueError("a message of the role 'tool' needs it: the id of the call it answers")
        if role not in ("tool", None) and call_id is not None:
            raise ValueError("only a message of the role 'tool' has it; remove it")
        return call_id

    @field_validator("content")
    @classmethod
    def _fits_the_role(
        cls, content: str | list[TextPart | ImagePart] | None, info: ValidationInfo
    ) -> str | list[TextPart | ImagePart] | None:
        role = info.data.get("role", "user")
        instead = role == "assistant" and (info.data.get("tool_calls") or info.data.get("refusal"))
        if content is None and not instead:
            raise ValueError("must be a text or a list of parts; only an assistant's may be null")
        if role != "user" and isinstance(content, list):
            images = (at for at, part in enumerate(content) if isinstance(part, ImagePart))
            if (at := next(images, None)) is not None:
                raise ValueError(f"part {at} is an image, which only the role 'user' may send")
        return content

    def sent(self) -> dict[str, Any]:
        """As models get it. To most of them a developer is unknown; the word for it is system."""
        fields = self.model_dump(exclude_none=True)
        if not fields.get("tool_calls"):
            fields.pop("tool_calls", None)
        if self.role == "developer":
            fields["role"] = "system"
        return {"role": fields.pop("role"), "content": fields.pop("content", None), **fields}


class ToolFunction(Strict):
    """`parameters` is a JSON Schema, which goes to the model as it is."""

    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Strict):
    type: Literal["function"]
    function: ToolFunction

    def sent(self) -> dict[str, Any]:
        given = self.function.model_fields_set
        function = {name: getattr(self.function, name) for name in sorted(given)}
        return {"type": self.type, "function": function}


def texts_of(message: Message) -> list[str]:
    if isinstance(message.content, str):
        return [message.content]
    return [part.text for part in message.content or () if isinstance(part, TextPart)]
