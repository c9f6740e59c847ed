"""Files of labels as people have them, as one text: in a form, compressed, in the encodings that
spreadsheets write, and with the line ends of any system."""

import codecs
import re
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from edgeneuro.errors import BodyTooLargeError, InvalidLinesError, InvalidRequestError, LineFault
from edgeneuro.web.upload import FormPart, Upload, read_form

_BOMS = (  # UTF-32 first: its mark begins as that of UTF-16 does
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GZIP_WRAPPER = 31  # zlib's word for it
_FORM = re.compile(rb'--([^\r\n"]{1,70})\r\nContent-Disposition: *form-data', re.IGNORECASE)
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_SAMPLE = 4_000
_UNREADABLE = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
)


@dataclass(frozen=True)
class FileText:
    """`encoding` is the one that the file had."""

    text: str
    encoding: str


async def read_text(body: bytes, *, max_bytes: int) -> FileText:
    """The file's text, with LF or CR LF at the ends of its lines. Raises InvalidRequestError or
    BodyTooLargeError."""
    if form := _FORM.match(body):
        body = await _file_of_form(body, form[1].decode("latin-1"))
    if body.startswith(b"\x1f\x8b"):
        body = _decompressed(body, max_bytes)
    for start, name in _UNREADABLE:
        if body.startswith(start):
            raise InvalidRequestError(
                f"The file is {name}; save it as CSV (UTF-8) or JSON Lines, and send that.",
                code="unsupported_file",
            )
    text, encoding = _decoded(body)
    if "\r" in text and "\n" not in text:  # as old Macintosh programs end lines
        text = text.replace("\r", "\n")
    return FileText(text, encoding)


async def _file_of_form(body: bytes, boundary: str) -> bytes:
    upload = Upload(f'multipart/form-data; boundary="{boundary}"', _once(body))
    files: list[bytearray] = []
    async with aclosing(read_form(upload)) as events:
        async for event in events:
            if not isinstance(event, FormPart):
                files[-1] += event
            elif files or (event.filename is None and event.name != "file"):
                raise InvalidRequestError(
                    f"{event.name[:100]}: the form must hold one file and nothing else; send"
                    " `format` and `dry_run` in the address.",
                    code="invalid_form",
                    param=event.name[:100],
                )
            else:
                files.append(bytearray())
    if not files:
        raise InvalidRequestError("The form holds no file; send one.", code="invalid_form")
    return bytes(files[0])


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _decompressed(body: bytes, max_bytes: int) -> bytes:
    """Never more than `max_bytes`, however small the file is that unfolds to them."""
    inflate = zlib.decompressobj(_GZIP_WRAPPER)
    try:
        content = inflate.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequestError(
            f"The file is a damaged gzip file: {error}.", code="unsupported_file"
        ) from error
    if len(content) > max_bytes:
        raise BodyTooLargeError(
            f"Decompressed, the file is larger than {max_bytes} bytes; send it in parts."
        )
    if not inflate.eof:
        raise InvalidRequestError("The gzip file ends too early.", code="unsupported_file")
    return content


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
