"""How well clusters of unmatched queries find missing agents: intents that nothing serves, mixed
with queries that belong nowhere.

    PYTHONPATH=src .build/venv/bin/python -m bench.clusters --data DIR

DIR holds train.jsonl and oos_train.jsonl of {"query", "intent"}. Each draw takes 15 intents with
100, 85, 72, … queries, at least 10, and mixes them with the out-of-scope queries and 200 queries of
other intents, each of which belongs to no cluster. `ARI` is the adjusted Rand index over all of
them, those without a cluster being alone; `purity` is the share of the clustered queries that are
of the most frequent intent of their cluster, `found` the share of the intents' queries that are in
the largest cluster of their intent. The seconds are of this Python."""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from math import comb
from pathlib import Path
from statistics import mean

from edgeneuro.classifier.alike import LIKENESS, comparable
from edgeneuro.classifier.clusters import (
    ALONE,
    ROUNDS,
    FirstGroups,
    GroupSums,
    SettledGroups,
    clusters_of,
)
from edgeneuro.classifier.vectors import VectorsError, VectorTable, load_table

_INTENTS, _LARGEST, _SHRINKS, _SMALLEST, _OTHERS = 15, 100, 0.85, 10, 200
Query = tuple[str, str | None]  # with its intent; None: it belongs nowhere


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--draws", type=int, default=5, help="draws of the intents (5)")
    parser.add_argument("--ngrams", action="store_true", help="without the word vectors")
    options = parser.parse_args()
    table: VectorTable | None = None
    if not options.ngrams:
        try:
            table = load_table()
        except VectorsError as error:
            parser.error(f"{error}; --ngrams measures without")
    found = []
    for draw in range(options.draws):
        queries = drawn(options.data, 100 + draw)
        began = time.process_time()
        clusters = clustered([query for query, _ in queries], table)
        figures = measured(queries, clusters)
        figures["seconds"] = time.process_time() - began
        found.append(figures)
        print(f"draw {draw}: {len(queries)} queries, {shown(figures)}")
    print(f"mean:   {shown({name: mean(each[name] for each in found) for name in found[0]})}")


def drawn(data: Path, seed: int) -> list[Query]:
    by_intent: dict[str, list[str]] = {}
    for line in lines(data / "train.jsonl"):
        by_intent.setdefault(line["intent"], []).append(line["query"])
    chance = random.Random(seed)
    intents = chance.sample(sorted(by_intent), _INTENTS)
    queries: list[Query] = []
    for at, intent in enumerate(intents):
        size = max(_SMALLEST, int(_LARGEST * _SHRINKS**at))
        queries += [(query, intent) for query in chance.sample(by_intent[intent], size)]
    queries += [(line["query"], None) for line in lines(data / "oos_train.jsonl")]
    others = [query for name in by_intent if name not in intents for query in by_intent[name]]
    queries += [(query, None) for query in chance.sample(others, _OTHERS)]
    chance.shuffle(queries)
    return queries


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def clustered(queries: Sequence[str], table: VectorTable | None) -> list[list[int]]:
    """As the job does it."""
    texts = [comparable(query, table) for query in queries]
    clusters: list[list[int]] = []
    for space, likeness in LIKENESS.items():
        own = [at for at, each in enumerate(texts) if each is not None and each.space == space]
        vectors = [each.vector for each in texts if each is not None and each.space == space]
        first = FirstGroups(likeness)
        groups = [first.place(each) for each in vectors]
        for _ in range(ROUNDS):
            sums = GroupSums()
            for vector, group in zip(vectors, groups, strict=True):
                sums.add(vector, group)
            settled = SettledGroups(sums, likeness, smallest=3)
            groups = [settled.place(each) for each in vectors]
        clusters += [[own[at] for at in each] for each in clusters_of(vectors, groups, smallest=3)]
    return clusters


def measured(queries: Sequence[Query], clusters: Sequence[Sequence[int]]) -> dict[str, float]:
    place = {at: number for number, members in enumerate(clusters) for at in members}
    truth = [intent or f"alone {at}" for at, (_, intent) in enumerate(queries)]
    put = [place.get(at, ALONE - at - 1) for at in range(len(queries))]
    pure = sum(
        Counter(intent for at in members if (intent := queries[at][1])).most_common(1)[0][1]
        for members in clusters
        if any(queries[at][1] for at in members)
    )
    largest: Counter[str] = Counter()
    for members in clusters:
        for intent, n in Counter(queries[at][1] for at in members).items():
            if intent is not None:
                largest[intent] = max(largest[intent], n)
    known = sum(intent is not None for _, intent in queries)
    return {
        "clusters": float(len(clusters)),
        "ARI": adjusted_rand(truth, put),
        "purity": pure / len(place),
        "found": sum(largest.values()) / known,
    }


def adjusted_rand(one: Sequence[object], other: Sequence[object]) -> float:
    """Hubert and Arabie 1985: 1 for equal partitions, 0 for what chance gives."""

    def pairs(values: Sequence[object]) -> int:
        return sum(comb(n, 2) for n in Counter(values).values())

    both, first, second = pairs(list(zip(one, other, strict=True))), pairs(one), pairs(other)
    expected = first * second / comb(len(one), 2)
    return (both - expected) / ((first + second) / 2 - expected)


def shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in figures.items())


if __name__ == "__main__":
    main()
