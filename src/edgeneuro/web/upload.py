"""Bodies that are too large for memory, such as the files of a form: read in chunks."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from edgeneuro.errors import BodyTooLargeError, InvalidRequestError

_MAX_PARTS = 20


@dataclass(frozen=True)
class Upload:
    """A body as it arrives. `chunks` raises BodyTooLargeError before it exceeds the route's limit;
    whoever does not read it to the end closes it."""

    content_type: str
    chunks: AsyncGenerator[bytes, None]

    @property
    def is_form(self) -> bool:
        return self.content_type.split(";")[0].strip().lower() == "multipart/form-data"

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLargeError if it is larger."""
        content = b""
        async with aclosing(self.chunks) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > limit:
                    raise BodyTooLargeError(f"The body is larger than {limit} bytes.")
        return content


@dataclass(frozen=True)
class FormPart:
    """The start of a part; the bytes up to the next one are its content."""

    name: str
    filename: str | None


async def read_form(upload: Upload) -> AsyncGenerator[FormPart | bytes, None]:
    """A form's parts and their contents as they arrive. Raises InvalidRequestError."""
    _, options = parse_options_header(upload.content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise _invalid("the header Content-Type has no boundary; let your client write it")
    events = _Events()
    try:
        parser = MultipartParser(boundary, events.callbacks())
        async with aclosing(upload.chunks) as chunks:
            async for chunk in chunks:
                parser.write(chunk)
                for event in events.take():
                    yield event
    except (MultipartParseError, UnicodeDecodeError, ValueError) as error:
        raise _invalid(str(error)[:200]) from error
    if not events.ended:
        raise _invalid("it ends in the middle of a part")


class _Events:
    """The events of the parser since the last call of `take`."""

    def __init__(self) -> None:
        self.ended = False
        self._waiting: list[FormPart | bytes] = []
        self._parts = 0
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}

    def take(self) -> list[FormPart | bytes]:
        taken, self._waiting = self._waiting, []
        return taken

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise ValueError(f"it has more than {_MAX_PARTS} parts")
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise ValueError("a part has no name")
        filename = options.get(b"filename")
        self._waiting.append(
            FormPart(options[b"name"].decode(), None if filename is None else filename.decode())
        )

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._waiting.append(bytes(data[start:end]))

    def _end(self) -> None:
        self.ended = True


def _invalid(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The body is no form that can be read: {why}.", code="invalid_form")
