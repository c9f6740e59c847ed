"""Images that a request carries as data URLs. They may have megabytes, so they stay in the bytes of
the body: the parsed request holds a short placeholder for each, and every upstream gets the bytes
again."""

import hashlib
import re
import secrets
from collections.abc import AsyncGenerator, Iterator
from typing import Any

_BEGINNING = re.compile(rb'"(?:image_)?url"\s*:\s*"(?=data:)')
# As an item of a list, where System One has them.
_ITEM = re.compile(rb'[\[,]\s*"(?=data:)')
_MIN_BYTES = 4_096  # a shorter one is no burden
_DATA_URL = re.compile(rb"[A-Za-z0-9+/=:;,.%_-]*")
_PART_BYTES = 256 * 1024


class Images:
    """By placeholder. A placeholder has a random part, so no client can write one."""

    def __init__(self) -> None:
        self._found: dict[str, memoryview] = {}
        self._token = ""

    @property
    def placeholders(self) -> set[str]:
        return set(self._found)

    def add(self, url: memoryview) -> str:
        self._token = self._token or secrets.token_hex(16)
        placeholder = f"data:,{self._token}-{len(self._found)}"
        self._found[placeholder] = url
        return placeholder

    def digest(self, url: str) -> str:
        """SHA-256 of the image's address, hex."""
        found = self._found.get(url)
        content = url.encode("utf-8", "surrogatepass") if found is None else found
        return hashlib.sha256(content).hexdigest()

    def restored(self, value: Any) -> Any:
        """The value with the whole address for each placeholder."""
        if not self._found:
            return value
        if isinstance(value, str):
            found = self._found.get(value)
            return value if found is None else str(found, "ascii")
        if isinstance(value, list):
            return [self.restored(each) for each in value]
        if isinstance(value, dict):
            return {name: self.restored(each) for name, each in value.items()}
        return value

    def size(self, text: str) -> int:
        """How many bytes `pieces` come to."""
        return sum(map(len, self.pieces(text)))

    def pieces(self, text: str) -> Iterator[bytes | memoryview]:
        """A JSON text as UTF-8, with the image for each placeholder."""
        end = 0
        pattern = rf"data:,{self._token}-[0-9]+"
        for match in re.finditer(pattern, text) if self._found else ():
            yield text[end : match.start()].encode()
            yield self._found[match.group()]
            end = match.end()
        yield text[end:].encode()

    async def chunks(self, text: str) -> AsyncGenerator[bytes, None]:
        """The same in parts of at most 256 KB."""
        for piece in self.pieces(text):
            for at in range(0, len(piece), _PART_BYTES):
                yield bytes(piece[at : at + _PART_BYTES])


def set_images_aside(body: bytes, *, in_lists: bool = False) -> tuple[bytes, Images]:
    """The body's JSON with placeholders, and the images behind them: those of fields `url` and
    `image_url`, or those that are items of a list."""
    images = Images()
    beginning = _ITEM if in_lists else _BEGINNING
    text: list[bytes | memoryview] = []
    whole, end = memoryview(body), 0
    while (match := beginning.search(body, end)) is not None:
        start = match.end()
        quote = body.find(b'"', start)
        if quote < 0:
            break
        text.append(whole[end:start])
        url = _data_url(whole[start:quote])
        text.append(whole[start:quote] if url is None else images.add(url).encode())
        end = quote
    text.append(whole[end:])
    return b"".join(text), images


def _data_url(url: memoryview) -> memoryview | None:
    """Without the backslashes that some encoders put before slashes. None for one that is short, or
    that holds what a data URL does not: it is read as any text."""
    if len(url) < _MIN_BYTES:
        return None
    if _DATA_URL.fullmatch(url):
        return url
    content = bytes(url).replace(b"\\/", b"/")
    return memoryview(content) if _DATA_URL.fullmatch(content) else None
