"""Responses: JSON from pydantic models, and every error in the one shape."""

import json
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from edgeneuro.errors import DatabaseError, EdgeNeuroError, UpstreamError
from edgeneuro.web.streams import ByteStream

Content = TypeVar("Content", bound=BaseModel)
JSON = "application/json"


@dataclass
class Response:
    """A body in parts is sent while it is made, and aborted if making a part fails. It is always
    closed, so a `finally` in its generator runs even if the client disconnects."""

    status: int
    body: str | ByteStream = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply(Generic[Content]):
    """What a handler returns if its response has headers too."""

    content: Content
    headers: dict[str, str] = field(default_factory=dict)


def json_response(status: int, reply: Reply[BaseModel]) -> Response:
    headers = {"content-type": JSON, **reply.headers}
    return Response(status, reply.content.model_dump_json(), headers)


def unless_present(response: Response, if_none_match: str | None) -> Response:
    """The response, or 304 without a body if the client has it: `if_none_match` lists the ETags
    that the client has. A proxy that compresses may have made them weak."""
    etag = response.headers.get("etag")
    if etag is None or if_none_match is None or response.status != 200:
        return response
    present = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    if etag not in present and present != ["*"]:
        return response
    headers = {name: response.headers[name] for name in response.headers if name != "content-type"}
    return Response(304, headers=headers)


def error_response(
    error: EdgeNeuroError, request_id: str, *, for_operator: bool = False
) -> Response:
    """`for_operator`: whether the caller may see how the installation is configured."""
    headers = {"content-type": JSON, **error.headers}
    if isinstance(error, UpstreamError):
        # Retried here already, or not retryable; the official clients obey this header.
        headers["x-should-retry"] = "false"
    return Response(
        error.status,
        json.dumps(error_content(error, request_id, for_operator=for_operator)),
        headers,
    )


def error_content(
    error: EdgeNeuroError, request_id: str, *, for_operator: bool = False
) -> dict[str, Any]:
    return {
        "error": {
            "message": _message(error, for_operator=for_operator),
            "type": error.type,
            "code": error.code,
            "param": error.param,
        },
        "request_id": request_id,
        **error.details(),
    }


def _message(error: EdgeNeuroError, *, for_operator: bool) -> str:
    if isinstance(error, DatabaseError) and error.public_message is None:
        # D1's message may contain table names and values: only our logs get it.
        return "The database did not answer. Try again in a moment."
    if for_operator and not isinstance(error, DatabaseError):
        return f"{error.message} {error.hint}".rstrip()
    return error.public_message or error.message
