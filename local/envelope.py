"""The envelope of Cloudflare's HTTP API around every result and every refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from starlette.requests import Request

from local.answers import Answer, json_answer
from local.errors import AiError
from local.http import NoJson
from local.workers_ai import refusal

Endpoint = Callable[[Request], Awaitable[Answer]]
Item = TypeVar("Item")


def result(content: object, **more: object) -> Answer:
    body = {"result": content, "success": True, "errors": [], "messages": [], **more}
    return json_answer(200, body)


def page(
    request: Request, found: Sequence[Item], *, per_page: int, shown: Callable[[Item], object]
) -> Answer:
    """The page that the query asks for."""
    size, at = number(request, "per_page", per_page), number(request, "page", 1)
    listed = [shown(item) for item in found[(at - 1) * size : at * size]]
    counts = {"count": len(listed), "page": at, "per_page": size, "total_count": len(found)}
    return result(listed, result_info=counts)


def failure(status: int, code: int, message: str) -> Answer:
    errors = [{"code": code, "message": message}]
    body = {"result": None, "success": False, "errors": errors, "messages": []}
    return json_answer(status, body)


def number(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, "")
    return max(1, int(given)) if given.isdecimal() else default


def json_only(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Answer:
        try:
            return await endpoint(request)
        except NoJson:
            return refusal(AiError(3003, "The request body is missing or not JSON"))

    return guarded
