"""What a chat's answer may be: JSON of a schema, a call of a tool, a stream with its usage."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from edgeneuro.domain.chat_message import FunctionName, Lenient


class StreamOptions(Lenient):
    include_usage: bool | None = None


class NamedFunction(Lenient):
    name: FunctionName


class NamedTool(Lenient):
    type: Literal["function"]
    function: NamedFunction


class JsonSchemaFormat(Lenient):
    name: FunctionName
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Lenient):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: Annotated[JsonSchemaFormat | None, Field(validate_default=True)] = None

    @field_validator("json_schema")
    @classmethod
    def _given_where_it_is_asked_for(
        cls, schema: JsonSchemaFormat | None, info: ValidationInfo
    ) -> JsonSchemaFormat | None:
        if info.data.get("type") == "json_schema" and schema is None:
            raise ValueError("the type 'json_schema' needs it; add it")
        return schema


def _word_or_tool(value: Any) -> str:
    return "(word)" if isinstance(value, str) else "(named)"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")]
    | Annotated[NamedTool, Tag("(named)")],
    Discriminator(_word_or_tool),
]
FunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("(word)")] | Annotated[NamedFunction, Tag("(named)")],
    Discriminator(_word_or_tool),
]
