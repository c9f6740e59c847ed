"""By what texts are compared that no agent fits: their word vectors, or for a text without them its
n-grams."""

from dataclasses import dataclass
from typing import Literal

from edgeneuro.classifier.clusters import OF_NGRAMS, OF_WORDS, Likeness, ngram_vector
from edgeneuro.classifier.features import plain
from edgeneuro.classifier.vectors import VectorTable

Space = Literal["words", "ngrams"]
LIKENESS: dict[Space, Likeness] = {"words": OF_WORDS, "ngrams": OF_NGRAMS}


@dataclass(frozen=True, slots=True)
class Comparable:
    """Texts of one space can be compared."""

    space: Space
    vector: bytes


def comparable(query: str, table: VectorTable | None) -> Comparable | None:
    """None for a text without a word."""
    vector = None if table is None else table.vector(plain(query))
    if vector is not None:
        return Comparable("words", vector)
    vector = ngram_vector(query)
    return None if vector is None else Comparable("ngrams", vector)
