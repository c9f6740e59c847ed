"""A trained classifier among other agents than those of its training: new ones join it by their
texts, and those that were deleted leave it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from edgeneuro.classifier.joining import MAX_COUNTER_EXAMPLES, SHY, learn_newcomers
from edgeneuro.classifier.scorer import Prediction, Scorer
from tests.unit.synthetic_labels import labels, question, trained
from tests.unit.test_follow_ups import model as conversations_model

AGENTS = 4
OLD = tuple(f"agent_{number}" for number in range(AGENTS))
NEW = "agent_new"


def texts_of(agent: str, count: int = 12) -> list[str]:
    chance = random.Random(agent)
    return [question(chance, agent) for _ in range(count)]


def texts(*agents: str) -> dict[str, Sequence[str]]:
    return {agent: texts_of(agent) for agent in agents}


@pytest.fixture(scope="module")
def old() -> Scorer:
    return Scorer(trained(labels(AGENTS, 80, out_of_scope=80)).model())


def asked(scorer: Scorer, agent: str, count: int = 60) -> list[Prediction]:
    chance = random.Random(5)
    return [scorer.predict(question(chance, agent)) for _ in range(count)]


def test_a_new_agents_queries_are_no_longer_answered_by_others(old: Scorer) -> None:
    joined = old.joined([NEW], texts(*OLD, NEW))
    found = asked(joined, NEW)
    assert sum(each.agent_id == NEW for each in found) >= 55
    assert all(each.agent_id == NEW for each in found if each.sure)
    for agent in OLD:
        before, after = asked(old, agent), asked(joined, agent)
        assert [each.agent_id for each in after] == [each.agent_id for each in before]
        assert sum(each.sure for each in after) >= 0.9 * sum(each.sure for each in before)


def test_it_answers_from_the_strictest_threshold_alone(old: Scorer) -> None:
    joined = old.joined([NEW], texts(*OLD, NEW))
    *others, own = joined.model.calibration.thresholds
    assert own is not None and own >= max(SHY, *(each for each in others if each is not None))
    assert old.model.calibration.thresholds == tuple(others)


def test_a_classifier_that_answers_nothing_does_not_answer_a_new_agent(old: Scorer) -> None:
    calibration = replace(old.model.calibration, thresholds=(None,) * AGENTS)
    joined = Scorer(replace(old.model, calibration=calibration)).joined([NEW], texts(*OLD, NEW))
    assert joined.model.calibration.thresholds[-1] is None


def test_the_same_agents_are_nothing_to_do(old: Scorer) -> None:
    assert old.joined([], texts(*OLD)) is old


def test_the_same_texts_make_the_same_columns(old: Scorer) -> None:
    given = texts(*OLD, NEW)
    turned = dict(reversed(given.items()))
    one, other = (learn_newcomers(old.model, old.read, [NEW], each) for each in (given, turned))
    assert one == other


def test_probabilities_are_those_of_all_agents_and_sum_to_one(old: Scorer) -> None:
    among: Mapping[str, Sequence[str]] = texts(*OLD[1:], NEW)
    joined = old.joined([NEW], among)
    chance = random.Random(3)
    for agent in (*OLD, NEW, "nobody"):
        found = joined.rank(question(chance, agent))
        assert found.probabilities.keys() == among.keys()
        assert sum(found.probabilities.values()) + found.none == pytest.approx(1)
        best = max(found.probabilities, key=found.probabilities.__getitem__)
        assert best == found.prediction.agent_id


def test_an_agent_that_left_is_never_the_answer_and_no_other_answers_for_it(old: Scorer) -> None:
    left = old.joined([], texts(*OLD[1:]))
    for each in asked(left, OLD[0]):
        assert each.agent_id != OLD[0]
        assert not each.sure and each.gone_id == OLD[0]
    for agent in OLD[1:]:
        before, after = asked(old, agent), asked(left, agent)
        assert [each.sure for each in after] == [each.sure for each in before]
        assert [each.probability for each in after] == [each.probability for each in before]


def test_two_new_agents_with_the_same_texts_are_not_answered_on_these(old: Scorer) -> None:
    given = {**texts(*OLD), "twin_a": texts_of(NEW), "twin_b": texts_of(NEW)}
    joined = old.joined(["twin_a", "twin_b"], given)
    for each in asked(joined, NEW):
        assert {each.agent_id, each.second_id} == {"twin_a", "twin_b"}
        assert (each.margin, each.sure) == (0, False)


def test_a_new_agent_with_the_texts_of_an_old_one_makes_both_unsure(old: Scorer) -> None:
    given = texts_of(OLD[0])
    joined = old.joined([NEW], {**texts(*OLD), NEW: given})
    for text in given:
        assert joined.predict(text).margin < 0.6 * old.predict(text).margin
    before, after = asked(old, OLD[0]), asked(joined, OLD[0])
    assert sum(each.probability for each in after) < sum(each.probability for each in before)
    assert not any(each.sure and each.agent_id == NEW for each in after)


def test_a_new_agent_with_nothing_but_a_name_changes_little(old: Scorer) -> None:
    joined = old.joined([NEW], {**texts(*OLD), NEW: ["Cafeteria"]})
    for agent in OLD:
        before, after = asked(old, agent), asked(joined, agent)
        assert sum(each.sure for each in after) >= 0.95 * sum(each.sure for each in before)
    assert joined.predict("cafeteria").agent_id == NEW


@pytest.mark.parametrize("own", [[], [""], ["…"], ["a" * 500] * 20, ["\U0001f642"]])
def test_odd_texts_join(old: Scorer, own: list[str]) -> None:
    joined = old.joined([NEW], {**texts(*OLD), NEW: own})
    assert asked(joined, OLD[0], 5)[0].agent_id == OLD[0]


def test_250_agents_of_which_twenty_are_new(old: Scorer) -> None:
    names = [f"agent_{number}" for number in range(250)]
    given = {name: [name, *texts_of(name, 2)] for name in names}
    columns = learn_newcomers(old.model, old.read, names[:20], given)
    assert columns.ids == tuple(names[:20])
    assert len(columns.rows) <= 20 * 60 * (3 + MAX_COUNTER_EXAMPLES)


def test_in_a_conversation_new_agents_count_and_those_that_left_are_not_answered() -> None:
    """With a model that has learned of conversations."""
    scorer = Scorer(conversations_model())
    classes = scorer.model.classes
    given = {**{each: [each] for each in classes[1:]}, NEW: texts_of(NEW)}
    joined = scorer.joined([NEW], given)
    chance = random.Random(2)
    for previous in (*classes[1:], NEW):
        found = joined.rank_turn(question(chance, NEW), previous, "Something else?")
        assert found.probabilities.keys() == given.keys()
        assert found.prediction.agent_id in given
        assert sum(found.probabilities.values()) + found.none == pytest.approx(1)
    left = joined.rank_turn(question(chance, NEW), classes[1], None).prediction
    assert left.agent_id == NEW or not left.sure
