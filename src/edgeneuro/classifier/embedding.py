"""Vectors of an embedding model as features of the second classifier.

Such a vector takes the place of the word vectors (vectors.py): measured, it is better alone than
beside them (docs/embedding.md). The second classifier learns single messages only: a vector is made
of a message, and says nothing of the turn before it."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt

from edgeneuro.classifier.dense import DenseVectors
from edgeneuro.classifier.examples import NO_CONTEXT, Examples
from edgeneuro.classifier.vectors import NORM

MAX_WIDTH = 2_048


def quantised(vector: Sequence[float]) -> bytes:
    """Signed bytes with about the norm NORM. The vector must not be all 0."""
    factor = NORM / sqrt(sum([one * one for one in vector]))
    return array("b", [round(one * factor) for one in vector]).tobytes()


def with_embeddings(examples: Examples, vectors: Mapping[str, bytes], source: str) -> Examples:
    """The examples that are learned as single messages and have a vector, by query hash; all are of
    one width. `source` names what made them."""
    kept = [
        at
        for at in range(len(examples))
        if examples.stands_alone(at) and examples.query_hash(at) in vectors
    ]
    width = len(next(iter(vectors.values()), b""))
    place = {at: number for number, at in enumerate(kept)}
    offsets, buckets = array("I", [0]), array("H")
    first: dict[int, int] = {}  # of each group that is left
    groups = array("I")
    for at in kept:
        buckets.extend(examples.active(at))
        offsets.append(len(buckets))
        groups.append(first.setdefault(examples.groups[at], place[at]))
    return replace(
        examples,
        labels=array("h", [examples.labels[at] for at in kept]),
        folds=array("b", [examples.folds[at] for at in kept]),
        offsets=offsets,
        buckets=buckets,
        groups=groups,
        previous=array("h", [NO_CONTEXT] * len(kept)),
        overlaps=array("B", [examples.overlaps[at] for at in kept]),
        sources=array("b", [examples.sources[at] for at in kept]),
        keys=b"".join([bytes.fromhex(examples.query_hash(at)) for at in kept]),
        vectors=DenseVectors(
            source, width, 1, b"".join([vectors[examples.query_hash(at)] for at in kept])
        ),
    )
