"""A small embedding model for tests: a text's vector has its words, so that texts with the same
words are alike."""

import hashlib
import random
from functools import cache

from edgeneuro.domain.decision import Usage
from edgeneuro.gateway.interface import EmbeddingAnswer, EmbeddingRequest

MODEL = "@cf/baai/bge-small-en-v1.5"
WIDTH = 48


def vector(text: str, width: int = WIDTH) -> list[float]:
    total = [0.01] * width
    for word in text.lower().split():
        total = [one + two for one, two in zip(total, _word(word, width), strict=True)]
    return total


@cache
def _word(word: str, width: int) -> tuple[float, ...]:
    chance = random.Random(hashlib.sha256(word.encode()).hexdigest())
    return tuple(chance.gauss(0, 1) for _ in range(width))


def embed(request: EmbeddingRequest) -> EmbeddingAnswer:
    tokens = sum(len(text.split()) for text in request.texts)
    return EmbeddingAnswer(
        vectors=tuple(vector(text) for text in request.texts),
        usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
    )
