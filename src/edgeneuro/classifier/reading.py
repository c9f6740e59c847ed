"""What the text of a question is to a classifier: its verdict, and a sketch by which texts are
compared with each other."""

from dataclasses import dataclass
from math import sqrt

from edgeneuro.classifier.features import features
from edgeneuro.classifier.scorer import Scorer, Verdict


@dataclass(frozen=True)
class Reading:
    """`sketch` has a bit for each feature of the text; `verdict` is None where there is no
    classifier, or no word."""

    sketch: int = 0
    verdict: Verdict | None = None


def read_query(query: str, scorer: Scorer | None) -> Reading:
    active = features(query)
    bits = bytearray(max(active) // 8 + 1)
    for bucket in active[:-1]:  # the last one is in every text
        bits[bucket >> 3] |= 1 << (bucket & 7)
    verdict = None if scorer is None or len(active) == 1 else scorer.score(active)
    return Reading(int.from_bytes(bits, "little"), verdict)


def likeness(one: int, other: int) -> float:
    """Of two sketches the cosine, 0 to 1."""
    shared = (one & other).bit_count()
    return shared / sqrt(one.bit_count() * other.bit_count()) if shared else 0.0
