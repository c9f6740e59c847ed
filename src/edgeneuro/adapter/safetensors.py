"""The header of a safetensors file: its length in 8 bytes (little-endian), then JSON of that
length. The tensors follow one after the other; nothing but the header is read.

The format: github.com/huggingface/safetensors, README and `SafeTensors::read_metadata`.
"""

from dataclasses import dataclass
from typing import Any

from edgeneuro.adapter.strict_json import loads, shown
from edgeneuro.bounded_json import InvalidJsonError

LENGTH_BYTES = 8
# Of 64 layers with 7 modules it is some 150 KB.
MAX_HEADER_BYTES = 4_000_000
METADATA = "__metadata__"

_MAX_DEPTH = 3  # tensor, field, list
_MAX_DIMENSIONS = 8
_MAX_NUMBER = 2**53  # exact in every reader, and above any file
_BITS = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


class InvalidSafetensorsError(ValueError):
    """The text says what is wrong: the rest of a sentence that begins with the file's name."""


@dataclass(frozen=True)
class Tensor:
    """`begin` and `end` are bytes from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True)
class Header:
    tensors: tuple[Tensor, ...]  # in the order of the file
    end: int  # of the header, in the file


def header_end(start: bytes, size: int) -> int:
    """Where the header ends, by the file's first LENGTH_BYTES and its size; raises
    InvalidSafetensorsError."""
    if size < LENGTH_BYTES or len(start) < LENGTH_BYTES:
        raise InvalidSafetensorsError(f"is too short to be one ({size} bytes)")
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise InvalidSafetensorsError(
            f"says that its header has {length} bytes, more than {MAX_HEADER_BYTES}"
        )
    if length < 2:
        raise InvalidSafetensorsError(f"says that its header has {length} bytes")
    if LENGTH_BYTES + length > size:
        raise InvalidSafetensorsError(
            f"says that its header has {length} bytes, but the file has {size} in all: it is cut"
            " off"
        )
    return LENGTH_BYTES + length


def read_header(start: bytes, size: int) -> Header:
    """`start` is the file up to its header's end, `size` that of the whole file; raises
    InvalidSafetensorsError."""
    end = header_end(start, size)
    text = start[LENGTH_BYTES:end]
    if len(text) < end - LENGTH_BYTES:
        raise InvalidSafetensorsError(f"is cut off in its header, at byte {len(start)} of {end}")
    if not text.startswith(b"{"):
        raise InvalidSafetensorsError("has a header that does not begin with {")
    try:
        fields = loads(text, max_depth=_MAX_DEPTH)
    except InvalidJsonError as error:
        raise InvalidSafetensorsError(f"has a header that {error}") from error
    _check_metadata(fields.pop(METADATA, {}))
    tensors = sorted(
        (_tensor(name, field) for name, field in fields.items()), key=lambda t: (t.begin, t.end)
    )
    _check_places(tensors, size - end)
    return Header(tuple(tensors), end)


def _check_metadata(found: object) -> None:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidSafetensorsError(f"has a {METADATA} that is no object of texts")


def _tensor(name: str, field: Any) -> Tensor:
    if not isinstance(field, dict) or set(field) != {"dtype", "shape", "data_offsets"}:
        raise InvalidSafetensorsError(
            f"has a tensor {shown(name)} without exactly dtype, shape and data_offsets"
        )
    dtype, shape, offsets = field["dtype"], field["shape"], field["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise InvalidSafetensorsError(f"has a tensor {shown(name)} of the dtype {shown(dtype)}")
    if not _are_sizes(shape) or len(shape) > _MAX_DIMENSIONS:
        raise InvalidSafetensorsError(f"has a tensor {shown(name)} of the shape {shown(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise InvalidSafetensorsError(f"has a tensor {shown(name)} at {shown(offsets)}")
    tensor = Tensor(name, dtype, tuple(shape), *offsets)
    if tensor.elements * _BITS[dtype] != 8 * (tensor.end - tensor.begin):
        raise InvalidSafetensorsError(
            f"has a tensor {shown(name)} of {dtype} {shown(shape)} in {tensor.end - tensor.begin}"
            " bytes, which is another size"
        )
    return tensor


def _are_sizes(found: object) -> bool:
    # `type`, since True is an int.
    return isinstance(found, list) and all(
        type(each) is int and 0 <= each <= _MAX_NUMBER for each in found
    )


def _check_places(tensors: list[Tensor], size: int) -> None:
    at = 0
    for tensor in tensors:
        if tensor.begin != at:
            wrong = "overlaps the one before" if tensor.begin < at else "leaves a gap before it"
            raise InvalidSafetensorsError(
                f"has a tensor {shown(tensor.name)} that {wrong} (byte {tensor.begin}, not {at})"
            )
        at = tensor.end
    if at != size:
        problem = "it is cut off" if at > size else "something follows them"
        raise InvalidSafetensorsError(
            f"has tensors of {at} bytes, but {size} bytes for them: {problem}"
        )
