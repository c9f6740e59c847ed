"""Files of labels as people have them: in a form, compressed, in the encodings that spreadsheets
write, and with the line ends of any system. Large ones, which exports are, are read as they
come."""

import codecs
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from edgeneuro.errors import BodyTooLargeError, InvalidLinesError, InvalidRequestError, LineFault
from edgeneuro.web.request import decoded
from edgeneuro.web.upload import FormPart, Upload, read_form

_BOMS = (  # UTF-32 first: its mark begins as that of UTF-16 does
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHUNK_BYTES = 256 * 1024
_FORM = re.compile(rb'--([^\r\n"]{1,70})\r\nContent-Disposition: *form-data', re.IGNORECASE)
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_SAMPLE = 4_000
_MAX_MAPPING_BYTES = 2_000_000
_UNREADABLE = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
)


@dataclass(frozen=True)
class FileText:
    """A file that is held whole. `encoding` is the one that it had, `mapping` what its form says
    of it."""

    text: str
    encoding: str
    mapping: bytes | None = None


@dataclass(frozen=True)
class FileStream:
    """A larger file, of JSON Lines in UTF-8: its bytes as they come, to be closed by the reader."""

    chunks: AsyncGenerator[bytes, None]
    encoding: str = "utf-8"
    mapping: bytes | None = None


class _Form:
    """The field `mapping` of the form that the file is in, once the file has begun."""

    mapping: bytearray | None = None

    def read(self) -> bytes | None:
        return None if self.mapping is None else bytes(self.mapping)


async def open_file(
    upload: Upload, *, max_held_bytes: int, max_bytes: int
) -> FileText | FileStream:
    """The file in a body: of at most `max_held_bytes` as a text, with LF or CR LF at the ends of
    its lines, else as a stream. Both limits are of the file as it is once decompressed. Raises
    InvalidRequestError or BodyTooLargeError; a stream may raise them later."""
    form = _Form()
    chunks = await _file_chunks(upload, max_bytes, form)
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) > max_held_bytes:
            lines = _stream(_require_lines(held, max_held_bytes), chunks)
            return FileStream(lines, mapping=form.read())
    body = bytes(held)
    _refuse_unreadable(body)
    text, encoding = _decoded(body)
    if "\r" in text and "\n" not in text:  # as old Macintosh programs end lines
        text = text.replace("\r", "\n")
    return FileText(text, encoding, form.read())


def _require_lines(start: bytearray, max_held_bytes: int) -> bytearray:
    _refuse_unreadable(start)
    if start.startswith(codecs.BOM_UTF8):
        del start[: len(codecs.BOM_UTF8)]
    if not start.lstrip()[:1] == b"{":
        raise BodyTooLargeError(
            f"A file of more than {max_held_bytes} bytes must be JSON Lines in UTF-8, as exports"
            " are, plain or as gzip. Send it so, or in parts."
        )
    return start


async def _stream(
    start: bytearray, rest: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        while start:
            yield bytes(start[:_CHUNK_BYTES])
            del start[:_CHUNK_BYTES]
        async for chunk in rest:
            yield chunk


async def _file_chunks(upload: Upload, max_bytes: int, form: _Form) -> AsyncGenerator[bytes, None]:
    """The file's own bytes: out of a form, and decompressed."""
    start, chunks = await _begun(upload.chunks)
    if found := _FORM.match(start):
        boundary = found[1].decode("latin-1")
        sent = Upload(f'multipart/form-data; boundary="{boundary}"', chunks)
        start, chunks = await _begun(_file_of_form(sent, form))
    if start.startswith(b"\x1f\x8b"):
        return _decompressed(chunks, max_bytes)
    return chunks


async def _begun(chunks: AsyncGenerator[bytes, None]) -> tuple[bytes, AsyncGenerator[bytes, None]]:
    """The first bytes, and all of them again."""
    start = bytearray()
    async for chunk in chunks:
        start += chunk
        if len(start) >= _SAMPLE:
            break
    return bytes(start), _stream(start, chunks)


def _refuse_unreadable(body: bytes | bytearray) -> None:
    for start, name in _UNREADABLE:
        if body.startswith(start):
            raise InvalidRequestError(
                f"The file is {name}; save it as CSV (UTF-8) or JSON Lines, and send that.",
                code="unsupported_file",
            )


async def _file_of_form(upload: Upload, form: _Form) -> AsyncGenerator[bytes, None]:
    """The bytes of the form's one file. The field `mapping` is read before them."""
    files = 0
    async with aclosing(read_form(upload)) as events:
        async for event in events:
            if not isinstance(event, FormPart):
                if files:
                    yield event
                    continue
                assert form.mapping is not None, "bytes come after the start of a part"
                form.mapping += event
                if len(form.mapping) > _MAX_MAPPING_BYTES:
                    raise InvalidRequestError(
                        f"mapping: it has more than {_MAX_MAPPING_BYTES:,} bytes; shorten it.",
                        code="invalid_form",
                        param="mapping",
                    )
            elif event.name == "mapping" and not files and form.mapping is None:
                form.mapping = bytearray()
            elif files or (event.filename is None and event.name != "file"):
                raise InvalidRequestError(
                    f"{event.name[:100]}: the form must hold one file and nothing else, but for"
                    " the field `mapping` before it; send `format` and `dry_run` in the address.",
                    code="invalid_form",
                    param=event.name[:100],
                )
            else:
                files += 1
    if not files:
        raise InvalidRequestError("The form holds no file; send one.", code="invalid_form")


async def _decompressed(
    chunks: AsyncGenerator[bytes, None], max_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Never more than `max_bytes`, however small the file is that unfolds to them."""
    try:
        async with aclosing(decoded(chunks, "gzip", limit=max_bytes)) as parts:
            async for part in parts:
                yield part
    except InvalidRequestError as error:
        if error.code != "invalid_encoding":
            raise
        raise InvalidRequestError(
            "The gzip file is damaged, or ends too early.", code="unsupported_file"
        ) from error


def _decoded(body: bytes) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return _strictly(body[len(mark) :], encoding), _shown(encoding)
    if guessed := _utf16_without_mark(body[:_SAMPLE]):
        return _strictly(body, guessed), _shown(guessed)
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError as error:
        # CP1252 gives a meaning to nearly all bytes: what holds characters of UTF-8 is damaged.
        if not _UTF8_CHARACTER.search(body):
            try:
                return body.decode("cp1252"), "cp1252"
            except UnicodeDecodeError:
                pass
        raise _not_text(body, error, "UTF-8") from error


def _utf16_without_mark(sample: bytes) -> str | None:
    """Latin letters in UTF-16 are every other byte zero."""
    pairs = len(sample) // 2
    for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if pairs and zeros.count(0) > 0.4 * pairs and sample.count(0) < 1.2 * pairs:
            return encoding
    return None


def _strictly(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_text(body, error, _shown(encoding).upper()) from error


def _shown(encoding: str) -> str:
    return encoding.removesuffix("-le").removesuffix("-be")


def _not_text(body: bytes, error: UnicodeDecodeError, encoding: str) -> InvalidLinesError:
    line = body.count(b"\n", 0, error.start) + 1
    message = f"this line is not {encoding}; save the file as UTF-8"
    return InvalidLinesError(
        f"Line {line} of the file is not {encoding}, so nothing was imported. Save it as UTF-8.",
        [LineFault(line, None, message)],
    )
