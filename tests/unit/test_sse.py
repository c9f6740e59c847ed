"""Server-sent events, whatever their bytes are cut into."""

import pytest

from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.sse import SseParser

TEXT = (
    b"\xef\xbb\xbfdata: one\n\n"
    b": a comment\r\nevent: x\r\ndata: two\r\ndata:  lines\r\n\r\n"
    b"data:\xc3\xbc\xf0\x9f\x99\x82\r\rid: 7\n\ndata\n\n"
)
EVENTS = ["one", "two\n lines", "ü🙂", ""]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(TEXT)])
def test_events_read_the_same_in_any_cut(size: int) -> None:
    parser = SseParser()
    found = [data for at in range(0, len(TEXT), size) for data in parser.feed(TEXT[at : at + size])]
    assert found == EVENTS
    assert parser.end() == []


@pytest.mark.parametrize("rest", [b"data: x", b"data: x\n", b"data: x\r"])
def test_what_is_left_at_the_end(rest: bytes) -> None:
    parser = SseParser()
    assert parser.feed(rest) == []
    assert parser.end() == ["x"]
    assert parser.end() == []


@pytest.mark.parametrize("line", [b"data: \xff\n", b"x" * 1_000_001])
def test_what_is_no_stream_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidOutputError):
        SseParser().feed(line)
