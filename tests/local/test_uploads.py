"""Forms: bounded, on disk where they are large, and read to the end when they are refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from local.uploads import UploadError, UploadTooLargeError, close_upload, read_upload, upload_of

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="blob"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


class Body:
    """A request's body in parts; None is a client that has left."""

    def __init__(self, *parts: bytes | None) -> None:
        self._parts = iter(parts)
        self.left = len(parts)

    async def receive(self) -> dict[str, Any]:
        part = next(self._parts)
        self.left -= 1
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": self.left > 0}

    def request(self) -> Request:
        headers = [(b"content-type", b"multipart/form-data; boundary=b")]
        return Request({"type": "http", "method": "POST", "headers": headers}, self.receive)


@pytest.fixture
async def large() -> AsyncIterator[Request]:
    request = Body(HEAD, *([b"x" * 65_536] * 32), TAIL).request()
    await read_upload(request)
    yield request
    await close_upload(request)


async def test_a_large_file_lies_on_disk_until_it_is_closed(large: Request) -> None:
    file: Any = upload_of(large)["file"]
    assert file.size == 32 * 65_536
    assert file.file._rolled
    await close_upload(large)
    assert file.file.closed


async def test_a_body_over_the_bound_is_refused_and_read_to_its_end() -> None:
    body = Body(HEAD, *([b"x" * 1_000] * 9), TAIL)
    request = body.request()
    await read_upload(request, max_bytes=2_000)
    with pytest.raises(UploadTooLargeError, match="at most 2,000"):
        upload_of(request)
    assert body.left == 0


async def test_a_form_that_breaks_is_read_to_its_end() -> None:
    body = Body(b"no form", b"at all", b"and on")
    request = body.request()
    await read_upload(request)
    with pytest.raises(UploadError, match="no sound form"):
        upload_of(request)
    assert body.left == 0


async def test_a_client_that_leaves_midway() -> None:
    with pytest.raises(ClientDisconnect):
        await read_upload(Body(HEAD, b"x", None).request())
