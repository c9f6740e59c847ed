"""Chat requests in OpenAI's shape: the body of POST /v1/chat/completions."""

from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from edgeneuro.domain.agent import AgentId, ModelId
from edgeneuro.domain.chat_format import (
    FunctionChoice,
    NamedFunction,
    NamedTool,
    ResponseFormat,
    StreamOptions,
    ToolChoice,
)
from edgeneuro.domain.chat_message import (
    MAX_MESSAGES,
    ImagePart,
    Lenient,
    Message,
    Tool,
    ToolFunction,
    sent_messages,
    sent_value,
    with_text,
)
from edgeneuro.domain.conversation import Conversation, RouteContext, read_conversation
from edgeneuro.domain.decision import MetadataKey, MetadataValue, ShortText
from edgeneuro.domain.fields import INTEGRAL, without_nul
from edgeneuro.domain.images import Images, set_images_aside
from edgeneuro.domain.outcome import OnNoFit, PolicyOptions
from edgeneuro.errors import BodyTooLargeError

AGENT_PREFIX = "agent:"
_MAX_TOOLS = 128
MAX_TEXT_BYTES = 1024 * 1024
MAX_BODY_BYTES = 20 * 1024 * 1024  # with images; an isolate has 128 MB for all its requests
_WITH_IMAGES_BYTES = 64 * 1024

Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000), INTEGRAL]
# Empty texts are taken as left out (ChatRequest), so none has a least length.
Word = Annotated[str, StringConstraints(max_length=64)]
UserName = Annotated[str, StringConstraints(max_length=200), AfterValidator(without_nul)]
StopText = Annotated[str, StringConstraints(max_length=500), AfterValidator(without_nul)]


class ChatOptions(BaseModel):
    """What OpenAI's API has no field for; of our own words an unknown one is refused. `candidates`,
    `session`, `fallback`, `on_no_fit`, `policy` and `explain` are as in POST /v1/route; a client
    that asks for JSON or requires a tool call gets no clarifying question. `context` names the
    agent of the turn before, as `previous_agent`: the messages say the rest. If no agent answers,
    nothing is sent and the request fails with `no_agent_fits`. `cache` true keeps the answer and
    gives a kept one, false does neither, and null does so where `temperature` is 0."""

    model_config = ConfigDict(extra="forbid", strict=True)

    candidates: Annotated[list[AgentId], Field(min_length=1, max_length=250)] | None = None
    session: ShortText | None = None
    context: RouteContext | None = None
    cache: bool | None = None
    fallback: bool = True
    on_no_fit: OnNoFit | None = None
    policy: PolicyOptions | None = None
    explain: bool = False


def _one_or_list(value: Any) -> str:
    return "(one)" if isinstance(value, str) else "(list)"


Stop = Annotated[
    Annotated[StopText, Tag("(one)")]
    | Annotated[Annotated[list[StopText], Field(max_length=4)], Tag("(list)")],
    Discriminator(_one_or_list),
]
# Where an empty text says what leaving the field out says.
_EMPTY_IS_NOTHING = ("stop", "user", "reasoning_effort", "verbosity")
# Clients of local models write -1 where there is to be no limit.
_LIMITS, _NO_LIMIT = ("max_tokens", "max_completion_tokens"), -1


def _too_much_text() -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The body has more than {MAX_TEXT_BYTES} bytes beside its images; send less text, and"
        " images as data URLs in `image_url`."
    )


class ChatRequest(Lenient):
    """`model` is "auto" (the router chooses the agent), "agent:ID", or a model's id or alias.
    `functions` and `function_call` are what older clients call tools; the answer then calls a
    function in their words. Fields that are not listed here are taken too; upstreams that take
    fields of their own get them."""

    model: ModelId
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(max_length=_MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    functions: Annotated[list[ToolFunction], Field(max_length=_MAX_TOOLS)] | None = None
    function_call: FunctionChoice | None = None
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
    user: UserName | None = None
    n: Annotated[int, INTEGRAL] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, INTEGRAL] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    edgeneuro: ChatOptions = Field(default_factory=ChatOptions)
    _images: Images = PrivateAttr(default_factory=Images)

    @classmethod
    def read_body(cls, body: bytes) -> "ChatRequest":
        """Parses a body whose images stay outside. Raises ValidationError, and BodyTooLargeError
        where all but the images has more than 1 MB."""
        text, images = body, Images()
        if len(body) > _WITH_IMAGES_BYTES:
            text, images = set_images_aside(body)
        if len(text) > MAX_TEXT_BYTES:
            raise _too_much_text()
        request = cls.model_validate_json(text)
        if images.placeholders - request._image_urls():  # one is where no image belongs
            if len(body) > MAX_TEXT_BYTES:
                raise _too_much_text()
            return cls.model_validate_json(body)
        request._images = images
        return request

    @property
    def images(self) -> Images:
        return self._images

    def _image_urls(self) -> set[str]:
        parts = (part for message in self.messages for part in message.content or ())
        return {part.image_url.url for part in parts if isinstance(part, ImagePart)}

    @model_validator(mode="before")
    @classmethod
    def _without_what_says_nothing(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        read = {name: v for name, v in given.items() if v != "" or name not in _EMPTY_IS_NOTHING}
        for name in _LIMITS:
            if read.get(name) == _NO_LIMIT:
                del read[name]
        if isinstance(read.get("stop"), list):
            read["stop"] = [text for text in read["stop"] if text != ""] or None
        return read

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

    @field_validator("function_call")
    @classmethod
    def _of_the_functions(
        cls, choice: NamedFunction | str | None, info: ValidationInfo
    ) -> NamedFunction | str | None:
        names = {function.name for function in info.data.get("functions") or ()}
        if isinstance(choice, NamedFunction) and choice.name not in names:
            raise ValueError(f"`functions` has no function {choice.name!r}; add it")
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

    @cached_property
    def conversation(self) -> Conversation:
        """What is routed and logged: what the user said last, and the turn before it."""
        return read_conversation(self.messages)

    @property
    def accepts_text(self) -> bool:
        """Whether a text may be the answer: the client asks for no JSON, and requires no tool."""
        format_type = None if self.response_format is None else self.response_format.type
        required = self.tool_choice == "required" or isinstance(self.tool_choice, NamedTool)
        required = required or isinstance(self.function_call, NamedFunction)
        return format_type in (None, "text") and not required

    @property
    def has_tools(self) -> bool:
        return bool(self.tools or self.functions)

    def with_text(self, text: str) -> "ChatRequest":
        """The same request with this text as the user's last message; its images stay."""
        messages = list(self.messages)
        at = max(at for at, each in enumerate(messages) if each.role == "user")
        messages[at] = with_text(messages[at], text)
        return self.model_copy(update={"messages": messages})

    @property
    def calls_functions(self) -> bool:
        """Whether the client knows functions, and no tools yet."""
        return bool(self.functions) and not self.tools

    def sent_messages(self, *, extras: bool) -> list[dict[str, Any]]:
        return sent_messages(self.messages, extras=extras)

    def parameters(self, *, extras: bool) -> dict[str, Any]:
        """All that bears on an answer beside the messages, in OpenAI's words; with `extras` as
        they came, with the fields inside that are not known here."""
        values = {name: sent_value(getattr(self, name), extras=extras) for name in _PARAMETERS}
        given = {name: value for name, value in values.items() if value is not None}
        if self.max_completion_tokens is not None:
            given["max_tokens"] = self.max_completion_tokens
        return given | self._tool_parameters(extras=extras)

    def extra_parameters(self) -> dict[str, Any]:
        """The fields that are not known here, but for those that are for the operator to choose."""
        return {name: value for name, value in self.extras().items() if name not in _NEVER_SENT}

    def _tool_parameters(self, *, extras: bool) -> dict[str, Any]:
        if self.calls_functions:
            functions = sent_value(self.functions, extras=extras)
            choice = sent_value(self.function_call, extras=extras)
            values = {
                "tools": [{"type": "function", "function": each} for each in functions],
                "tool_choice": choice
                if choice is None or isinstance(choice, str)
                else {"type": "function", "function": choice},
            }
        else:
            names = ("tools", "tool_choice", "parallel_tool_calls") if self.tools else ()
            values = {name: sent_value(getattr(self, name), extras=extras) for name in names}
        return {name: value for name, value in values.items() if value is not None}


_PARAMETERS = (
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
)
# What gateways and routers of other makers take for the choice of another model, address, key or
# bill, and what stores texts elsewhere: that is the operator's to choose, not the caller's.
_NEVER_SENT = frozenset(
    {
        "adapter_id",
        "api_base",
        "api_key",
        "api_version",
        "base_url",
        "best_of",
        "custom_llm_provider",
        "extra_body",
        "extra_headers",
        "fallbacks",
        "headers",
        "input",
        "lora",
        "lora_request",
        "metadata",
        "mock_response",
        "models",
        "organization",
        "plugins",
        "prompt",
        "preset",
        "project",
        "provider",
        "raw",
        "route",
        "service_tier",
        "store",
        "transforms",
        "web_search_options",
    }
)
