"""How many test questions of a data set have a twin in another part, by the parts that the product
assigns, and how often a question that is written otherwise keeps its hashes.

    PYTHONPATH=src .build/venv/bin/python -m bench.near_duplicates --data DIR

DIR holds train.jsonl, oos_train.jsonl and validation.jsonl. Twins have a Jaccard similarity of
their runs of three characters of so much or more.
"""

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.route_dataset import read_lines
from edgeneuro.domain.query import near_hash, normalise, query_hash, similar_hash

SIMILARITIES = (0.7, 0.75, 0.8, 0.85, 0.9)
Hash = Callable[[str], str]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures near-duplicates across the parts.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    data: Path = parser.parse_args().data
    lines = [*read_lines(data / "train.jsonl"), *read_lines(data / "oos_train.jsonl")]
    lines = list({normalise(line["query"]): line for line in lines}.values())
    print(f"{len(lines):,} labels; test questions with a twin in another part, by similarity")
    print(f"{'parts by':16}{'groups':>8}{'test':>6}" + "".join(f"{s:>8}" for s in SIMILARITIES))
    for name, group in (("question", query_hash), ("near", near_hash), ("similar", similar_hash)):
        show_twins(name, lines, group)
    print("\nwritten otherwise: the share with the same hash")
    show_variants(data)


def show_twins(name: str, lines: Sequence[dict[str, Any]], group: Hash) -> None:
    groups = [group(line["query"]) for line in lines]
    parts = assign(groups, [str(line["agent"]) for line in lines])
    test = [at for at, each in enumerate(groups) if parts[each] == "test"]
    others = [at for at, each in enumerate(groups) if parts[each] != "test"]
    best = list(nearest([lines[at]["query"] for at in test], [lines[at]["query"] for at in others]))
    shares = [sum(each >= similarity for each in best) / len(best) for similarity in SIMILARITIES]
    row = "".join(f"{share:8.1%}" for share in shares)
    print(f"{name:16}{len(parts):8,}{len(test):6,}{row}", flush=True)


def assign(groups: Sequence[str], agents: Sequence[str]) -> dict[str, str]:
    """The part of each group, as `store/labels.py` assigns it to one import."""
    first: dict[str, str] = {}
    for group, agent in zip(groups, agents, strict=True):
        first.setdefault(group, agent)
    places: Counter[str] = Counter()
    parts: dict[str, str] = {}
    for group in sorted(first):
        place = places[first[group]] % 10
        places[first[group]] += 1
        parts[group] = {3: "test", 7: "validation"}.get(place, "train")
    return parts


def nearest(queries: Sequence[str], others: Sequence[str]) -> Iterator[float]:
    """For each query the similarity of the most similar other one."""
    runs = [runs_of(other) for other in others]
    holding: defaultdict[str, list[int]] = defaultdict(list)
    for at, each in enumerate(runs):
        for run in each:
            holding[run].append(at)
    for query in queries:
        own = runs_of(query)
        shared: Counter[int] = Counter()
        # Of the rarest runs a twin has at least one.
        rare = sorted(own, key=lambda run: len(holding[run]))
        for run in rare[: len(own) - int(min(SIMILARITIES) * len(own)) + 1]:
            shared.update(holding[run])
        yield max((len(own & runs[at]) / len(own | runs[at]) for at in shared), default=0.0)


def runs_of(query: str) -> frozenset[str]:
    text = f" {normalise(query)} "
    return frozenset(text[at : at + 3] for at in range(len(text) - 2))


def show_variants(data: Path) -> None:
    chance = random.Random(1)
    counts: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for line in read_lines(data / "validation.jsonl"):
        query = line["query"]
        near, similar = near_hash(query), similar_hash(query)
        for name, variant in variants(query, chance):
            counts[name].append((near_hash(variant) == near, similar_hash(variant) == similar))
    for name, same in counts.items():
        near_share, similar_share = (sum(each) / len(same) for each in zip(*same, strict=True))
        print(f"{name:32}n {len(same):5,}   near {near_share:6.1%}   similar {similar_share:6.1%}")


def variants(query: str, chance: random.Random) -> Iterator[tuple[str, str]]:
    yield "please appended", f"{query} please"
    yield "greeting", f"Good morning, {query}"
    yield "thanks", f"{query}, thank you"
    yield "can you", f"can you {query}"
    if "what's" in query:
        yield "what's, what is", query.replace("what's", "what is")
    elif "what is" in query:
        yield "what's, what is", query.replace("what is", "what\u2019s")
    if " the " in query:
        yield "an article left out", query.replace(" the ", " ", 1)
    words = query.split()
    long = [at for at, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if long:
        place = chance.choice(long)
        word = words[place]
        at = chance.randrange(1, len(word) - 1)
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        doubled = word[:at] + word[at] + word[at:]
        for name, typo in (("two letters swapped", swapped), ("a letter doubled", doubled)):
            yield name, " ".join([*words[:place], typo, *words[place + 1 :]])


if __name__ == "__main__":
    main()
