"""Files that want to do harm: none of them is loaded, executed, or more than a line in a report."""

import json
import pickle
import zipfile
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeneuro.adapter.preflight import RULES, AdapterFacts, Report, check_adapter
from edgeneuro.adapter.safetensors import (
    MAX_HEADER_BYTES,
    InvalidSafetensorsError,
    header_end,
    read_header,
)
from tests.unit.adapters import GEMMA, config_for, failures, framed, header_of, tensors_for

CONFIG = json.dumps(config_for(GEMMA)).encode()
START, SIZE = header_of(tensors_for(GEMMA))
# The same cases in every run, however slow the machine is.
STEADY = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
T = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def check(config: bytes = CONFIG, start: bytes = START, size: int = SIZE) -> Report:
    return check_adapter(
        names=("adapter_config.json", "adapter_model.safetensors"),
        config=config,
        weights_start=start,
        weights_size=size,
        facts=AdapterFacts(GEMMA),
    )


def holds(report: Report) -> None:
    """What is true of every report, whatever the files are."""
    assert [each.rule for each in report.checks] == list(RULES)
    for each in report.checks:
        assert bool(each.message) is (each.passed is not True)
        assert len(each.message) < 700
        assert (each.found + each.message).isprintable()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the pickle was executed",))


def zipped() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "too short"),
        (b"1234567", "too short"),
        (zipped(), "zip archive"),
        (pickle.dumps(Bomb(), 2), "pickle"),
        (pickle.dumps(Bomb(), 5), "pickle"),
        (b"<!DOCTYPE html><title>Not found</title>", "web page"),
        (b'{"error": "no such file"}', "JSON"),
        (b"GGUF\x03\0\0\0\0\0\0\0", "GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    ],
)
def test_another_format_is_named(data: bytes, words: str) -> None:
    report = check(start=data, size=len(data))
    holds(report)
    assert words in failures(report)["weights_format"]


@pytest.mark.parametrize(
    ("length", "size", "words"),
    [
        (2**64 - 1, 1000, "more than 4000000"),  # -1, where it is read as signed
        (2**63, 1000, "more than"),
        (2 * 2**30, 3 * 2**30, "more than"),
        (MAX_HEADER_BYTES + 1, 10**8, "more than"),
        (MAX_HEADER_BYTES, 1000, "it is cut off"),
        (993, 1000, "it is cut off"),
        (0, 1000, "says that its header has 0 bytes"),
        (1, 1000, "says that its header has 1 bytes"),
    ],
)
def test_a_length_that_lies(length: int, size: int, words: str) -> None:
    start = length.to_bytes(8, "little") + b"{" * 992
    report = check(start=start, size=size)
    holds(report)
    assert words in failures(report)["weights_format"]
    with pytest.raises(InvalidSafetensorsError):
        header_end(start, size)


def test_the_end_of_an_honest_header() -> None:
    assert header_end(START[:8], SIZE) == len(START)
    assert read_header(START, SIZE).end == len(START)


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        (b"\xff\xfe{}", 0, "does not begin with {"),
        (b'{"\xff": 1}', 0, "is not UTF-8"),
        (b"{not json}", 0, "is not JSON"),
        (b"[]", 0, "does not begin with {"),
        (b"{} trailing", 0, "is not JSON"),
        (b'{"a":' * 500_000, 0, "nested more than 3 deep"),
        (b'{"a":' + b"[" * 500_000, 0, "nested more than 3 deep"),
        (b'{"a":' + b"[]," * 500_000, 0, "is not JSON"),
        (b'{"' + b'\\"' * 1_000_000, 0, "is not JSON"),
        (f'{{"a":{T},"a":{T}}}'.encode(), 4, "twice"),
        (b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4, "twice"),
        (b'{"a":{"dtype":"F32","shape":[1]}}', 4, "without exactly dtype"),
        (b'{"a":[]}', 4, "without exactly dtype"),
        (b'{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}', 4, 'of the dtype "F31"'),
        (b'{"a":{"dtype":[],"shape":[1],"data_offsets":[0,4]}}', 4, "of the dtype []"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4, "of the shape [-1]"),
        (b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', 4, "of the shape [true]"),
        (b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', 4, "of the shape [1.0]"),
        (b'{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}', 4, "of the shape 1"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', 4, "at [4, 0]"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}', 4, "at [-4, 0]"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}', 4, "at [0, 4, 8]"),
        (
            b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}',
            0,
            "another size",
        ),
        (b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}' % (b"9" * 20), 4, "shape"),
        (b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}' % (b"9" * 9999), 4, "too long"),
        (
            b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}'
            % b",".join([b"9"] * 500_000),
            4,
            "of the shape",
        ),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1e999]}}', 4, "not a finite number"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,NaN]}}', 4, "NaN"),
        (f'{{"a":{T},"b":{T}}}'.encode(), 8, "overlaps"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', 8, "leaves a gap"),
        (f'{{"a":{T}}}'.encode(), 8, "something follows"),
        (f'{{"a":{T}}}'.encode(), 3, "it is cut off"),
        (b'{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}', 1, "another size"),
        (b'{"__metadata__":{"a":1}}', 0, "__metadata__"),
        (b'{"__metadata__":[]}', 0, "__metadata__"),
    ],
)
def test_a_header_that_lies(header: bytes, data: int, words: str) -> None:
    start, size = framed(header, data)
    report = check(start=start, size=size)
    holds(report)
    assert words in failures(report)["weights_format"]


def test_names_of_tensors_stay_in_the_report_short_and_printable() -> None:
    name = json.dumps("\ud800\x1b[31m\n" * 5000)
    start, size = framed(f"{{{name}:{T}}}".encode(), 4)
    report = check(start=start, size=size)
    holds(report)
    assert "name of a LoRA matrix" in failures(report)["tensors"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"{\xef\xbb\xbf}", "is not JSON"),
        (b"null", "is not a JSON object"),
        (b"[]", "is not a JSON object"),
        (b'{"r": NaN}', "holds NaN"),
        (b'{"r": -Infinity}', "holds -Infinity"),
        (b'{"r": 1e999}', "not a finite number"),
        (b'{"r": 8, "r": 64}', 'the key "r" twice'),
        (b'{"r": ' + b"9" * 10_000 + b"}", "too long"),
        (b'{"a": ' * 50_000 + b"1" + b"}" * 50_000, "nested more than 20 deep"),
        (b'{"a": "' + b"x" * 50_000_000 + b'"}', "more than 1000000"),
        (b"\x80\x04\x95", "is not UTF-8"),
    ],
)
def test_a_configuration_that_lies(config: bytes, words: str) -> None:
    report = check(config)
    holds(report)
    assert words in failures(report)["config_json"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@STEADY
@given(st.dictionaries(st.sampled_from(sorted(config_for(GEMMA))), VALUES))
def test_values_of_any_type_never_raise(change: dict[str, Any]) -> None:
    holds(check(json.dumps(config_for(GEMMA) | change, ensure_ascii=True).encode()))


@STEADY
@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 2**70))
def test_bytes_of_any_kind_never_raise(config: bytes, start: bytes, size: int) -> None:
    report = check(config, start, size)
    holds(report)
    assert not report.ok


@settings(STEADY, max_examples=200)
@given(st.data())
def test_a_damaged_file_never_raises(data: st.DataObject) -> None:
    damaged = bytearray(START)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    holds(check(start=bytes(damaged[:cut]), size=data.draw(st.integers(0, 2 * SIZE))))


TENSORS = st.dictionaries(
    st.text(max_size=10)
    | st.from_regex(
        r"base_model\.model\.model\.layers\.[0-9]\.self_attn\.[qv]_proj\.lora_[AB]\.weight",
        fullmatch=True,
    ),
    st.tuples(st.sampled_from(["F32", "F16", "F64"]), st.lists(st.integers(0, 2**16), max_size=3)),
    max_size=6,
)


@STEADY
@given(TENSORS)
def test_well_formed_headers_of_any_tensors_never_raise(tensors: Any) -> None:
    report = check(CONFIG, *header_of(tensors))
    holds(report)
    assert "weights_format" not in failures(report)
