"""Server-sent events, read as they come: the data of each event, out of bytes cut anywhere."""

from collections.abc import AsyncGenerator, AsyncIterator

from edgeneuro.errors import InvalidOutputError

_MAX_LINE_BYTES = 1_000_000
_BOM = b"\xef\xbb\xbf"


class SseParser:
    """Lines end with LF, CRLF or CR. Comments and all fields but `data` are passed over. Raises
    InvalidOutputError for a line that is too long or no UTF-8."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._data: list[str] = []
        self._first = True

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that end with this chunk."""
        self._rest += chunk
        return self._events(self._lines())

    def end(self) -> list[str]:
        """What is left when the body ends, as if its last event were ended too."""
        lines = [*self._lines(), bytes(self._rest.removesuffix(b"\r")), b""]
        self._rest.clear()
        return self._events(lines)

    def _lines(self) -> list[bytes]:
        lines: list[bytes] = []
        start, at = 0, self._searched
        while (end := _line_end(self._rest, at)) is not None:
            stop, after = end
            lines.append(bytes(self._rest[start:stop]))
            start = at = after
        del self._rest[:start]
        if len(self._rest) > _MAX_LINE_BYTES:
            raise InvalidOutputError(
                f"A line of the stream is too large: more than {_MAX_LINE_BYTES} bytes."
            )
        # A CR at the very end may have its LF in the next chunk.
        self._searched = len(self._rest) - self._rest.endswith(b"\r")
        return lines

    def _events(self, lines: list[bytes]) -> list[str]:
        found: list[str] = []
        for line in lines:
            if self._first:
                line, self._first = line.removeprefix(_BOM), False
            if line:
                self._take(line)
            elif self._data:
                found.append("\n".join(self._data))
                self._data = []
        return found

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name != b"data":
            return
        try:
            self._data.append(value.removeprefix(b" ").decode())
        except UnicodeDecodeError as error:
            raise InvalidOutputError("The stream is no UTF-8.") from error


def _line_end(text: bytearray, start: int) -> tuple[int, int] | None:
    """Where the line ends and the next one begins; None where its end has not come yet."""
    lf = text.find(b"\n", start)
    cr = text.find(b"\r", start, lf if lf >= 0 else len(text))
    if cr < 0:
        return (lf, lf + 1) if lf >= 0 else None
    if cr + 1 == len(text):
        return None
    return cr, cr + 2 if text[cr + 1] == 0x0A else cr + 1


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """The data of each event of a body; who closes it has to close the chunks too."""
    parser = SseParser()
    async for chunk in chunks:
        for data in parser.feed(chunk):
            yield data
    for data in parser.end():
        yield data
