"""Clusters of alike texts, and the names that their words give them."""

import random

import pytest

from edgeneuro.classifier.cluster_names import cluster_names, name_words
from edgeneuro.classifier.clusters import (
    ALONE,
    OF_NGRAMS,
    OF_WORDS,
    ROUNDS,
    FirstGroups,
    GroupSums,
    SettledGroups,
    clusters_of,
    ngram_vector,
)

TOPICS = {
    "flight": ("book a flight to {}", "i need a flight to {}", "is there a flight to {} today"),
    "recipe": (
        "give me a recipe for {}",
        "what is a good recipe for {}",
        "a recipe with {} please",
    ),
    "taxes": ("how do i pay my taxes in {}", "when are taxes due in {}", "do i owe taxes to {}"),
}
WORDS = ("paris", "rice", "ohio", "texas", "oslo", "soup", "beans", "lima", "utah", "cairo")


def grouped(vectors: list[bytes]) -> list[int]:
    first = FirstGroups(OF_NGRAMS)
    groups = [first.place(each) for each in vectors]
    for _ in range(ROUNDS):
        sums = GroupSums()
        for vector, group in zip(vectors, groups, strict=True):
            sums.add(vector, group)
        settled = SettledGroups(sums, OF_NGRAMS, smallest=3)
        groups = [settled.place(each) for each in vectors]
    return groups


def vector_of(query: str) -> bytes:
    found = ngram_vector(query)
    assert found is not None
    return found


@pytest.fixture
def queries() -> list[tuple[str, str]]:
    made = [
        (topic, shape.format(word))
        for topic, shapes in TOPICS.items()
        for shape in shapes
        for word in WORDS
    ]
    random.Random(1).shuffle(made)
    return made


def test_alike_texts_are_in_one_cluster(queries: list[tuple[str, str]]) -> None:
    vectors = [vector_of(query) for _, query in queries]
    clusters = clusters_of(vectors, grouped(vectors), smallest=3)
    assert sum(map(len, clusters)) >= 80
    for members in clusters:
        assert len({queries[at][0] for at in members}) == 1
    assert [len(each) for each in clusters] == sorted(map(len, clusters), reverse=True)


def test_a_text_that_is_like_no_other_is_in_no_cluster(queries: list[tuple[str, str]]) -> None:
    vectors = [vector_of(query) for _, query in queries] + [vector_of("why do wombats dig?")]
    assert grouped(vectors)[-1] == ALONE


def test_the_most_typical_text_comes_first() -> None:
    texts = ["book a flight to lima and a hotel and a car", "book a flight", "book a flight now"]
    vectors = [vector_of(each) for each in texts]
    [members] = clusters_of(vectors, [0, 0, 0], smallest=3)
    assert members[0] in (1, 2) and members[-1] == 0


def test_small_groups_are_left_out() -> None:
    vectors = [vector_of("book a flight")] * 2
    assert clusters_of(vectors, [0, 0], smallest=3) == []


def test_the_products_are_those_of_the_numbers() -> None:
    """With negative numbers of every size that a byte has."""
    one = bytes([127, 129, 0, 5] * 64)  # 127, -127, 0, 5
    other = bytes([129, 127, 0, 251] * 64)
    first = FirstGroups(OF_WORDS)
    assert [first.place(each) for each in (one, other, one, other)] == [0, 1, 0, 1]


def test_a_text_without_words_has_no_vector() -> None:
    assert ngram_vector("?!") is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Can you tell me my PTO balance?", ["pto", "balance"]),
        ("mail ada@example.com or call 415 555 0123", ["mail", "call"]),
        ("see https://example.com/private/ada for [email]", ["see"]),
        ("order A1234 from 2026-10-01", ["order"]),
    ],
)
def test_words_of_names_say_the_subject_and_no_personal_data(query: str, words: list[str]) -> None:
    assert name_words(query) == words


def test_a_name_has_the_distinctive_words_in_their_order(queries: list[tuple[str, str]]) -> None:
    words = [name_words(query) for _, query in queries]
    clusters = [[at for at, (of, _) in enumerate(queries) if of == topic] for topic in TOPICS]
    names = cluster_names(clusters, words)
    assert names[:2] == ["Book flight today", "Good recipe"]
    assert "taxes" in names[2].lower()
    assert all(word not in name.lower() for name in names for word in WORDS)


def test_a_cluster_without_common_words_has_no_name_and_names_differ() -> None:
    words = [["alpha"], ["beta"], ["gamma"], *[["refund"]] * 12, *[["other"]] * 90]
    groups = [[0, 1, 2], list(range(3, 9)), list(range(9, 15))]
    assert cluster_names(groups, words) == ["", "Refund", "Refund (2)"]
