"""Follow-ups in the classifier: what is learned of conversations, and the rule where nothing is."""

import random
from dataclasses import replace
from functools import cache

import pytest

from edgeneuro.classifier.examples import (
    FOLDS,
    NO_CONTEXT,
    UNKNOWN_AGENT,
    Examples,
    Labelled,
)
from edgeneuro.classifier.followup_training import MIN_TURNS
from edgeneuro.classifier.followups import best_other, leaving_weight
from edgeneuro.classifier.logistic import fit, fit_around
from edgeneuro.classifier.model import InvalidModelError, Model, dumps, loads
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import Preparation, prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import MODEL
from edgeneuro.classifier.switch import KEEPS, PERCENT, overlap
from edgeneuro.classifier.training import Training
from edgeneuro.domain.conversation import PreviousTurn
from tests.unit.synthetic_dialogues import answer, dialogues, reply
from tests.unit.synthetic_labels import labels, question, trained

PLAN = Plan(epochs=4, target=0.9)
AGENTS = 4
YES = "yes please, the second one"


@cache
def learned() -> Training:
    return trained([*labels(AGENTS, 40, out_of_scope=60), *dialogues(AGENTS, 60)], PLAN)


@cache
def model() -> Model:
    return learned().model()


@cache
def alone() -> Scorer:
    """It knows single messages."""
    return Scorer(trained(labels(AGENTS, 60, out_of_scope=60), PLAN).model())


def in_context(query: str, agent_id: str, before: str, said: str = "Show me a flight") -> Labelled:
    return Labelled(query, agent_id, previous=PreviousTurn(before, said, "Here it is."))


def test_it_goes_on_with_the_agent_and_leaves_it_for_another_one() -> None:
    scorer, chance = Scorer(model()), random.Random(5)
    kept = left = sure = 0
    for number in range(AGENTS):
        before, other = f"agent_{number}", f"agent_{(number + 1) % AGENTS}"
        for _ in range(25):
            follows = scorer.rank_turn(reply(chance), before, answer(chance, before))
            leaves = scorer.rank_turn(question(chance, other), before, answer(chance, before))
            assert follows.learned and leaves.learned
            kept += follows.kept and follows.prediction.agent_id == before
            left += not leaves.kept and leaves.prediction.agent_id == other
            sure += follows.prediction.sure + leaves.prediction.sure
    assert kept >= 95 and left >= 90
    assert sure >= 160


def test_a_reply_alone_teaches_nothing_of_single_messages() -> None:
    """Only what leaves its agent is learned as a message that stands alone."""
    scorer, chance = Scorer(model()), random.Random(6)
    replies = [scorer.predict(reply(chance)) for _ in range(50)]
    assert sum(each.sure for each in replies) <= 5
    examples = prepare(dialogues(AGENTS, 30))
    first = sum(each == NO_CONTEXT for each in examples.previous)
    assert sum(examples.counts().values()) == first + examples.leaving()
    assert examples.leaving() == 30


def test_its_probabilities_are_of_all_agents() -> None:
    chance = random.Random(7)
    for scorer in (Scorer(model()), alone()):
        for query in (YES, question(chance, "agent_2"), "", "zzz qqq"):
            found = scorer.rank_turn(query, "agent_1", None)
            whole = found.none + sum(found.probabilities.values())
            assert whole == pytest.approx(1, abs=1e-9)
            best = max(found.probabilities.values())
            assert found.probabilities[found.prediction.agent_id] == best


def test_by_the_rule_the_agent_stays_unless_the_message_is_sure_of_another_one() -> None:
    chance = random.Random(8)
    stays = alone().rank_turn(YES, "agent_1", None)
    assert (stays.prediction.agent_id, stays.kept, stays.learned) == ("agent_1", True, False)
    assert stays.prediction.sure and stays.prediction.threshold == KEEPS
    leaves = [
        alone().rank_turn(
            f"{question(chance, 'agent_2')} {question(chance, 'agent_2')}", "agent_1", None
        )
        for _ in range(20)
    ]
    assert sum(each.prediction.agent_id == "agent_2" for each in leaves) >= 15
    assert not any(each.kept and each.prediction.agent_id == "agent_2" for each in leaves)
    empty = alone().rank_turn("?!", "agent_1", None)
    assert empty.prediction.agent_id == "agent_1" and not empty.prediction.sure


def test_an_agent_that_it_does_not_know_is_kept_by_the_rule() -> None:
    for scorer in (Scorer(model()), alone()):
        found = scorer.rank_turn(YES, "newcomer", "Which one?")
        assert (found.prediction.agent_id, found.kept, found.learned) == ("newcomer", True, False)
        assert found.probabilities["newcomer"] == found.prediction.probability


def test_an_agent_without_turns_is_left_to_the_rule_and_to_its_messages() -> None:
    """Of agent_3 there are messages, and no conversations."""
    given = [*labels(AGENTS, 40, out_of_scope=60), *dialogues(3, 60)]
    made = trained(given, PLAN).model()
    assert made.follow_ups is not None
    assert made.follow_ups.known == (True, True, True, False)
    scorer, chance = Scorer(made), random.Random(11)
    stays = scorer.rank_turn(YES, "agent_3", None)
    assert (stays.prediction.agent_id, stays.learned) == ("agent_3", False)
    plain = [question(chance, "agent_3") for _ in range(30)]
    leaves = [scorer.rank_turn(text, "agent_1", None).prediction for text in plain]
    sure = [each for each in leaves if each.sure]
    assert len(sure) >= 10 and {each.agent_id for each in sure} == {"agent_3"}
    assert scorer.rank_turn(YES, "agent_1", None).learned


def test_without_a_turn_before_the_message_has_to_say_enough() -> None:
    long = question(random.Random(3), "agent_2") + " " + question(random.Random(4), "agent_2")
    assert alone().says_enough(long) and not alone().says_enough("yes")
    assert alone().agent_of(long, 0.0) == "agent_2"
    assert alone().agent_of(long, 1.1) is None
    assert alone().agent_of("yes", 0.0) is None


@pytest.mark.parametrize("visits", [197, 1_000])
def test_killed_at_every_slice_it_learns_the_same(visits: int) -> None:
    given = [*labels(3, 25, out_of_scope=5), *dialogues(3, 25, seed=3)]
    plan = Plan(seed=7, epochs=2, target=0.8)
    examples = prepare(given)
    state, finished = Training(examples, plan).to_bytes(), False
    slices = 0
    while not finished:
        training = Training.resume(state, Examples.from_bytes(examples.to_bytes()))
        assert training.step(visits) <= visits
        state, finished, slices = training.to_bytes(), training.finished, slices + 1
    whole = trained(given, plan).model()
    assert slices > 3
    assert whole.follow_ups is not None
    assert dumps(Training.resume(state, examples).model()) == dumps(whole)


def test_the_order_of_the_labels_changes_nothing() -> None:
    given = [*labels(3, 20), *dialogues(3, 20)]
    shuffled = [*given]
    random.Random(3).shuffle(shuffled)
    part, other = Preparation(), Preparation()
    for number, each in enumerate(shuffled):
        (part if number % 2 else other).add(each)
    other.extend(Preparation.from_bytes(part.to_bytes()))
    assert other.examples().to_bytes() == prepare(given).to_bytes()


def test_too_few_turns_leave_the_rule() -> None:
    few = trained([*labels(3, 40, out_of_scope=60), *dialogues(3, MIN_TURNS - 1)], PLAN)
    made = few.model()
    assert made.follow_ups is None
    assert few.follow_ups.reason is not None and f"and {MIN_TURNS - 1})" in few.follow_ups.reason
    assert few.follow_ups.labels == 5 * (MIN_TURNS - 1)
    assert not Scorer(made).rank_turn(YES, "agent_1", None).learned


def test_labels_without_conversations_make_the_same_model_as_before() -> None:
    made = trained(labels(3, 40, out_of_scope=60)).model()
    assert (made.follow_ups, dumps(made)[16]) == (None, 1)
    assert dumps(model())[16] == 2


def test_decisions_are_learned_from_where_labels_are_few_and_held_out_only_then() -> None:
    single = labels(AGENTS, 40, out_of_scope=60)
    by_model = trained([*single, *dialogues(AGENTS, 60, source=MODEL)], PLAN)
    assert (by_model.follow_ups.labels, by_model.follow_ups.decisions) == (0, 300)
    assert by_model.follow_ups.basis == "labels and decisions"
    made = by_model.model()
    assert made.follow_ups is not None and made.follow_ups.figures["leaving"] == 60
    # Of decisions, only first messages are learned from alone: that a message leaves its agent is
    # the label of a person.
    assert made.labels == len(single) + 60
    both = [*single, *dialogues(AGENTS, 30), *dialogues(AGENTS, 60, seed=2, source=MODEL)]
    mixed = trained(both, PLAN)
    assert mixed.follow_ups.basis == "labels"
    found = mixed.model().follow_ups
    assert found is not None and found.figures["leaving"] == 30


def test_conversations_stay_in_one_fold() -> None:
    examples = prepare(dialogues(AGENTS, 40, seed=4))
    by_key = {examples.query_hash(at): examples.folds[at] % FOLDS for at in range(len(examples))}
    conversations = [dialogues(AGENTS, 40, seed=4)[at : at + 6] for at in range(0, 240, 6)]
    for turns in conversations:
        prepared = prepare(turns)
        assert len({by_key[prepared.query_hash(at)] for at in range(len(prepared))}) == 1
    assert len(set(by_key.values())) == FOLDS


def test_a_session_is_one_conversation_and_a_common_reply_is_none() -> None:
    one = Labelled("yes", "a", previous=PreviousTurn("a", "x", "y"), session="s")
    other = Labelled("no", "b", previous=PreviousTurn("a", "p", "q"), session="s")
    together = prepare([one, other, Labelled("something else", "b")])
    at = {together.query_hash(n): n for n in range(len(together))}
    first, second = (at[prepare([each]).query_hash(0)] for each in (one, other))
    assert together.folds[first] == together.folds[second]
    common = "no that is all for today"
    many = [
        Labelled(common, "a", previous=PreviousTurn("a", f"question {n} of all of them", "y"))
        for n in range(40)
    ]
    follow = [
        Labelled(f"word{n}", "b", previous=PreviousTurn("a", common, f"z{n}")) for n in range(40)
    ]
    assert len({each % FOLDS for each in prepare([*many, *follow]).folds}) == FOLDS


def test_the_agent_before_is_a_class_or_none() -> None:
    examples = prepare(
        [
            Labelled("a flight to Rome", "travel"),
            in_context("yes", "travel", "travel"),
            in_context("pay it", "bank", "travel"),
            in_context("play it", "bank", "music"),
        ]
    )
    assert examples.classes == ("bank", "travel")
    assert sorted(examples.previous) == [UNKNOWN_AGENT, NO_CONTEXT, 1, 1]
    alone = [examples.labels[at] for at in range(4) if examples.stands_alone(at)]
    assert sorted(alone) == [0, 0, 1]  # the "yes" is not


def test_damaged_bytes_are_refused() -> None:
    data = dumps(model())
    assert loads(data) == model()
    for place in range(0, len(data), max(1, len(data) // 60)):
        flipped = bytes([*data[:place], data[place] ^ 1, *data[place + 1 :]])
        with pytest.raises(InvalidModelError):
            loads(flipped)
        with pytest.raises(InvalidModelError):
            loads(data[:place])
    found = model().follow_ups
    assert found is not None
    for wrong in (
        replace(found, switch=found.switch[1:]),
        replace(found, keeping=(0.0,)),
        replace(found, known=found.known[1:]),
        replace(found, weights=found.weights[1:]),
        replace(found, calibration=replace(found.calibration, thresholds=(None,))),
    ):
        with pytest.raises(InvalidModelError, match="content"):
            loads(dumps(replace(model(), follow_ups=wrong)))


def test_the_overlap_is_that_with_the_end_of_the_answer() -> None:
    query = "the Hilton in ROME"
    assert overlap(query, "I found the Hilton in Rome.") == PERCENT
    assert overlap(query, "I found it in Paris.") == 25
    assert overlap(query, None) == overlap(query, "") == 0
    assert overlap(query, "The Hilton in Rome" + ", and so on" * 40) == 0
    assert overlap("?!", "anything") == 0


def test_few_rows_move_the_weights_little() -> None:
    prior = (1.0, -2.0)
    assert fit_around(prior, [], [], []) == prior
    moved = fit_around(prior, [(1.0, 0.0)], [False], [1.0])
    assert 0 < moved[0] < 1 and moved[1] == pytest.approx(-2)


def test_many_rows_decide_the_weights() -> None:
    chance = random.Random(2)
    rows = [(1.0, chance.gauss(0, 1), chance.gauss(0, 1)) for _ in range(3_000)]
    truth = [chance.random() < 1 / (1 + 2.718281828 ** -(0.5 + 2 * b - c)) for _, b, c in rows]
    weights = [1.0] * len(rows)
    found = fit_around((0.0, 0.0, 0.0), rows, truth, weights)
    assert found == pytest.approx((0.5, 2.0, -1.0), abs=0.2)
    assert found == pytest.approx(fit(rows, truth, weights), abs=0.05)


def test_the_best_other_class_and_its_lead() -> None:
    assert best_other([3.0, 1.0, 2.5, 2.0], 0) == (2, 0.5)
    assert best_other([3.0, 1.0], 0) == (1, 0.0)
    assert leaving_weight(0) == 1 and 2.9 < leaving_weight(250) < 3.1
