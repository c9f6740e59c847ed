"""Handlers and what they take: `call` first, then by name `body` and `query` (pydantic models,
parsed here) and the parameters of the path. The signature is the one source, also for
/openapi.json."""

import inspect
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from edgeneuro.errors import InvalidItemsError, InvalidRequestError, ItemFault
from edgeneuro.web.response import Reply, Response
from edgeneuro.web.upload import Upload

_MOST_FAULTS = 1_000
_CODES = {
    "json_invalid": "invalid_json",
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
}


class Handler:
    """`body`, `query` and `content` are the models of its signature; None where it has none. A
    body of the type bytes is handed on as it came, one of the type Upload as it comes; `streams`
    tells that the answer may come as events instead."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        hints = get_type_hints(function)
        self.body: type[BaseModel] | type[bytes] | type[Upload] | None = hints.get("body")
        self.query: type[BaseModel] | None = hints.get("query")
        returns = get_args(hints["return"])
        is_union = get_origin(hints["return"]) in (UnionType, Union)
        self.streams = is_union and Response in returns
        self.content = _content(returns[0] if self.streams else hints["return"])
        self.summary = (inspect.getdoc(function) or "").strip()

    async def __call__(
        self, call: Any, body: bytes | Upload, query_string: str, path_values: dict[str, str]
    ) -> Any:
        arguments: dict[str, Any] = dict(path_values)
        if self.body is not None:
            model = self.body
            if isinstance(body, bytes) and issubclass(model, BaseModel):
                arguments["body"] = parse_body(model, body)
            else:
                arguments["body"] = body
        if self.query is not None:
            arguments["query"] = parse_query(self.query, query_string)
        return await self.function(call, **arguments)


def parse_body(model: type[BaseModel], body: bytes) -> BaseModel:
    if not body.strip():
        raise InvalidRequestError("The body is empty; send a JSON object.", code="invalid_json")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request(error) from error


def parse_query(model: type[BaseModel], query_string: str) -> BaseModel:
    try:
        return model.model_validate(dict(parse_qsl(query_string, keep_blank_values=True)))
    except ValidationError as error:
        raise invalid_request(error) from error


def _content(returns: Any) -> type[BaseModel] | None:
    """The model inside Reply[Model], or the model itself; None for a raw Response."""
    if get_origin(returns) is Reply:
        returns = get_args(returns)[0]
    is_model = inspect.isclass(returns) and issubclass(returns, BaseModel)
    return returns if is_model else None


def invalid_request(error: ValidationError) -> InvalidRequestError:
    """The first fault, named by its field; of a list, the faults of all items."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    faults = [
        ItemFault(each["loc"][0], param, code, message)
        for each in found
        if each["loc"] and isinstance(each["loc"][0], int)
        for code, param, message in [_describe(each)]
    ]
    if faults:
        return InvalidItemsError(faults[:_MOST_FAULTS])
    code, param, message = _describe(found[0])
    return InvalidRequestError(message, code=code, param=param)


def _describe(fault: Any) -> tuple[str, str | None, str]:
    """Code, field and message; pydantic's words say what was expected."""
    param = _param(fault["loc"])
    words = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "json_invalid":
        words = words.removeprefix("Invalid JSON: ")
        # pydantic's parser has a bound of its own, 200, which holds in Pyodide.
        words = words.replace("recursion limit exceeded", "it is nested too deep")
        param, words = None, f"The body is not JSON: {words}."
    elif fault["type"] == "missing":
        words = "this field is missing; add it"
    elif fault["type"] == "extra_forbidden":
        words = "there is no such field; remove it"
    message = f"{param}: {words}." if param else words
    return _CODES.get(fault["type"], "invalid_value"), param, message


def _param(location: tuple[int | str, ...]) -> str | None:
    text = ""
    for part in location:
        if isinstance(part, str) and part.startswith("("):
            continue  # the name of a kind (domain/chat_message.py), not of a field
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")[:200] or None
