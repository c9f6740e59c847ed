"""The network: six layers of BERT, the mean of the tokens' vectors, length 1."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local.engines.minilm.tokenizer import Tokenizer

Array = NDArray[np.float32]

WIDTH = 384
FOLDER = Path(__file__).resolve().parents[3] / ".build" / "minilm"
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
# Texts of about one length go through the network together: short ones are not padded to long ones.
_BATCH = 32


class ModelMissing(Exception):
    """The set-up has not unpacked the weights; the text says how to."""


@cache
def load_minilm() -> MiniLm:
    """Raises ModelMissing."""
    return read_minilm(FOLDER)


def read_minilm(folder: Path) -> MiniLm:
    """Raises ModelMissing."""
    try:
        vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        weights = read_safetensors((folder / "model.safetensors").read_bytes())
    except FileNotFoundError as error:
        raise ModelMissing(
            "The embedding model is not installed; `npm start` installs it."
        ) from error
    return MiniLm(Tokenizer({piece: index for index, piece in enumerate(vocabulary)}), weights)


class MiniLm:
    def __init__(self, tokenizer: Tokenizer, weights: Mapping[str, Array]) -> None:
        self._tokenizer = tokenizer
        self._weights = weights

    def embed(self, texts: Sequence[str]) -> tuple[Array, int]:
        """One row of WIDTH numbers of length 1 for each text, and the number of tokens read."""
        tokens = [self._tokenizer.encode(text) for text in texts]
        rows = np.zeros((len(texts), WIDTH), np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            rows[batch] = self._forward([tokens[index] for index in batch])
        return rows, sum(map(len, tokens))

    def _forward(self, tokens: Sequence[Sequence[int]]) -> Array:
        longest = max(map(len, tokens))
        ids = np.zeros((len(tokens), longest), np.int64)
        mask = np.zeros((len(tokens), longest), np.float32)
        for row, each in enumerate(tokens):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        state = self._weights["embeddings.word_embeddings.weight"][ids]
        state = state + self._weights["embeddings.position_embeddings.weight"][:longest]
        state = state + self._weights["embeddings.token_type_embeddings.weight"][0]
        state = self._norm(state, "embeddings.LayerNorm")
        hidden = (1 - mask)[:, None, None, :] * np.float32(-1e9)
        for layer in range(_LAYERS):
            state = self._layer(state, hidden, f"encoder.layer.{layer}")
        mean = (state * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return _array(mean / np.linalg.norm(mean, axis=1, keepdims=True))

    def _layer(self, state: Array, hidden: Array, name: str) -> Array:
        texts, length, _ = state.shape
        size = WIDTH // _HEADS

        def heads(part: str) -> Array:
            found = self._linear(state, f"{name}.attention.self.{part}")
            return found.reshape(texts, length, _HEADS, size).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32(size**0.5)
        scores = scores + hidden
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        shares = scores / scores.sum(-1, keepdims=True)
        mixed = (shares @ heads("value")).transpose(0, 2, 1, 3).reshape(texts, length, WIDTH)
        attended = self._linear(mixed, f"{name}.attention.output.dense")
        state = self._norm(state + attended, f"{name}.attention.output.LayerNorm")
        wide = _gelu(self._linear(state, f"{name}.intermediate.dense"))
        narrow = self._linear(wide, f"{name}.output.dense")
        return self._norm(state + narrow, f"{name}.output.LayerNorm")

    def _linear(self, state: Array, name: str) -> Array:
        return _array(state @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _norm(self, state: Array, name: str) -> Array:
        centred = state - state.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + _EPSILON)
        return _array(scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])


def read_safetensors(content: bytes) -> dict[str, Array]:
    """The tensors of float32 by name: eight bytes of the header's length, the header, the data."""
    (length,) = struct.unpack_from("<Q", content)
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    start = 8 + length
    found: dict[str, Array] = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        first, end = entry["data_offsets"]
        data = np.frombuffer(content, np.float32, (end - first) // 4, start + first)
        found[name] = data.reshape(entry["shape"])
    return found


def _gelu(value: Array) -> Array:
    return _array(value * (1 + _erf(value / np.float32(2**0.5))) / 2)


def _erf(value: Array) -> Array:
    """Abramowitz and Stegun 7.1.26: wrong by less than 1.5e-7. numpy has no erf."""
    size = np.abs(value)
    t = 1 / (1 + 0.3275911 * size)
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    total = np.zeros_like(size)
    for term in reversed(terms):
        total = (total + np.float32(term)) * t
    return _array(np.sign(value) * (1 - total * np.exp(-size * size)))


def _array(value: Any) -> Array:
    return np.asarray(value, np.float32)
