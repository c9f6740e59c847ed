"""Chat requests in OpenAI's shape: the body of POST /v1/chat/completions."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
)

from edgeneuro.domain.agent import AgentId, ModelId
from edgeneuro.domain.chat_message import FunctionName, Message, Strict, Tool, texts_of
from edgeneuro.domain.decision import Label, MetadataKey, MetadataValue
from edgeneuro.domain.numbers import INTEGRAL
from edgeneuro.domain.text import without_nul

AUTO = "auto"
AGENT_PREFIX = "agent:"
_MOST_MESSAGES = 500
_MOST_TOOLS = 128
_ROUTED_CHARACTERS = 8_000

Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000), INTEGRAL]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
StopText = Annotated[
    str, StringConstraints(min_length=1, max_length=500), AfterValidator(without_nul)
]


class StreamOptions(Strict):
    include_usage: bool | None = None


class NamedFunction(Strict):
    name: FunctionName


class NamedTool(Strict):
    type: Literal["function"]
    function: NamedFunction


class JsonSchemaFormat(Strict):
    name: FunctionName
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Strict):
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


class ChatOptions(Strict):
    """What OpenAI's API has no field for. `candidates`, `session`, `fallback` and `explain` are as
    in POST /v1/route; `cache` true keeps the answer and gives a kept one, false does neither, and
    null does so where `temperature` is 0."""

    candidates: Annotated[list[AgentId], Field(min_length=1, max_length=250)] | None = None
    session: Label | None = None
    cache: bool | None = None
    fallback: bool = True
    explain: bool = False


def _one_or_list(value: Any) -> str:
    return "(one)" if isinstance(value, str) else "(list)"


def _word_or_tool(value: Any) -> str:
    return "(word)" if isinstance(value, str) else "(tool)"


Stop = Annotated[
    Annotated[StopText, Tag("(one)")]
    | Annotated[Annotated[list[StopText], Field(max_length=4)], Tag("(list)")],
    Discriminator(_one_or_list),
]
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")]
    | Annotated[NamedTool, Tag("(tool)")],
    Discriminator(_word_or_tool),
]


class ChatRequest(Strict):
    """`model` is "auto" (the router chooses the agent), "agent:ID", or a model's id or alias.
    `store`, `service_tier`, `safety_identifier` and `prompt_cache_key` are taken and have no
    effect."""

    model: ModelId
    messages: Annotated[list[Message], Field(min_length=1, max_length=_MOST_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(max_length=_MOST_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stop | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), INTEGRAL] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Word | None = None
    verbosity: Word | None = None
    user: Label | None = None
    n: Annotated[int, INTEGRAL] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, INTEGRAL] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Word | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    edgeneuro: ChatOptions = Field(default_factory=ChatOptions)

    @field_validator("tool_choice")
    @classmethod
    def _of_the_tools(
        cls, choice: NamedTool | str | None, info: ValidationInfo
    ) -> NamedTool | str | None:
        names = {tool.function.name for tool in info.data.get("tools") or ()}
        if choice == "required" and not names:
            raise ValueError("'required' needs `tools`; add them or leave it out")
        if isinstance(choice, NamedTool) and choice.function.name not in names:
            raise ValueError(f"`tools` has no function {choice.function.name!r}; add it")
        return choice

    @field_validator("n")
    @classmethod
    def _one_answer(cls, n: int | None) -> int | None:
        if n not in (None, 1):
            raise ValueError("there is one answer at a time; send 1 or leave it out")
        return n

    @field_validator("logit_bias", "logprobs", "top_logprobs")
    @classmethod
    def _not_possible(cls, value: Any, info: ValidationInfo) -> Any:
        if value:
            raise ValueError("the models behind EdgeNeuro have no such thing; leave it out")
        return value

    @property
    def text(self) -> str:
        """What the user said last, as far as it counts for routing and is logged; empty where there
        is no text."""
        said = [message for message in self.messages if message.role == "user"]
        text = "\n".join(texts_of(said[-1])) if said else ""
        return text.strip()[:_ROUTED_CHARACTERS].rstrip()

    def parameters(self) -> dict[str, Any]:
        """All that bears on an answer beside the messages, in OpenAI's words."""
        given = self.model_dump(
            include=_PARAMETERS, exclude_none=True, exclude_unset=True, by_alias=True
        )
        if self.max_completion_tokens is not None:
            given["max_tokens"] = self.max_completion_tokens
        if self.tools:
            given["tools"] = [tool.sent() for tool in self.tools]
            if isinstance(self.tool_choice, NamedTool):
                given["tool_choice"] = self.tool_choice.model_dump()
            elif self.tool_choice is not None:
                given["tool_choice"] = self.tool_choice
            if self.parallel_tool_calls is not None:
                given["parallel_tool_calls"] = self.parallel_tool_calls
        return given


_PARAMETERS = {
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "response_format",
    "reasoning_effort",
    "verbosity",
}
