"""Server-sent events, parsed as they arrive: the data of each event, from chunks cut anywhere."""

from edgeneuro.errors import InvalidOutputError

_MAX_LINE_BYTES = 1_000_000
_BOM = b"\xef\xbb\xbf"


class SseParser:
    """Lines end with LF, CRLF or CR. Comments and all fields except `data` are ignored. Raises
    InvalidOutputError for a line that is too long or not UTF-8."""

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
        """The rest at the end of the body, as if its last event had an end."""
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
                self._read_line(line)
            elif self._data:
                found.append("\n".join(self._data))
                self._data = []
        return found

    def _read_line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name != b"data":
            return
        try:
            self._data.append(value.removeprefix(b" ").decode())
        except UnicodeDecodeError as error:
            raise InvalidOutputError("The stream is not UTF-8.") from error


def _line_end(text: bytearray, start: int) -> tuple[int, int] | None:
    """Where the line ends and the next one begins; None if its end has not arrived yet."""
    lf = text.find(b"\n", start)
    cr = text.find(b"\r", start, lf if lf >= 0 else len(text))
    if cr < 0:
        return (lf, lf + 1) if lf >= 0 else None
    if cr + 1 == len(text):
        return None
    return cr, cr + 2 if text[cr + 1] == 0x0A else cr + 1
