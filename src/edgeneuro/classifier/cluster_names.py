"""A name for a cluster of queries: its most distinctive words.

A word is distinctive by its log-odds in the cluster against the other queries, in units of their
standard error, with the words of all queries as prior (Monroe, Colaresi and Quinn 2008,
"Fightin' Words"). Only words that several queries of the cluster share are used, none with a digit,
and e-mail addresses, links, numbers and what stands for removed personal data are taken out
before."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from math import log, sqrt

from edgeneuro.classifier.features import tokens
from edgeneuro.domain.query import is_stop_word

MAX_WORDS = 3
_MIN_QUERIES = 3  # that share a word
_MIN_SHARE = 0.15  # of the cluster's queries, the first word; the others twice that
_MIN_Z = 1.0
_PRIOR = 10.0  # words, as many as the prior weighs
_NO_WORDS = re.compile(
    r"\S*@\S*|\S*[:/]{2}\S*|\bwww\.\S*|\[(?:email|card|phone)\]|\S*\d\S*", re.IGNORECASE
)


def name_words(query: str) -> list[str]:
    """The words of a query that a name may have, each once, in their order."""
    words = tokens(_NO_WORDS.sub(" ", query))
    kept = [word for word in words if len(word) > 1 and not is_stop_word(word)]
    return list(dict.fromkeys(word for word in kept if not any(map(str.isdigit, word))))


def cluster_names(clusters: Sequence[Sequence[int]], words: Sequence[Sequence[str]]) -> list[str]:
    """The names of clusters of queries: `words` are the `name_words` of all queries, clusters have
    their indices. A cluster without distinctive words has an empty name; of two clusters with the
    same name the second one has a number."""
    everywhere = Counter(word for each in words for word in each)
    total = sum(everywhere.values())
    given: Counter[str] = Counter()
    names = []
    for members in clusters:
        name = _name([words[index] for index in members], everywhere, total)
        given[name] += 1
        names.append(f"{name} ({given[name]})" if name and given[name] > 1 else name)
    return names


def _name(queries: Sequence[Sequence[str]], everywhere: Counter[str], total: int) -> str:
    inside = Counter(word for each in queries for word in each)
    count = sum(inside.values())
    scored: list[tuple[float, str]] = []
    for word, times in inside.items():
        if times < max(_MIN_QUERIES, _MIN_SHARE * len(queries)):
            continue
        prior = _PRIOR * everywhere[word] / total
        others = everywhere[word] - times
        here = (times + prior) / (count + _PRIOR - times - prior)
        there = (others + prior) / (total - count + _PRIOR - others - prior)
        z = log(here / there) / sqrt(1 / (times + prior) + 1 / (others + prior))
        # The share of the queries counts: a rare word that stands nowhere else names few of them.
        if z >= _MIN_Z or not total - count:
            scored.append((-z * sqrt(times / len(queries)), word))
    scored.sort()
    chosen: list[str] = []
    for _, word in scored:
        least = 2 * _MIN_SHARE * len(queries) if chosen else 0
        if inside[word] >= least and not any(_is_same(word, other) for other in chosen):
            chosen.append(word)
        if len(chosen) == MAX_WORDS:
            break
    name = " ".join(sorted(chosen, key=lambda word: _place(word, queries)))
    return name[:1].upper() + name[1:]


def _is_same(one: str, other: str) -> bool:
    """Two forms of a word, as "book" and "booking"."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short[: max(4, len(short) - 1)])


def _place(word: str, queries: Iterable[Sequence[str]]) -> tuple[float, str]:
    """Where the word stands among the others, on average."""
    places = [each.index(word) / len(each) for each in queries if word in each]
    return sum(places) / len(places), word
