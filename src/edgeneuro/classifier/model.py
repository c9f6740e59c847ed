"""A trained classifier as a value and as bytes: magic, versions, a JSON header, the weights, and a
SHA-256 of everything before it. Damaged bytes, other files and other versions are refused.

Each weight is one byte, the weights of a bucket form a row, and the rows are deflated: most weights
are 0, and full rows load faster than lists of the other weights.
"""

import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.classifier.calibration import Calibration
from edgeneuro.classifier.features import FEATURES_VERSION, ROWS
from edgeneuro.classifier.learner import UNIT

FORMAT_VERSION = 1
ZERO = 128  # the byte of the weight 0

_MAGIC = b"EdgeNeuroModel\n\0"
_PREFIX = struct.Struct("<16sHHII")
_CHECKSUM_BYTES = 32


class InvalidModelError(ValueError):
    """This version cannot use these bytes as a model; the text says why."""


@dataclass(frozen=True)
class Model:
    """`weights` has a row of one byte per class for each bucket; a weight is (byte - ZERO) *
    `scale`. `examples` is the digest of the training examples, `labels` how many there were."""

    classes: tuple[str, ...]
    scale: float
    weights: bytes
    calibration: Calibration
    labels: int
    seed: int
    examples: str


def dumps(model: Model) -> bytes:
    fields = asdict(model)
    del fields["weights"]
    header = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    weights = zlib.compress(model.weights)
    sizes = (len(header), len(weights))
    body = _PREFIX.pack(_MAGIC, FORMAT_VERSION, FEATURES_VERSION, *sizes) + header + weights
    return body + hashlib.sha256(body).digest()


def loads(data: bytes) -> Model:
    """Raises InvalidModelError."""
    header, weights = _unpack(data)
    try:
        fields: dict[str, Any] = bounded_json.loads(header)
        classes = tuple(fields.pop("classes"))
        flat = _inflate(weights, ROWS * len(classes))
        calibration = _calibration(fields.pop("calibration"))
        return Model(classes=classes, weights=flat, calibration=calibration, **fields)
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
        raise InvalidModelError(
            f"the model's content does not match its format: {error}"
        ) from error


def version(data: bytes) -> str:
    """A name for exactly this model: 12 hex digits of its checksum."""
    return data[-_CHECKSUM_BYTES:].hex()[:12]


def is_of_this_version(beginning: bytes) -> bool:
    """Whether a model that begins with these 20 bytes has the present format and features."""
    return beginning[16:20] == struct.pack("<HH", FORMAT_VERSION, FEATURES_VERSION)


def quantise(rows: Iterable[Sequence[int]]) -> tuple[float, bytes]:
    """The scale and the bytes of the learner's weights, rounded to 127 steps either way."""
    stored = [array("i", row) for row in rows]
    most = max(max(max(row), -min(row)) for row in stored) or 1
    half, whole = most + 2 * most * ZERO, 2 * most
    weights = b"".join(
        [bytes([(254 * weight + half) // whole for weight in row]) for row in stored]
    )
    return most / 127 / UNIT, weights


def _unpack(data: bytes) -> tuple[bytes, bytes]:
    if len(data) < _PREFIX.size + _CHECKSUM_BYTES:
        raise InvalidModelError(f"{len(data)} bytes are too few for a model")
    magic, version, features_version, header, weights = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise InvalidModelError("the bytes do not begin like a model")
    if (version, features_version) != (FORMAT_VERSION, FEATURES_VERSION):
        raise InvalidModelError(
            f"the model has format {version} and features {features_version}; this version reads"
            f" format {FORMAT_VERSION} and features {FEATURES_VERSION}, so train it again"
        )
    end = _PREFIX.size + header + weights
    if len(data) != end + _CHECKSUM_BYTES:
        raise InvalidModelError(
            f"the model has {len(data)} bytes and should have {end + _CHECKSUM_BYTES}"
        )
    if hashlib.sha256(data[:end]).digest() != data[end:]:
        raise InvalidModelError("the checksum is wrong: the bytes were changed")
    return data[_PREFIX.size : _PREFIX.size + header], data[_PREFIX.size + header : end]


def _inflate(weights: bytes, size: int) -> bytes:
    flat = zlib.decompressobj().decompress(weights, size + 1)
    if not 0 < len(flat) == size:
        raise ValueError("the number of weights is not that of its classes")
    return flat


def _calibration(fields: dict[str, Any]) -> Calibration:
    curve = tuple(fields.pop("curve"))
    thresholds = tuple(fields.pop("thresholds"))
    return Calibration(curve=curve, thresholds=thresholds, **fields)
