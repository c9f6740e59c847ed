"""How many of the best classes a model needs to be offered: the recall of held-out labels, and the
labels that stand as examples."""

import random

import pytest

from edgeneuro.classifier.examples import Examples, Labelled
from edgeneuro.classifier.held_out import HeldOut
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.shortlist import (
    MAX_EXAMPLES,
    MIN_HUMAN,
    fit_shortlist,
    representatives,
)
from edgeneuro.classifier.sources import HUMAN, MODEL
from edgeneuro.classifier.training import Training
from edgeneuro.domain.query import query_hash
from tests.unit.synthetic_labels import QUICK, labels, question, trained, words

AGENTS = 40


def examples_of(count: int, source: int = HUMAN) -> Examples:
    """So many labels, all of different words, so that none is a variant of another."""
    given = [
        Labelled(" ".join(words(f"word {number}", 6)), f"agent_{number % AGENTS:02}", source=source)
        for number in range(count)
    ]
    return prepare(given)


def held_out(examples: Examples, ranks: dict[int, int]) -> tuple[list[HeldOut], list[int]]:
    """All of them, with the rank of some; the others are the best."""
    held = [HeldOut(label, label, 1.0, 0.0) for label in examples.labels]
    return held, [ranks.get(index, 0) for index in range(len(examples))]


def fit(examples: Examples, ranks: dict[int, int]) -> "tuple[int | None, float, float]":
    held, found = held_out(examples, ranks)
    done = fit_shortlist(held, found, range(len(examples)), examples)
    return done.agents, done.recalls[0].recall, done.recalls[0].low


def test_the_lower_bound_counts_and_needs_enough_labels() -> None:
    assert fit(examples_of(177), {})[0] is None
    agents, recall, low = fit(examples_of(180), {})
    assert (agents, recall) == (20, 1.0)
    assert 0.985 <= low < 0.986
    # 99.2 % of 250 may be less than 98.5 %, of 4,000 it is not.
    assert fit(examples_of(250), {0: 35, 60: 35})[0] is None
    assert fit(examples_of(4_000), dict.fromkeys(range(0, 4_000, 125), 35))[0] == 20


def test_the_smallest_number_that_holds_the_right_agent() -> None:
    examples = examples_of(1_000)
    spread = range(0, 1_000, 50)  # no agent has many of them
    assert fit(examples, dict.fromkeys(spread, 19))[0] == 20
    assert fit(examples, dict.fromkeys(spread, 20))[0] == 25
    assert fit(examples, dict.fromkeys(spread, 29))[0] == 30
    agents, recall, low = fit(examples, dict.fromkeys(spread, 30))
    assert (agents, recall) == (None, 0.98)
    assert low < 0.98


def test_an_agent_that_is_missed_too_often_is_always_offered() -> None:
    examples = examples_of(4_000)
    own = [index for index, label in enumerate(examples.labels) if label == 7][:10]
    held, ranks = held_out(examples, dict.fromkeys(own, 35))
    done = fit_shortlist(held, ranks, range(len(examples)), examples)
    assert (done.agents, done.always) == (20, ("agent_07",))


def test_an_agent_of_which_nothing_was_held_out_is_always_offered() -> None:
    examples = examples_of(1_000)
    held, _ = held_out(examples, {})
    kept = [index for index, label in enumerate(examples.labels) if label != 3]
    done = fit_shortlist([held[index] for index in kept], [0] * len(kept), kept, examples)
    assert done.always == ("agent_03",)


@pytest.mark.parametrize(("humans", "by_humans"), [(MIN_HUMAN, True), (MIN_HUMAN - 1, False)])
def test_human_labels_count_alone_if_there_are_enough(humans: int, by_humans: bool) -> None:
    given = [
        Labelled(
            " ".join(words(f"word {number}", 6)),
            f"agent_{number % AGENTS:02}",
            source=HUMAN if number < humans else MODEL,
        )
        for number in range(1_000)
    ]
    examples = prepare(given)
    wrong = {at: 35 for at, source in enumerate(examples.sources) if source == MODEL}
    held, ranks = held_out(examples, wrong)
    done = fit_shortlist(held, ranks, range(len(examples)), examples)
    assert (done.by_humans, done.held_out) == (by_humans, humans if by_humans else 1_000)
    assert (done.agents is not None) == by_humans


def test_a_training_knows_the_ranks_and_keeps_them_between_slices() -> None:
    examples = prepare(labels(12, 20, out_of_scope=60))
    training = Training(examples, QUICK)
    while not training.finished:
        training = Training.resume(training.to_bytes(), examples)
        training.step(5_000)
    whole = trained(labels(12, 20, out_of_scope=60))
    assert training.shortlist() == whole.shortlist()
    assert training.shortlist().held_out > 100
    wrong = [one for one in training._held if one.label >= 0 and not one.right]
    assert sum(rank > 0 for rank in training._ranks) == len(wrong)
    assert max(training._ranks) < 12


def test_the_examples_are_human_labels_unlike_each_other() -> None:
    alike = [Labelled(f"the red door number {number} is locked", "doors") for number in range(9)]
    others = [Labelled(f"{word} {word}s everywhere", "doors") for word in words("doors", 4)]
    machine = [Labelled(" ".join(words("machine", 5)), "doors", source=MODEL)]
    nobody = [Labelled("what is the weather", None)]
    chosen = representatives(prepare([*alike, *others, *machine, *nobody]))
    assert set(chosen) == {"doors"}
    assert len(chosen["doors"]) == MAX_EXAMPLES
    hashes = {query_hash(one.query) for one in others}
    assert hashes < set(chosen["doors"])  # four of five: of the alike ones a single one
    assert query_hash(machine[0].query) not in chosen["doors"]


def test_few_labels_are_all_examples_in_the_same_order_every_time() -> None:
    given = [
        Labelled(question(random.Random(n), f"agent_{n % 2}"), f"agent_{n % 2}") for n in range(6)
    ]
    one, other = representatives(prepare(given)), representatives(prepare(given[::-1]))
    assert one == other
    assert all(0 < len(own) <= 3 for own in one.values())
