"""The reader of JSON text from outside: what json.loads reads, but no deeper than its bound."""

import json
from typing import Any

import pytest

from edgeneuro.bounded_json import MAX_DEPTH, InvalidJsonError, first_object, loads

VALUES: list[Any] = [
    None,
    True,
    -1.5e-7,
    10**30,
    "",
    '\u2028 \\ " {[ \ud83d\ude42',
    [],
    {},
    [[{"a": [{"b": None}]}], "]"],
]


def nested(depth: int, *, of: str = "list") -> str:
    opening, closing = ("[", "]") if of == "list" else ('{"a":', "}")
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_it_reads_what_json_loads_reads(value: Any) -> None:
    text = json.dumps(value)
    assert loads(text) == json.loads(text)
    assert loads(text.encode()) == json.loads(text)


@pytest.mark.parametrize("of", ["list", "object"])
def test_the_bound_is_exact(of: str) -> None:
    assert loads(nested(MAX_DEPTH, of=of)) == json.loads(nested(MAX_DEPTH, of=of))
    with pytest.raises(InvalidJsonError, match=f"nested more than {MAX_DEPTH} deep"):
        loads(nested(MAX_DEPTH + 1, of=of))


def test_brackets_side_by_side_or_in_strings_are_not_depth() -> None:
    wide = "[" + ",".join(["[[]]"] * 10_000) + "]"
    assert len(loads(wide)) == 10_000
    text = '["' + "[{" * 10_000 + '\\"[", []]'
    assert loads(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"a":' * 200_000,
        "]" * 1_000 + "[" * 200_000,
        "[]" * 1_000 + "[" * 200_000,
        "[}" * 200_000,
        '["' + '\\"' * 1_000 + '", ' + "[" * 200_000,
        "[" * 200 + '"' + "[" * 200_000,
    ],
    ids=lambda text: text[:12],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(InvalidJsonError):
        loads(text)
    with pytest.raises(InvalidJsonError):
        loads(text.encode())
    assert first_object(f"Sure: {text}") is None


def test_every_failure_is_an_invalid_json_error() -> None:
    for data in (b"", b"{", b"\xff", b"[1" + b"0" * 5_000 + b"]", "nonsense", "[1] [2]"):
        with pytest.raises(InvalidJsonError):
            loads(data)


def test_a_byte_order_mark_is_read() -> None:
    assert loads(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure! ```json\n{"a": {"b": "}"}}\n``` [and {more', {"a": {"b": "}"}}),
        ('{"a": 1}' + "[" * 200_000, {"a": 1}),
        ("no object", None),
        ('{"a": 1', None),
        ("{agent: it}", None),
        ("", None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_first_object_of_a_text(text: str, expected: Any) -> None:
    assert first_object(text) == expected
