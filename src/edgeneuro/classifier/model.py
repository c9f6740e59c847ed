"""A trained classifier as a value and as bytes: magic, versions, a JSON header, the weights, and a
SHA-256 of everything before it. Damaged bytes, other files and other versions are refused.

Each weight is one byte, the weights of a bucket form a row, and the rows are deflated: most weights
are 0, and full rows load faster than lists of the other weights. What was learned of conversations
and the weights for dense vectors have parts of their own. A model without vectors has the format,
the features version and the bytes that it had before there were any.
"""

import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.classifier.calibration import Calibration
from edgeneuro.classifier.dense import DenseWeights
from edgeneuro.classifier.familiar import MAX_CENTRES, Familiar
from edgeneuro.classifier.features import BUCKETS_VERSION, FEATURES_VERSION, ROWS
from edgeneuro.classifier.followups import FollowUps, rows_of
from edgeneuro.classifier.learner import DENSE_UNIT, UNIT
from edgeneuro.classifier.near_texts import MAX_TEXTS, WIDTH, NearTexts
from edgeneuro.classifier.switch import FACTS

FORMAT_VERSION = 1  # of a model that knows no conversations
CONVERSATIONS_VERSION = 2
VECTORS_VERSION = 3  # with or without conversations
ZERO = 128  # the byte of the weight 0

# With the version of the features that each has.
_FORMATS = {
    FORMAT_VERSION: BUCKETS_VERSION,
    CONVERSATIONS_VERSION: BUCKETS_VERSION,
    VECTORS_VERSION: FEATURES_VERSION,
}
_MAX_WIDTH = 8_192  # of a vector
# The sum of a class over a vector with the norm 32, in units of the stored weights, fits 16 bits
# with its sign if the norm of the class's weights is at most this, and a little more by rounding.
_MAX_NORM = 1_000
_MAGIC = b"EdgeNeuroModel\n\0"
_PREFIX = struct.Struct("<16sHHII")
_CHECKSUM_BYTES = 32


class InvalidModelError(ValueError):
    """This version cannot use these bytes as a model; the text says why."""


@dataclass(frozen=True)
class Model:
    """`weights` has a row of one byte per class for each bucket; a weight is (byte - ZERO) *
    `scale`. `examples` is the digest of the training examples, `labels` how many messages were
    learned alone. `follow_ups` is None if the rule of switch.py holds in conversations, `dense` if
    it was learned without vectors."""

    classes: tuple[str, ...]
    scale: float
    weights: bytes
    calibration: Calibration
    labels: int
    seed: int
    examples: str
    follow_ups: FollowUps | None = None
    dense: DenseWeights | None = None
    familiar: Familiar | None = None
    near: NearTexts | None = None


def dumps(model: Model) -> bytes:
    fields, flat, format_version = asdict(model), model.weights, FORMAT_VERSION
    del fields["weights"]
    for name, part, its_version in (
        ("follow_ups", model.follow_ups, CONVERSATIONS_VERSION),
        ("dense", model.dense, VECTORS_VERSION),
    ):
        if part is None:
            del fields[name]
        else:
            del fields[name]["weights"]
            flat += part.weights
            format_version = its_version
    if model.familiar is None:
        del fields["familiar"]
    else:
        fields["familiar"]["centres"] = len(model.familiar.centres)
        flat += model.familiar.centres
    if model.near is None:
        del fields["near"]
    else:
        fields["near"] = {"width": WIDTH, "sizes": model.near.sizes}
        flat += model.near.numbers
    header = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    weights = zlib.compress(flat)
    sizes = (len(header), len(weights))
    versions = format_version, _FORMATS[format_version]
    body = _PREFIX.pack(_MAGIC, *versions, *sizes) + header + weights
    return body + hashlib.sha256(body).digest()


def loads(data: bytes) -> Model:
    """Raises InvalidModelError."""
    header, weights, format_version = _unpack(data)
    try:
        fields: dict[str, Any] = bounded_json.loads(header)
        classes = tuple(fields.pop("classes"))
        size, more, dense = ROWS * len(classes), 0, 0
        if format_version == CONVERSATIONS_VERSION or "follow_ups" in fields:
            more = rows_of(len(classes)) * (len(classes) + 1)
        if format_version == VECTORS_VERSION:
            dense = _width(fields["dense"]) * len(classes)
        familiar = fields.pop("familiar", None)
        centres = 0 if familiar is None else _bytes_of(familiar)
        near = fields.pop("near", None)
        sizes = () if near is None else _sizes_of(near, len(classes))
        flat = _inflate(weights, size + more + dense + centres + WIDTH * sum(sizes))
        fields["calibration"] = _calibration(fields.pop("calibration"), len(classes))
        if more:
            learned = flat[size : size + more]
            fields["follow_ups"] = _follow_ups(fields.pop("follow_ups"), learned, len(classes))
        if dense:
            fields["dense"] = DenseWeights(
                **fields["dense"], weights=flat[size + more : size + more + dense]
            )
        if centres:
            width, parts = familiar["width"], familiar["parts"]
            start = size + more + dense
            fields["familiar"] = Familiar(width, parts, flat[start : start + centres])
        if sizes:
            fields["near"] = NearTexts(sizes, flat[size + more + dense + centres :])
        return Model(classes=classes, weights=flat[:size], **fields)
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
        raise InvalidModelError(
            f"the model's content does not match its format: {error}"
        ) from error


def version(data: bytes) -> str:
    """A name for exactly this model: 12 hex digits of its checksum."""
    return data[-_CHECKSUM_BYTES:].hex()[:12]


def is_of_this_version(beginning: bytes) -> bool:
    """Whether this version reads a model that begins with these 20 bytes."""
    return beginning[16:20] in [struct.pack("<HH", *versions) for versions in _FORMATS.items()]


def quantise(rows: Iterable["array[int]"]) -> tuple[float, bytes]:
    """The scale and the bytes of the learner's weights, rounded to 127 steps either way."""
    stored = list(rows)
    most = _most(stored) or 1
    return most / 127 / UNIT, _rounded(stored, most)


def quantise_dense(rows: Iterable["array[int]"], parts: int) -> tuple[float, bytes]:
    """The same of the learner's dense weights. The scale is larger where the sums with a vector
    might not fit (_MAX_NORM)."""
    stored = list(rows)
    most = _most(stored)
    squares = max([sum([each * each for each in column]) for column in zip(*stored, strict=True)])
    most = max(most, isqrt(squares * parts) * 127 // _MAX_NORM) or 1
    return most / 127 / DENSE_UNIT, _rounded(stored, most)


def _most(rows: Sequence["array[int]"]) -> int:
    return max(max(max(row), -min(row)) for row in _objects(rows).values())


def _rounded(rows: Sequence["array[int]"], most: int) -> bytes:
    half, whole = most + 2 * most * ZERO, 2 * most
    stored = {
        at: bytes([(254 * weight + half) // whole for weight in row])
        for at, row in _objects(rows).items()
    }
    return b"".join([stored[id(row)] for row in rows])


def _objects(rows: Sequence["array[int]"]) -> dict[int, "array[int]"]:
    """Each object once, by its identity: most rows of a small training are the same one."""
    return {id(row): row for row in rows}


def _width(dense: dict[str, Any]) -> int:
    width, parts, source = dense["width"], dense["parts"], dense["source"]
    if not (0 < width <= _MAX_WIDTH and 0 < parts <= width and isinstance(source, str)):
        raise ValueError(f"a vector has {width} numbers in {parts} parts")
    return int(width)


def _bytes_of(familiar: dict[str, Any]) -> int:
    """Of the centres."""
    width, parts, size = familiar["width"], familiar["parts"], familiar["centres"]
    if not (
        0 < parts <= width <= _MAX_WIDTH and 0 < size <= MAX_CENTRES * width and size % width == 0
    ):
        raise ValueError(f"there cannot be {size} bytes of centres of {width} numbers")
    return int(size)


def _sizes_of(near: dict[str, Any], classes: int) -> tuple[int, ...]:
    """How many texts each class keeps."""
    sizes = tuple(near["sizes"])
    if near["width"] != WIDTH or len(sizes) != classes:
        raise ValueError(f"texts of {near['width']} numbers for {len(sizes)} classes")
    if not all(isinstance(size, int) and 0 <= size <= MAX_TEXTS for size in sizes):
        raise ValueError(f"a class has more than {MAX_TEXTS} texts")
    return sizes


def _unpack(data: bytes) -> tuple[bytes, bytes, int]:
    if len(data) < _PREFIX.size + _CHECKSUM_BYTES:
        raise InvalidModelError(f"{len(data)} bytes are too few for a model")
    magic, version, features_version, header, weights = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise InvalidModelError("the bytes do not begin like a model")
    if _FORMATS.get(version) != features_version:
        known = ", ".join(f"{each} with {features}" for each, features in _FORMATS.items())
        raise InvalidModelError(
            f"the model has format {version} and features {features_version}; this version reads"
            f" format and features {known}, so train it again"
        )
    end = _PREFIX.size + header + weights
    if len(data) != end + _CHECKSUM_BYTES:
        raise InvalidModelError(
            f"the model has {len(data)} bytes and should have {end + _CHECKSUM_BYTES}"
        )
    if hashlib.sha256(data[:end]).digest() != data[end:]:
        raise InvalidModelError("the checksum is wrong: the bytes were changed")
    begins = _PREFIX.size + header
    return data[_PREFIX.size : begins], data[begins:end], version


def _inflate(weights: bytes, size: int) -> bytes:
    flat = zlib.decompressobj().decompress(weights, size + 1)
    if not 0 < len(flat) == size:
        raise ValueError("the number of weights is not that of its classes")
    return flat


def _calibration(fields: dict[str, Any], classes: int) -> Calibration:
    curve = tuple(fields.pop("curve"))
    thresholds = tuple(fields.pop("thresholds"))
    if len(thresholds) != classes:
        raise ValueError("the number of thresholds is not that of its classes")
    return Calibration(curve=curve, thresholds=thresholds, **fields)


def _follow_ups(fields: dict[str, Any], weights: bytes, classes: int) -> FollowUps:
    calibration = _calibration(fields.pop("calibration"), classes)
    sizes = {"switch": FACTS, "keeping": 2, "leaving": 3, "known": classes}
    fields |= {name: tuple(fields[name]) for name in sizes}
    if any(len(fields[name]) != size for name, size in sizes.items()):
        raise ValueError("the numbers of weights are not those of the facts and classes")
    return FollowUps(weights=weights, calibration=calibration, **fields)
