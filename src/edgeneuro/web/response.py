"""Responses: JSON out of pydantic models, and every error in the one shape."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from edgeneuro.errors import DatabaseError, EdgeNeuroError

Content = TypeVar("Content", bound=BaseModel)
JSON = "application/json"


@dataclass
class Response:
    """A body that comes in parts is sent as it is made; where making it fails, it breaks off."""

    status: int
    body: str | AsyncGenerator[bytes, None] = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply(Generic[Content]):
    """What a handler returns where headers go with the content."""

    content: Content
    headers: dict[str, str] = field(default_factory=dict)


def json_response(status: int, reply: Reply[BaseModel]) -> Response:
    headers = {"content-type": JSON, **reply.headers}
    return Response(status, reply.content.model_dump_json(), headers)


def error_response(error: EdgeNeuroError, request_id: str) -> Response:
    # What D1 says can hold table names and values: it is for our logs alone.
    message = (
        "The database did not answer. Try again in a moment."
        if isinstance(error, DatabaseError)
        else error.message
    )
    body: dict[str, Any] = {
        "error": {
            "message": message,
            "type": error.type,
            "code": error.code,
            "param": error.param,
        },
        "request_id": request_id,
        **error.details(),
    }
    return Response(error.status, json.dumps(body), {"content-type": JSON, **error.headers})
