"""The model's bytes: whole, of this format and version, or refused."""

import hashlib
import json
from array import array
from functools import cache

import pytest

from edgeneuro.classifier.features import ROWS
from edgeneuro.classifier.model import (
    InvalidModelError,
    Model,
    dumps,
    loads,
    quantise,
    version,
)
from edgeneuro.classifier.scorer import Scorer
from tests.unit.synthetic_labels import labels, trained

HEADER_AT = 28


@cache
def model() -> Model:
    return trained(labels(4, 60)).model()


@cache
def data() -> bytes:
    return dumps(model())


def resealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def with_header(**changes: object) -> bytes:
    """The model with another header, its sizes and checksum right."""
    body = data()[:-32]
    size = int.from_bytes(body[20:24], "little")
    header = json.loads(body[HEADER_AT : HEADER_AT + size]) | changes
    text = json.dumps({key: value for key, value in header.items() if value != "gone"}).encode()
    sizes = len(text).to_bytes(4, "little") + body[24:28]
    return resealed(body[:20] + sizes + text + body[HEADER_AT + size :])


def test_what_is_written_is_read() -> None:
    assert loads(data()) == model()
    assert dumps(loads(data())) == data()


def test_every_truncation_is_refused() -> None:
    for size in [*range(0, len(data()), 100), len(data()) - 1]:
        with pytest.raises(InvalidModelError):
            loads(data()[:size])


def test_every_flipped_byte_is_refused() -> None:
    for place in [*range(0, len(data()), 97), *range(HEADER_AT), len(data()) - 1]:
        changed = bytearray(data())
        changed[place] ^= 0x10
        with pytest.raises(InvalidModelError):
            loads(bytes(changed))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (b"", "too few"),
        (b"PK\3\4" + bytes(500), "do not begin"),
        (resealed(data()[:16] + b"\x09\0" + data()[18:-32]), "format 9"),
        (resealed(data()[:18] + b"\x09\0" + data()[20:-32]), "train it again"),
        (data() + b"\0", "bytes and should have"),
        (data()[:-1] + bytes([data()[-1] ^ 1]), "checksum"),
        (with_header(classes=["a"]), "number of weights"),
        (with_header(classes="gone"), "classes"),
        (with_header(surprise=1), "surprise"),
        (with_header(calibration=None), "does not match its format"),
    ],
)
def test_a_refusal_says_why(changed: bytes, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        loads(changed)


def test_a_version_is_of_the_content() -> None:
    other = dumps(trained(labels(4, 60, seed=2)).model())
    assert version(data()) == version(dumps(model())) != version(other)


def test_weights_are_rounded_to_a_byte() -> None:
    scale, weights = quantise([array("i", row) for row in ([65536, -65536], [0, 32768])])
    assert list(weights) == [255, 1, 128, 192]
    assert scale == pytest.approx(1 / 127)


def test_the_scorer_sums_rows_as_one_would_by_hand() -> None:
    classes = len(model().classes)
    active = list(range(0, ROWS, 11))  # more rows than one sum can hold
    rows = [model().weights[bucket * classes : (bucket + 1) * classes] for bucket in active]
    sums = [sum(byte - 128 for byte in column) for column in zip(*rows, strict=True)]
    prediction = Scorer(model()).score(active)
    best = max(range(classes), key=sums.__getitem__)
    assert prediction.agent_id == model().classes[best]
    assert prediction.score == pytest.approx(max(sums) * model().scale / len(active) ** 0.5)
    assert prediction.margin == pytest.approx(
        (max(sums) - sorted(sums)[-2]) * model().scale / len(active) ** 0.5
    )


@pytest.mark.parametrize("query", ["", "?", "👍" * 8_000, "a b " * 2_000, "今天天气", "\ud800"])
def test_odd_queries_get_a_verdict(query: str) -> None:
    prediction = Scorer(model()).predict(query)
    assert prediction.agent_id in model().classes
    assert not prediction.sure
