"""Training: the same labels make the same model, however they come and wherever it is cut."""

import random
from dataclasses import replace

import pytest

from edgeneuro.classifier.examples import (
    FOLDS,
    OUT_OF_SCOPE,
    Examples,
    Labelled,
)
from edgeneuro.classifier.features import BIAS
from edgeneuro.classifier.learner import Learner
from edgeneuro.classifier.model import dumps
from edgeneuro.classifier.plan import EPOCHS, EPOCHS_OF_MANY, MANY_EXAMPLES, Plan
from edgeneuro.classifier.preparation import Preparation, prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.training import Training
from tests.unit.synthetic_labels import QUICK, labels, question, trained


def test_it_learns_to_tell_agents_apart_and_leaves_unknown_topics() -> None:
    scorer = Scorer(trained(labels(5, 120, out_of_scope=100), Plan(epochs=5)).model())
    chance = random.Random(9)
    for number in range(5):
        predictions = [scorer.predict(question(chance, f"agent_{number}")) for _ in range(40)]
        assert sum(prediction.agent_id == f"agent_{number}" for prediction in predictions) >= 39
        assert sum(prediction.sure for prediction in predictions) >= 30
    unknown = [scorer.predict(question(chance, f"stranger_{n}")).sure for n in range(100)]
    assert sum(unknown) <= 10


def test_order_and_repetition_of_labels_change_nothing() -> None:
    given = labels(4, 40, out_of_scope=10)
    shuffled = given + given[:20]
    random.Random(3).shuffle(shuffled)
    assert dumps(trained(shuffled).model()) == dumps(trained(given).model())


def test_the_seed_counts() -> None:
    given = labels(3, 60)
    one, other = (dumps(trained(given, Plan(seed=seed, epochs=3)).model()) for seed in (1, 2))
    assert one != other


@pytest.mark.parametrize("visits", [7, 37, 100])
def test_killed_at_every_slice_it_makes_the_same_model(visits: int) -> None:
    given = labels(3, 25, out_of_scope=5)
    plan = Plan(seed=7, epochs=2)
    examples = prepare(given)
    state = Training(examples, plan).to_bytes()
    slices, finished = 0, False
    while not finished:
        training = Training.resume(state, Examples.from_bytes(examples.to_bytes()))
        assert training.step(visits) <= visits
        state, finished, slices = training.to_bytes(), training.finished, slices + 1
    assert slices > 300 / visits
    assert dumps(Training.resume(state, examples).model()) == dumps(trained(given, plan).model())


def test_a_state_goes_with_its_labels_alone() -> None:
    state = Training(prepare(labels(3, 20)), QUICK).to_bytes()
    with pytest.raises(ValueError, match="labels have changed"):
        Training.resume(state, prepare(labels(3, 21)))
    with pytest.raises(ValueError, match="damaged"):
        Training.resume(state[:-1], prepare(labels(3, 20)))


def test_an_unfinished_training_has_no_model() -> None:
    training = Training(prepare(labels(3, 20)), QUICK)
    training.step(10)
    with pytest.raises(ValueError, match="not finished"):
        training.model()


def test_without_agents_there_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="no label names an agent"):
        Training(prepare([Labelled("hello", None)]), QUICK)


def test_one_agent_alone_is_never_answered() -> None:
    model = trained(labels(1, 60, out_of_scope=60)).model()
    assert model.calibration.refusal == "fewer than two agents have 5 labels or more"
    prediction = Scorer(model).predict("anything")
    assert (prediction.agent_id, prediction.second_id, prediction.sure) == ("agent_0", None, False)


def test_of_conflicting_labels_the_majority_counts_and_a_tie_drops_them() -> None:
    examples = prepare(
        [
            Labelled("Reset my password", "it"),
            Labelled("reset  my PASSWORD", "it"),
            Labelled("reset my password", "hr"),
            Labelled("holidays", "hr"),
            Labelled("Holidays", None),
            Labelled("payroll", "hr"),
            Labelled("the weather", None),
        ]
    )
    assert examples.classes == ("hr", "it")
    assert sorted(examples.labels) == [OUT_OF_SCOPE, 0, 1]
    assert examples.conflicts == 1


def test_labels_are_prepared_in_parts_and_come_out_the_same_to_the_byte() -> None:
    given = [
        *labels(3, 20, out_of_scope=10),
        Labelled("Hello  THERE", "agent_0"),
        Labelled("hello there", "agent_1"),
        Labelled("hello there", "agent_1"),
        Labelled("tie", "agent_0"),
        Labelled("TIE", "agent_2"),
        Labelled("é" * 3_000, "agent_2"),
    ]
    whole = Preparation()
    for at in range(0, len(given), 7):
        part = Preparation()
        for labelled in given[at : at + 7]:
            part.add(labelled)
        whole.extend(Preparation.from_bytes(part.to_bytes()))
    digest = "fdd4808787e0e2608a862119b6469b8bac4cd75603826ee7ae2ca5c070c9c8d0"
    assert whole.examples().digest() == prepare(given[::-1]).digest() == digest


def held_out(given: list[Labelled]) -> int:
    of_classes = trained(given, Plan(epochs=1)).measured().by_class().values()
    return sum(each.held_out for each in of_classes)


def test_hard_questions_are_learned_from_and_never_held_out() -> None:
    """A hard question is one that the classifier is unsure of: with them in the held-out set it
    looks worse than it is on all questions, and refuses to answer."""
    fair, hard = labels(3, 50), [replace(one, hard=True) for one in labels(3, 50, seed=2)]
    assert held_out(fair) == 150
    assert held_out(fair + hard) == 150
    assert trained(fair + hard).model().labels == 300
    assert held_out(labels(3, 40) + hard) == 270  # 120 others cannot show 98 %


def test_a_hard_question_keeps_its_fold() -> None:
    given = labels(3, 20)
    hard = prepare([replace(one, hard=True) for one in given])
    assert all(-FOLDS <= fold < 0 for fold in hard.folds)
    assert [fold % FOLDS for fold in hard.folds] == list(prepare(given).folds)


def test_damaged_parts_are_refused() -> None:
    part = Preparation()
    part.add(Labelled("hello there", "agent_1"))
    with pytest.raises(ValueError, match="damaged"):
        Preparation.from_bytes(part.to_bytes()[:-16])


def test_examples_of_other_features_are_refused() -> None:
    data = prepare(labels(2, 3)).to_bytes().replace(b'"features": 3', b'"features": 9')
    with pytest.raises(ValueError, match="another version"):
        Examples.from_bytes(data)


def test_a_weight_that_outgrows_its_lane_is_noticed() -> None:
    learner = Learner(3)
    learner.check()
    learner.learn([BIAS], 1, 1 << 24)  # a step 256 times as long as any in a training
    with pytest.raises(OverflowError, match="beyond 64"):
        learner.check()


def test_many_examples_are_visited_in_fewer_epochs() -> None:
    plan = Plan()
    assert plan.epochs_for(MANY_EXAMPLES) == EPOCHS
    assert plan.epochs_for(MANY_EXAMPLES + 1) == EPOCHS_OF_MANY
    assert Plan(epochs=2).epochs_for(MANY_EXAMPLES + 1) == 2
