"""The messages and tools of a chat, in OpenAI's shape, read as liberally as clients write them.

A field that is not known here is preserved: `sent(extras=True)` has it, for upstreams that take
fields of their own. What is known must have the right type. Where a field is a text or something
else, pydantic would name the kind in an error's way to the field. The kinds here have names in
parentheses, which web/handler.py leaves out."""

from collections.abc import Sequence
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

from edgeneuro.domain.fields import Matches, without_nul

# "function" is what "tool" was called before tools; a developer is a system message to most models.
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
FunctionName = Annotated[
    str, Matches("[a-zA-Z0-9_-]{1,64}", "must be 1 to 64 letters, digits, hyphens and underscores")
]
CallId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, AfterValidator(without_nul)]
_MAX_CALLS = 128
MAX_MESSAGES = 1_000  # of a conversation
_RESULT_ROLES = ("tool", "function")


class Lenient(BaseModel):
    """Of what clients send: the known fields in their types, and any others as they came."""

    model_config = ConfigDict(extra="allow", strict=True)

    def extras(self) -> dict[str, Any]:
        """The fields that are not known, but for those that are null."""
        return {
            name: value for name, value in (self.model_extra or {}).items() if value is not None
        }

    def sent(self, *, extras: bool) -> dict[str, Any]:
        """As upstreams get it: without nulls, and with the fields that are not known here only
        where `extras` is true."""
        known = {
            field.alias or name: value
            for name, field in type(self).model_fields.items()
            if (value := getattr(self, name)) is not None
        }
        given = known | self.extras() if extras else known
        return {name: sent_value(value, extras=extras) for name, value in given.items()}


def sent_value(value: Any, *, extras: bool) -> Any:
    """A field's value as upstreams get it."""
    if isinstance(value, Lenient):
        return value.sent(extras=extras)
    if isinstance(value, list):
        return [sent_value(item, extras=extras) for item in value]
    return value


class TextPart(Lenient):
    type: Literal["text"]
    text: Text


class ImageUrl(Lenient):
    """`url` is an address, or a data: URL that contains the image."""

    url: Annotated[str, StringConstraints(min_length=1)]
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Lenient):
    type: Literal["image_url"]
    image_url: ImageUrl

    @field_validator("image_url", mode="before")
    @classmethod
    def _address_alone(cls, given: Any) -> Any:
        """Some clients write the address where OpenAI has an object with it."""
        return {"url": given} if isinstance(given, str) else given


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
    Annotated[Text, Tag("(text)")] | Annotated[list[Part], Tag("(parts)")],
    Discriminator(_kind_of_content),
]


class CalledFunction(Lenient):
    """`arguments` is JSON as the model wrote it, which need not be valid."""

    name: FunctionName
    arguments: Text


class ToolCall(Lenient):
    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Lenient):
    """One message. An assistant's message may have the fields that a client library added to our
    answer, and no content if it had none."""

    role: Role
    name: Annotated[
        Annotated[str, StringConstraints(max_length=64)] | None, Field(validate_default=True)
    ] = None
    refusal: Text | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=_MAX_CALLS)] | None = None
    function_call: CalledFunction | None = None
    tool_call_id: Annotated[CallId | None, Field(validate_default=True)] = None
    content: Annotated[Content | None, Field(validate_default=True)] = None

    @model_validator(mode="before")
    @classmethod
    def _read_liberally(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        read = dict(given)
        if read.get("name") == "":
            del read["name"]
        role, content = read.get("role"), read.get("content")
        if role == "assistant" and isinstance(content, list):
            read["content"] = content = _said(content)
        if content is None or content == []:
            # Clients resend such turns with every further message, and they do no harm.
            if role in _RESULT_ROLES or (role == "assistant" and _says_nothing(read)):
                read["content"] = ""
            elif role == "assistant":
                read["content"] = None
        return read

    @field_validator("name")
    @classmethod
    def _of_a_function(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is None and info.data.get("role") == "function":
            raise ValueError("a message of the role 'function' needs it: the function's name")
        return name

    @field_validator("refusal", "tool_calls", "function_call")
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
        if content is None and role != "assistant":
            raise ValueError("must be a text or a list of parts; only an assistant's may be null")
        if content == []:
            raise ValueError("has no part; send at least one, or a text")
        if role != "user" and isinstance(content, list):
            images = (at for at, part in enumerate(content) if isinstance(part, ImagePart))
            if (at := next(images, None)) is not None:
                raise ValueError(f"part {at} is an image, which only the role 'user' may send")
        return content

    def sent(self, *, extras: bool) -> dict[str, Any]:
        """As models get it. To most of them a developer is unknown; the word for it is system."""
        fields = super().sent(extras=extras)
        if not fields.get("tool_calls"):
            fields.pop("tool_calls", None)
        if self.role == "developer":
            fields["role"] = "system"
        return {"role": fields.pop("role"), "content": fields.pop("content", None), **fields}


def _said(parts: list[Any]) -> list[Any]:
    """An assistant's parts as text. A refusal is one too; its thoughts and what else it may have
    made are of no use to another model."""
    texts: list[Any] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "refusal":
            texts.append({"type": "text", "text": part.get("refusal")})
        elif kind in ("text", "image_url") or not isinstance(kind, str):
            texts.append(part)
    return texts


def _says_nothing(message: dict[str, Any]) -> bool:
    return not any(message.get(name) for name in ("tool_calls", "function_call", "refusal"))


class ToolFunction(Lenient):
    """`parameters` is a JSON Schema, which is sent to the model unchanged."""

    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Lenient):
    type: Literal["function"]
    function: ToolFunction


def sent_messages(messages: Sequence[Message], *, extras: bool) -> list[dict[str, Any]]:
    """As models get them. The functions of older clients become tools: a call gets an id, and the
    message of the role 'function' behind it is the result of that call."""
    sent: list[dict[str, Any]] = []
    call_id = ""
    for index, message in enumerate(messages):
        fields = message.sent(extras=extras)
        if message.function_call is not None and not message.tool_calls:
            call_id = f"call_{index}"
            called = fields["function_call"]
            fields["tool_calls"] = [{"id": call_id, "type": "function", "function": called}]
        fields.pop("function_call", None)
        if message.role == "function":
            fields |= {"role": "tool", "tool_call_id": call_id or f"call_{index}"}
        sent.append(fields)
    return sent


def texts_of(message: Message) -> list[str]:
    if isinstance(message.content, str):
        return [message.content]
    return [part.text for part in message.content or () if isinstance(part, TextPart)]


def with_text(message: Message, text: str) -> Message:
    """The same message with another text; its images stay."""
    content: str | list[Any] = text
    if isinstance(message.content, list):
        others = [part for part in message.content if not isinstance(part, TextPart)]
        content = [TextPart(type="text", text=text), *others]
    return message.model_copy(update={"content": content})
