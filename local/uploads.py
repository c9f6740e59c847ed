"""Multipart bodies: read as a stream, to disk if they are large, and only up to a limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from local.finetunes import MAX_FILE_BYTES

MAX_BODY_BYTES = MAX_FILE_BYTES + 1_000_000  # the largest file that anybody takes, in its form
_MAX_FILES = 1
_MAX_FIELDS = 8
_MAX_MODULES = 2_000  # of a Worker, or assets in one form


class UploadError(ValueError):
    """An invalid form; the text is one sentence."""


class UploadTooLargeError(UploadError):
    pass


@dataclass(frozen=True)
class Upload:
    """`size` is that of the whole body."""

    size: int
    form: FormData
    problem: UploadError | None = None


def is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/")


async def read_upload(request: Request, max_bytes: int = MAX_BODY_BYTES) -> None:
    """Reads the form once, for whoever asks for it later by `upload_of`."""
    body = _Body(request, max_bytes)
    files = _MAX_MODULES if "/workers/" in request.scope.get("path", "") else _MAX_FILES
    parser = MultiPartParser(
        request.headers, body.bounded(), max_files=files, max_fields=_MAX_FIELDS
    )
    form, problem = FormData(), None
    try:
        form = await parser.parse()
    except MultiPartException as error:
        problem = UploadError(f"The body is no sound form: {error.message}")
        await body.drop()
    except UploadTooLargeError as error:
        problem = error
    request.state.upload = Upload(body.size, form, problem)


def upload_of(request: Request) -> FormData:
    upload = stored_upload(request)
    if upload is None:
        raise UploadError("The body must be multipart/form-data")
    if upload.problem is not None:
        raise upload.problem
    return upload.form


def stored_upload(request: Request) -> Upload | None:
    upload = getattr(request.state, "upload", None)
    return upload if isinstance(upload, Upload) else None


async def close_upload(request: Request) -> None:
    """Removes what was written to disk."""
    upload = stored_upload(request)
    if upload is not None:
        await upload.form.close()


class _Body:
    """What is not wanted is dropped as it comes, so that its sender gets to read the refusal."""

    def __init__(self, request: Request, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self.size = 0

    async def bounded(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self._request.stream():
            self.size += len(chunk)
            if self.size > self._max_bytes:
                await self.drop()
                most = f"at most {self._max_bytes:,} may come"
                raise UploadTooLargeError(f"The body has {self.size:,} bytes, but {most}")
            yield chunk

    async def drop(self) -> None:
        async for chunk in self._request.stream():
            self.size += len(chunk)
