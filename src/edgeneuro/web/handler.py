"""Handlers and their arguments: `call` first, then by name `body` and `query` (pydantic models,
parsed here) and the parameters of the path. The signature is the only source, also for
/openapi.json."""

import codecs
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from edgeneuro.bounded_json import loads
from edgeneuro.errors import (
    FieldFault,
    InvalidFieldsError,
    InvalidItemsError,
    InvalidRequestError,
    ItemFault,
)
from edgeneuro.web.response import Reply, Response
from edgeneuro.web.upload import Upload

Batch = TypeVar("Batch", bound=BaseModel)
MAX_FAULTS = 1_000
_MAX_DEPTH = 200  # pydantic has parsed the same text before, and has this limit
_CODES = {
    "json_invalid": "invalid_json",
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
}


@dataclass(frozen=True)
class Checked(Generic[Batch]):
    """A body that is a list, for handlers that check its items further: the items that the model
    accepts, by their index, and the faults of the others. One response can then list all faults."""

    items: dict[int, Any]
    faults: tuple[ItemFault, ...] = ()


class Handler:
    """`body`, `query` and `content` are the models of its signature; None if it has none. A handler
    with a body of the type bytes gets the raw body, with Upload a stream of it, with Checked[Model]
    the items and their faults. `streams`: the response may be a stream of events instead."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        hints = get_type_hints(function)
        body = hints.get("body")
        self._checks_items = get_origin(body) is Checked
        self.body: type[BaseModel] | type[bytes] | type[Upload] | None = (
            get_args(body)[0] if self._checks_items else body
        )
        # Declared by the model: without a body its defaults apply.
        self.body_optional: bool = getattr(self.body, "body_optional", False)
        self.query: type[BaseModel] | None = hints.get("query")
        returns = get_args(hints["return"])
        is_union = get_origin(hints["return"]) in (UnionType, Union)
        self.streams = is_union and Response in returns
        self.content = _content(returns[0] if self.streams else hints["return"])
        self.summary = (inspect.getdoc(function) or "").strip()

    def arguments(
        self, body: bytes | Upload, query_string: str, path_values: dict[str, str]
    ) -> dict[str, Any]:
        """The arguments of `function` besides the call. Raises InvalidRequestError."""
        arguments: dict[str, Any] = dict(path_values)
        if self.body is not None:
            model = self.body
            if isinstance(body, bytes) and issubclass(model, BaseModel):
                body = b"{}" if self.body_optional and not body.strip() else body
                parse = parse_items if self._checks_items else parse_body
                arguments["body"] = parse(model, body)
            else:
                arguments["body"] = body
        if self.query is not None:
            arguments["query"] = parse_query(self.query, query_string)
        return arguments


def parse_body(model: type[Batch], body: bytes) -> Batch:
    text = _json_text(body)
    read: Callable[[bytes], Batch] = getattr(model, "read_body", model.model_validate_json)
    try:
        return read(text)
    except ValidationError as error:
        if getattr(model, "lists_faults", False):
            raise invalid_fields(error) from error
        raise invalid_request(error) from error


def _json_text(body: bytes) -> bytes:
    """Without the byte order mark that some editors write."""
    text = body.removeprefix(codecs.BOM_UTF8)
    if not text.strip():
        raise InvalidRequestError("The body is empty; send a JSON object.", code="invalid_json")
    return text


def parse_items(model: type[Batch], body: bytes) -> Checked[Batch]:
    """Parses a root model that is a list. Raises InvalidRequestError if the body is not such a
    list."""
    text = _json_text(body)
    try:
        batch: Any = model.model_validate_json(text)
    except ValidationError as error:
        faults = _item_faults(error)
        if not faults:
            raise invalid_request(error) from error
        wrong = {fault.index for fault in faults}
        given = {
            at: item for at, item in enumerate(loads(text, max_depth=_MAX_DEPTH)) if at not in wrong
        }
        right: Any = model.model_validate_json(to_json(list(given.values()))) if given else None
        items = dict(zip(given, right.root, strict=True)) if given else {}
        return Checked(items, tuple(faults))
    return Checked(dict(enumerate(batch.root)))


def parse_query(model: type[BaseModel], query_string: str) -> BaseModel:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        # Which one counts is said nowhere, and `plan=true&plan=false` must not be guessed.
        if name in values:
            param = name[:100]
            raise InvalidRequestError(f"{param}: is there twice; send it once.", param=param)
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_request(error) from error


def _content(returns: Any) -> type[BaseModel] | None:
    """The model inside Reply[Model], or the model itself; None for a raw Response."""
    if get_origin(returns) is Reply:
        returns = get_args(returns)[0]
    is_model = inspect.isclass(returns) and issubclass(returns, BaseModel)
    return returns if is_model else None


def invalid_request(error: ValidationError) -> InvalidRequestError:
    """The first fault with its field; for a list, the faults of all items."""
    faults = _item_faults(error)
    if faults:
        return InvalidItemsError(faults[:MAX_FAULTS])
    code, param, message = _describe(_faults(error)[0])
    return InvalidRequestError(message, code=code, param=param)


def invalid_fields(error: ValidationError) -> InvalidRequestError:
    """All faults, each with its field: for models that declare `lists_faults`."""
    described = [_describe(each) for each in _faults(error)[:MAX_FAULTS]]
    return InvalidFieldsError([FieldFault(param, code, text) for code, param, text in described])


def _item_faults(error: ValidationError) -> list[ItemFault]:
    return [
        ItemFault(each["loc"][0], param, code, message)
        for each in _faults(error)
        if each["loc"] and isinstance(each["loc"][0], int)
        for code, param, message in [_describe(each)]
    ]


def _faults(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_input=False, include_context=False))


def _describe(fault: Any) -> tuple[str, str | None, str]:
    """Code, field and message; pydantic's message says what was expected."""
    param = _param(fault["loc"])
    message = (
        fault["msg"].removeprefix("Value error, ").replace(" items after validation", " items")
    )
    if fault["type"] == "json_invalid":
        message = message.removeprefix("Invalid JSON: ")
        # pydantic's parser has its own limit, 200, which works in Pyodide.
        message = message.replace("recursion limit exceeded", "it is nested too deep")
        param, message = None, f"The body is not JSON: {message}."
    elif fault["type"] == "missing":
        message = "this field is missing; add it"
    elif fault["type"] == "model_type":  # pydantic names our class
        message = "must be an object" if param else "The body must be a JSON object."
    elif fault["type"] == "string_pattern_mismatch":
        message = "has not the form that is needed here; GET /openapi.json shows it"
    elif fault["type"] == "extra_forbidden":
        message = "there is no such field; remove it"
    if param:
        message = f"{param}: {message}."
    return _CODES.get(fault["type"], "invalid_value"), param, message


def _param(location: tuple[int | str, ...]) -> str | None:
    text = ""
    for part in location:
        if isinstance(part, str) and part.startswith("("):
            continue  # the tag of a union (domain/chat_message.py), not a field
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")[:200] or None
