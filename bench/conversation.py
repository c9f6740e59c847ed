"""Follow-ups on real dialogues (Schema-Guided Dialogue): which agent a turn is for, by the message
alone, by the rule, and by what was learned of conversations. Ends with 1 if a figure is not
reached.

    PYTHONPATH=src .build/venv/bin/python -m bench.conversation --data DIR
        [--dialogues N | --held-out | --workerd]

DIR holds train.jsonl and validation.jsonl. The validation part is looked at once, after everything
has been chosen; --held-out asks a fifth of the training part instead, with combinations of agents
that are in no other fifth. The turn before has the right agent, as in a session in which people
were helped; one row has the agent that was decided on. --workerd measures what a context adds to
the time of an answer there.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from bench.conversation_time import measure_time
from bench.route_dataset import read_lines
from edgeneuro.classifier.examples import (
    Labelled,
)
from edgeneuro.classifier.held_out import wilson
from edgeneuro.classifier.model import Model, dumps, loads
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Prediction, Scorer
from edgeneuro.classifier.training import Training
from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn, previous_text

FEW, DRAWS = 50, 5  # dialogues, and how often they are drawn
TIMED = 300  # dialogues that the product learns with --workerd
Z = 1.96  # two-sided 95 %
# The figures to reach, of all turns: all, those that leave their agent, those that stay with it,
# answered without a model, and right of these.
ALL, LEAVING, KEEPING, COVERAGE, PRECISION = 0.96, 0.85, 0.98, 0.85, 0.98
FEW_ALL, RULE_ALL = 0.94, 0.94


@dataclass(frozen=True)
class Said:
    """A user's turn: what is asked, the turn before it, and the agent that it is for."""

    query: str
    previous: PreviousTurn
    agent: str

    @property
    def kind(self) -> str:
        if self.previous.agent is None:
            return "first"
        return "same" if self.previous.agent == self.agent else "changes"


Dialogue = list[Said]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures follow-ups.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--dialogues", type=int, help="learn from so many dialogues alone")
    parser.add_argument("--held-out", action="store_true", help="ask a part of the training part")
    parser.add_argument("--workerd", action="store_true", help="measure the time there alone")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with train.jsonl in it")
    train = read(options.data / "train.jsonl")
    if options.held_out:
        train, asked = held_out(train)
    else:
        asked = read(options.data / "validation.jsonl")
    if options.workerd:
        drawn = random.Random(0).sample(train, 2 * TIMED)
        given = labels(drawn[:TIMED])
        turns = [(said.query, said.previous) for each in drawn[TIMED:] for said in each[1:]]
        measure_time(learn("all dialogues", labels(train)), given, turns)
        return
    if options.dialogues is not None:
        train = random.Random(0).sample(train, options.dialogues)
    sys.exit(0 if measure(train, asked) else 1)


def read(path: Path) -> list[Dialogue]:
    """For a turn with several agents the one that was not active in the turn before is right."""
    found: list[Dialogue] = []
    for line in read_lines(path):
        dialogue: Dialogue = []
        active: set[str] = set()
        agent: str | None = None
        user = answer = ""
        for turn in line["turns"]:
            if turn["role"] == "assistant":
                answer = turn["content"]
                continue
            agents = turn["agents"]
            fresh = [each for each in agents if each not in active]
            right: str = (fresh or agents)[0]
            if agent is not None and agent in agents and not fresh:
                right = agent
            previous = NOTHING_BEFORE
            if agent is not None:
                previous = PreviousTurn(agent, previous_text(user), previous_text(answer))
            dialogue.append(Said(turn["content"], previous, right))
            agent, user, active = right, turn["content"], set(agents)
        found.append(dialogue)
    return found


def held_out(dialogues: Iterable[Dialogue]) -> tuple[list[Dialogue], list[Dialogue]]:
    """By the agents of the dialogue, so that the part that is asked has other changes of agents."""
    parts: tuple[list[Dialogue], list[Dialogue]] = ([], [])
    for dialogue in dialogues:
        agents = "+".join(sorted({said.agent for said in dialogue}))
        parts[crc32(agents.encode()) % 5 == 0].append(dialogue)
    return parts


def labels(dialogues: Iterable[Dialogue], *, first: bool = False) -> list[Labelled]:
    """With `first` the first messages alone."""
    return [
        Labelled(said.query, said.agent, previous=said.previous)
        for dialogue in dialogues
        for said in (dialogue[:1] if first else dialogue)
    ]


def learn(name: str, given: Sequence[Labelled]) -> Model:
    start = time.perf_counter()
    training = Training(prepare(given), Plan())
    visits = training.step(sys.maxsize)
    model = training.model()
    learned = model.follow_ups
    print(f"{name}: {len(given):,} labels, {visits:,} visits", end=", ")
    print(f"{time.perf_counter() - start:.0f} s, {len(dumps(model)):,} bytes")
    for why in (model.calibration.refusal, training.follow_ups.reason):
        if why:
            print(f"    {why}")
    if learned is not None:
        metrics = learned.calibration.metrics
        print(f"    held out: {learned.figures}, coverage {metrics['coverage']}", end=", ")
        print(f"right {metrics['answered_accuracy']}, threshold {metrics['threshold']}")
        print(f"    left out: {metrics['left_out']}, answered {metrics['left_out_accept_rate']}")
    return model


@dataclass
class Row:
    """Rightly answered turns of each kind, whatever the probability; and those that are answered
    without a model."""

    name: str
    asked: dict[str, int]
    right: dict[str, int]
    answered: int = 0
    answered_right: int = 0

    @classmethod
    def new(cls, name: str) -> "Row":
        kinds = ("first", "same", "changes")
        return cls(name, dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0))

    def add(self, said: Said, agent: str | None, *, sure: bool = False) -> None:
        right = agent == said.agent
        self.asked[said.kind] += 1
        self.right[said.kind] += right
        self.answered += sure
        self.answered_right += sure and right

    def join(self, other: "Row") -> None:
        for kind in self.asked:
            self.asked[kind] += other.asked[kind]
            self.right[kind] += other.right[kind]
        self.answered += other.answered
        self.answered_right += other.answered_right

    @property
    def n(self) -> int:
        return sum(self.asked.values())

    @property
    def all_right(self) -> int:
        return sum(self.right.values())

    @property
    def accuracy(self) -> float:
        return self.all_right / self.n

    def of(self, kind: str) -> float:
        return self.right[kind] / self.asked[kind]

    @property
    def coverage(self) -> float:
        return self.answered / self.n

    @property
    def precision(self) -> float:
        return self.answered_right / self.answered if self.answered else float("nan")

    def show(self) -> None:
        cells = [share(self.all_right, self.n)]
        cells += [share(self.right[kind], self.asked[kind]) for kind in self.asked]
        if self.answered:
            cells += [share(self.answered, self.n), share(self.answered_right, self.answered)]
        print(f"| {self.name} | {' | '.join(cells)} |", flush=True)


def share(part: int, whole: int) -> str:
    """In percent, with its 95 % interval."""
    if not whole:
        return "-"
    low, high = (abs(100 * wilson(part, whole, z)) for z in (-Z, Z))  # no -0.0
    return f"{100 * part / whole:.1f} ({low:.1f} to {high:.1f})"


def predict(scorer: Scorer, query: str, previous: PreviousTurn) -> Prediction:
    if previous.agent is None:
        return scorer.rank(query).prediction
    return scorer.rank_turn(query, previous.agent, previous.assistant).prediction


def ask(name: str, model: Model, dialogues: Iterable[Dialogue], *, context: bool = True) -> Row:
    scorer, row = Scorer(loads(dumps(model))), Row.new(name)
    for dialogue in dialogues:
        for said in dialogue:
            previous = said.previous if context else NOTHING_BEFORE
            prediction = predict(scorer, said.query, previous)
            row.add(said, prediction.agent_id, sure=prediction.sure)
    return row


def ask_as_decided(
    name: str, model: Model, dialogues: Iterable[Dialogue], *, with_model: bool = False
) -> Row:
    """The agent of the turn before is the one that was decided on, right or wrong. `with_model`:
    what the classifier is not sure of is put to a model that is always right."""
    scorer, row = Scorer(loads(dumps(model))), Row.new(name)
    for dialogue in dialogues:
        decided: str | None = None
        for said in dialogue:
            previous = PreviousTurn(decided, said.previous.user, said.previous.assistant)
            prediction = predict(scorer, said.query, previous)
            asks = with_model and not prediction.sure
            decided = said.agent if asks else prediction.agent_id
            row.add(said, decided, sure=prediction.sure)
    return row


def keep(dialogues: Iterable[Dialogue]) -> Row:
    row = Row.new("always the previous agent")
    for dialogue in dialogues:
        for said in dialogue:
            row.add(said, said.previous.agent)
    return row


def measure(train: list[Dialogue], asked: list[Dialogue]) -> bool:
    """Prints the table; returns whether the figures are reached."""
    turns = [said for dialogue in asked for said in dialogue]
    known = {said.agent for dialogue in train for said in dialogue}
    everything = learn("all dialogues", labels(train))
    single = learn("first messages", labels(train, first=True))
    started, alone = Row.new(f"first messages and {FEW} dialogues"), Row.new(f"{FEW} dialogues")
    for draw in range(DRAWS):
        few = random.Random(draw).sample(train, min(FEW, len(train)))
        rest = [each for each in train if each not in few]
        for row, given in ((started, labels(rest, first=True)), (alone, [])):
            model = learn(f"{row.name}, draw {draw}", [*given, *labels(few)])
            row.join(ask(row.name, model, asked))
    print(f"\n{len(asked):,} dialogues, {len(turns):,} turns,", end=" ")
    print(f"{sum(said.agent not in known for said in turns)} of agents that no label names")
    kinds = {
        kind: sum(said.kind == kind for said in turns) for kind in ("first", "same", "changes")
    }
    print("| | all turns |", end=" ")
    print(f"{' | '.join(f'{kind} ({n:,})' for kind, n in kinds.items())}", end=" ")
    print("| without a model | right of these |")
    keep(asked).show()
    ask("the message alone", everything, asked, context=False).show()
    none = ask("first messages, and the rule", single, asked)
    none.show()
    started.show()
    alone.show()
    best = ask("all dialogues", everything, asked)
    best.show()
    chained = "all dialogues, after the agent that was decided on"
    ask_as_decided(chained, everything, asked).show()
    name = f"{chained}, with a model that is always right"
    ask_as_decided(name, everything, asked, with_model=True).show()
    reached = {
        f"all turns >= {ALL:.0%}": best.accuracy >= ALL,
        f"turns that change the agent >= {LEAVING:.0%}": best.of("changes") >= LEAVING,
        f"turns that stay >= {KEEPING:.0%}": best.of("same") >= KEEPING,
        f"without a model >= {COVERAGE:.0%}": best.coverage >= COVERAGE,
        f"right of these >= {PRECISION:.0%}": best.precision >= PRECISION,
        f"{FEW} dialogues >= {FEW_ALL:.0%}": started.accuracy >= FEW_ALL,
        f"the rule >= {RULE_ALL:.0%}": none.accuracy >= RULE_ALL,
    }
    print()
    for figure, is_reached in reached.items():
        print(f"{'reached' if is_reached else 'MISSED'}: {figure}")
    return all(reached.values())


if __name__ == "__main__":
    main()
