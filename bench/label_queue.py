"""What labels from the label queue teach, against random ones: 200 random labels, then 5 rounds of
100 that the queue's own ranking and page choose among 2,000 other questions of CLINC150, which a
model answered that is right 94 times of 100. Ends with 1 where the queue's labels make a classifier
of the ten agents that is less than 5 points better than random ones.

    PYTHONPATH=src .build/venv/bin/python -m bench.label_queue --data DIR

DIR holds train.jsonl, validation.jsonl and oos_train.jsonl.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.route_dataset import read_lines
from edgeneuro.classifier.calibration import Calibration
from edgeneuro.classifier.examples import (
    Examples,
    Labelled,
)
from edgeneuro.classifier.learner import UNIT, Learner
from edgeneuro.classifier.model import Model, quantise
from edgeneuro.classifier.plan import EPOCHS, Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer, read_query
from edgeneuro.classifier.training import Training
from edgeneuro.controlplane.labels.queue import compose, without_near_duplicates
from edgeneuro.controlplane.labels.queue_priority import MIN_LABELS, rank
from edgeneuro.controlplane.labels.random_stream import RANDOM_SHARE
from edgeneuro.domain.query import near_hash, query_hash

FIRST, ROUNDS, PAGE = 200, 5, 100
WINDOW = 2_000
VALIDATION = 1_000
SEEDS = (1, 2)
MODEL_IS_RIGHT = 0.94
TARGET = 0.9  # 700 labels cannot show 98 % for these agents
MIN_GAIN = 0.05


@dataclass(frozen=True)
class Figures:
    """The share of the validation queries whose agent has the best score, before each round and
    after the last; then what the last classifier answers of them at the target, with the hard
    labels left out of the held-out ones, as in the product, and with them."""

    accuracy: list[float]
    answers: str
    answers_with_hard: str


Line = dict[str, Any]
# Of the unlabelled lines of the window, those to label next.
Choose = Callable[["Session", Sequence[Line]], list[Line]]


class Session:
    """One operator with one way to choose; `key` is "agent" for ten agents, "intent" for 150."""

    def __init__(self, folder: Path, key: str, seed: int) -> None:
        self.key = key
        self.chance = random.Random(seed)
        traffic = read_lines(folder / "train.jsonl")
        traffic += [{"query": one["query"]} for one in read_lines(folder / "oos_train.jsonl")]
        self.agents: list[str] = sorted({line[key] for line in traffic if key in line})
        self.chance.shuffle(traffic)
        self._first, self._window = traffic[:FIRST], traffic[FIRST : FIRST + WINDOW]
        validation = read_lines(folder / "validation.jsonl")
        self._validation = random.Random(seed).sample(validation, VALIDATION)
        model = random.Random(seed)
        self._answered = {line["query"]: self._answer(line, model) for line in self._window}
        self.labels: list[Labelled] = []
        self.scorer: Scorer | None = None

    def run(self, choose: Choose) -> Figures:
        self.labels = [self._label(line, hard=False) for line in self._first]
        left = list(self._window)
        accuracy = [self._learn()]
        for _ in range(ROUNDS):
            chosen = choose(self, left)
            taken = {line["query"] for line in chosen}
            left = [line for line in left if line["query"] not in taken]
            self.labels += [self._label(line, hard=line.get("hard", False)) for line in chosen]
            accuracy.append(self._learn())
        labels = [replace(label, hard=False) for label in self.labels]
        return Figures(accuracy, self._answers(self.labels), self._answers(labels))

    def _answers(self, labels: Sequence[Labelled]) -> str:
        scorer = Scorer(trained(prepare(labels)))
        if scorer.model.calibration.refusal is not None:
            return "refuses"
        predictions = [(scorer.predict(one["query"]), one[self.key]) for one in self._validation]
        sure = [
            prediction.agent_id == agent for prediction, agent in predictions if prediction.sure
        ]
        if not sure:
            return "none"
        return f"{len(sure) / VALIDATION:.1%} at {sum(sure) / len(sure):.1%}"

    def _learn(self) -> float:
        self.scorer = Scorer(uncalibrated(prepare(self.labels)))
        right = [self.scorer.predict(one["query"]).agent_id for one in self._validation]
        pairs = zip(right, self._validation, strict=True)
        return sum(int(agent == one[self.key]) for agent, one in pairs) / VALIDATION

    def _label(self, line: Line, *, hard: bool) -> Labelled:
        return Labelled(line["query"], line.get(self.key), hard)

    def _answer(self, line: Line, model: random.Random) -> str | None:
        """The model's; None says that no agent fits."""
        if model.random() < MODEL_IS_RIGHT:
            answer: str | None = line.get(self.key)
            return answer
        wrong: str = model.choice(self.agents)
        return wrong

    def row(self, line: Line) -> dict[str, Any]:
        """As the log has it."""
        agent = self._answered[line["query"]]
        return {
            "id": line["query"],
            "query_hash": query_hash(line["query"]),
            "near_hash": near_hash(line["query"]),
            "key_id": "key",
            "agent_id": agent,
            "confidence": 0.9 if agent else 0.0,
            "threshold": 0.5,
            "layer": "llm" if agent else "fallback",
            "reason": None if agent else "out_of_scope",
            "unsure_agent": None,
        }


def trained(examples: Examples) -> Model:
    training = Training(examples, Plan(target=TARGET))
    while not training.finished:
        training.step(20_000)
    return training.model()


def uncalibrated(examples: Examples) -> Model:
    """The same weights but for the order of the visits, in a seventh of the time."""
    learner, order = Learner(len(examples.classes)), list(range(len(examples)))
    chance, total = random.Random(0), len(examples) * EPOCHS
    for visit in range(total):
        if visit % len(order) == 0:
            chance.shuffle(order)
        index = order[visit % len(order)]
        rate = UNIT // 2 * (total - visit) // total
        learner.learn(examples.active(index), examples.labels[index], rate)
    scale, weights = quantise(learner.weights())
    none = Calibration((0.0, 0.0, 0.0), (None,) * len(examples.classes))
    return Model(examples.classes, scale, weights, none, len(examples), 0, "")


def at_random(session: Session, left: Sequence[Line]) -> list[Line]:
    return session.chance.sample(left, PAGE)


def by_margin(session: Session, left: Sequence[Line]) -> list[Line]:
    """The classifier's own margin alone."""
    assert session.scorer is not None
    predict = session.scorer.predict
    chosen = sorted(left, key=lambda line: predict(line["query"]).margin)[:PAGE]
    return [{**line, "hard": True} for line in chosen]


def by_queue(session: Session, left: Sequence[Line]) -> list[Line]:
    """A page as the product makes it, with its share of random questions."""
    drawn = session.chance.sample(left, int(RANDOM_SHARE * PAGE))
    rows = [session.row(line) for line in left]
    readings = {
        row["query_hash"]: read_query(line["query"], session.scorer)
        for row, line in zip(rows, left, strict=True)
    }
    labels = Counter(label.agent_id for label in session.labels)
    counts = {agent: min(labels[agent], MIN_LABELS) for agent in session.agents}
    ranked = rank(rows, (), (), counts, readings)
    different = without_near_duplicates(ranked, [session.row(line) for line in drawn])
    by_text = {line["query"]: line for line in left}
    page = [by_text[one.shown["id"]] for one in compose(different, PAGE - len(drawn))]
    return drawn + [{**line, "hard": True} for line in page]


WAYS: dict[str, Choose] = {"random": at_random, "queue": by_queue, "margin": by_margin}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what labels of the queue teach.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with train.jsonl in it")
    good = True
    for key in ("agent", "intent"):
        for seed in SEEDS:
            last = {name: show(options.data, key, seed, name) for name in WAYS}
            gain = last["queue"] - last["random"]
            print(f"    queue - random {100 * gain:+.1f} points", flush=True)
            good = good and (key != "agent" or gain >= MIN_GAIN)
    sys.exit(0 if good else 1)


def show(folder: Path, key: str, seed: int, name: str) -> float:
    """Prints a line; returns the accuracy at the end."""
    found = Session(folder, key, seed).run(WAYS[name])
    curve = " ".join(f"{100 * share:5.1f}" for share in found.accuracy)
    answers = found.answers
    if found.answers_with_hard != answers:
        answers += f" (hard labels held out too: {found.answers_with_hard})"
    print(f"{key:7} seed {seed} {name:7} {curve}   answers {answers}", flush=True)
    return found.accuracy[-1]


if __name__ == "__main__":
    main()
