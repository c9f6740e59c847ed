"""The header Idempotency-Key: a repeated POST gets the first response again and is not done
again."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable

from edgeneuro.call import Call
from edgeneuro.errors import (
    ConflictError,
    DatabaseError,
    EdgeNeuroError,
    IdempotencyMismatchError,
    InvalidRequestError,
    NotFoundError,
)
from edgeneuro.store.idempotency import FirstRequest, claim, finish, release
from edgeneuro.web.auth import is_operator
from edgeneuro.web.request import Request
from edgeneuro.web.response import JSON, Response, error_response
from edgeneuro.web.routing import Idempotency, Route
from edgeneuro.web.upload import Upload

HEADER = "Idempotency-Key"
REPLAYED = "idempotent-replayed"
_VALUE = re.compile(r"[\x21-\x7e]{1,255}")
_RESPONSE_MS = 24 * 3_600_000
# If the first request is killed, its key is released after this time.
_RUNNING_MS = 10 * 60_000
_CHANGED_NOTHING = (InvalidRequestError, NotFoundError)


async def with_idempotency(
    call: Call,
    request: Request,
    route: Route,
    body: bytes | Upload,
    perform: Callable[[], Awaitable[Response]],
) -> Response:
    """The response of `perform()`, or the stored response to the same request with the same key."""
    key = request.header(HEADER) if route.takes_idempotency_key else None
    if key is None or isinstance(body, Upload):
        return await perform()
    if not _VALUE.fullmatch(key):
        raise InvalidRequestError(
            f"{HEADER}: send 1 to 255 visible ASCII characters.", param=HEADER
        )
    key_hash = _hash([call.credential.key_id, request.path, key])
    request_hash = _hash([request.query_string, hashlib.sha256(body).hexdigest()])
    now = call.services.now_ms()
    first = await claim(
        call.services.db, key_hash, request_hash, now_ms=now, until_ms=now + _RUNNING_MS
    )
    if first is not None:
        return _replayed(first, request_hash)
    return await _performed(call, route, key_hash, perform)


async def _performed(
    call: Call, route: Route, key_hash: str, perform: Callable[[], Awaitable[Response]]
) -> Response:
    done = False
    try:
        response = await perform()
        # A secret that is shown once is not stored here either, nor is a streamed body.
        shown_once = route.idempotency is Idempotency.SHOWN_ONCE
        body = response.body if isinstance(response.body, str) and not shown_once else None
        done = True
    except EdgeNeuroError as error:
        # These may succeed at the next attempt, or have changed nothing; other errors are the
        # request's result and are stored.
        if error.status >= 500 or error.status == 429 or isinstance(error, _CHANGED_NOTHING):
            raise
        call.facts["error_code"] = error.code
        response = error_response(error, call.request_id, for_operator=is_operator(call.credential))
        body = str(response.body)
        done = True
    finally:
        if not done:
            await _noting_failure(call, release(call.services.db, key_hash))
    until = call.services.now_ms() + _RESPONSE_MS
    stored = finish(call.services.db, key_hash, status=response.status, body=body, until_ms=until)
    await _noting_failure(call, stored)
    return response


def _replayed(first: FirstRequest, request_hash: str) -> Response:
    if first.request_hash != request_hash:
        raise IdempotencyMismatchError(
            f"This {HEADER} was sent with another request before. Use a new one.", param=HEADER
        )
    if first.status is None:
        raise ConflictError(
            "The first request with this key is still at work. Try again in a moment.",
            code="idempotency_in_progress",
            param=HEADER,
        )
    if first.body is None:
        raise ConflictError(
            "This was done before, and its answer held a secret that is shown once. If that answer"
            f" was lost, delete what it created and create another with a new {HEADER}.",
            code="idempotency_not_replayable",
            param=HEADER,
        )
    return Response(first.status, first.body, {"content-type": JSON, REPLAYED: "true"})


async def _noting_failure(call: Call, write: Awaitable[None]) -> None:
    """The change itself is done: a failure to store its response must not hide that."""
    try:
        await write
    except DatabaseError as error:
        call.services.failures.note("idempotency_write", error)


def _hash(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
