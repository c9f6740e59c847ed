"""The stream of bench/self_teaching.py without the product around it: its trainings, thresholds,
when it trains and which queries it holds out, in a plain loop, to try changes of them.

    PYTHONPATH=src .build/venv/bin/python -m bench.self_teaching_loop --data DIR --intents

No request, no database and no audit: every machine label is kept, a classifier is enabled once it
has answered MIN_ANSWERS queries, agrees as often as its training requires, and answers not clearly
less than the enabled one, and none is disabled. The other rules of the product are its own. The
figures differ from the product's by some ten calls in a window.

The exit status is 1 if a goal is missed."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from bench.self_teaching import (
    BLOCK,
    WINDOW,
    StreamQuery,
    Window,
    read_options,
    read_stream,
    report,
    row,
)
from edgeneuro.classifier.agent_texts import agent_texts
from edgeneuro.classifier.calibration import TARGET
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.held_out import wilson
from edgeneuro.classifier.model import Model
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import AGENT_TEXT, MODEL
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import load_table
from edgeneuro.controlplane.jobs.machine_examples import is_hard
from edgeneuro.controlplane.learning.enabling import MIN_ANSWERS, MIN_COMPARED
from edgeneuro.controlplane.learning.growth import MIN_EXAMPLES, interval_ms, wanted_after
from edgeneuro.domain.agent import Agent
from edgeneuro.synapsecore.sampling import sampled
from edgeneuro.synapsecore.watch import CHANGED_SHARE, SETTLED_SAMPLES
from local.engines.dataset_table import DatasetTable

_SHARE = 0.02  # of audit samples, the default
_MARGIN, _Z = 0.01, -1.645  # of the promotion check
_COVERAGE_MAY_FALL = 0.05
_MINUTE_MS = 60_000


def main() -> None:
    options = read_options()
    stream, unseen = read_stream(options)
    later = [each for each in stream[options.queries :] if each.truth is None]
    loop = Loop(stream[: options.queries], [*unseen, *later], options)
    loop.run()
    report(loop.windows, loop.ask_unseen(), options.right, options.mistakes)


@dataclass
class Trained:
    """A classifier, and how its answers compared with the decisions since it was trained: of
    `asked` queries it would have answered `answered`, `agreed` of them as they were decided, and
    the enabled classifier answered `others`."""

    scorer: Scorer
    model: Model
    asked: int = 0
    answered: int = 0
    agreed: int = 0
    others: int = 0
    samples: int = 0

    def answer(self, query: str) -> str | None:
        prediction = self.scorer.predict(query)
        return prediction.agent_id if prediction.sure else None

    def passes(self, enabled: "Trained | None") -> bool:
        metrics = self.model.calibration.metrics
        held, share = metrics["answered"] or 0, metrics["answered_accuracy"] or 0.0
        low = wilson(self.agreed + share * held, self.answered + held, _Z)
        if (
            self.answered < MIN_ANSWERS
            or low < TARGET * (metrics["noise_plateau"] or 1.0) - _MARGIN
        ):
            return False
        if enabled is None:
            return True
        fell = self.others / max(1, self.asked) - self.answered / max(1, self.asked)
        return self.asked >= MIN_COMPARED and fell <= _COVERAGE_MAY_FALL


class Loop:
    def __init__(
        self,
        stream: Sequence[StreamQuery],
        unseen: Sequence[StreamQuery],
        options: argparse.Namespace,
    ) -> None:
        self.windows: list[Window] = []
        self._stream, self._unseen = stream, unseen
        self._chance = random.Random(options.seed)
        self._model = DatasetTable(
            [{"query": each.query, "agent": each.truth} for each in (*stream, *unseen)],
            right=options.right,
            mistakes=options.mistakes,
            seed=options.seed,
        )
        agents = sorted({each.truth for each in stream if each.truth is not None})
        self._texts = [
            Labelled(text, agent_id, source=AGENT_TEXT)
            for agent_id in agents
            for text in agent_texts(_agent(agent_id))
        ]
        self._labels: list[Labelled] = []
        self._known = self._trained_at = 0
        self._enabled: Trained | None = None
        self._beside: Trained | None = None

    def run(self) -> None:
        for at, query in enumerate(tqdm(self._stream, unit="query", disable=None)):
            if at % WINDOW == 0:
                self.windows.append(Window(at))
            if at and at % BLOCK == 0:
                self._minute(at)
            self._decide(self.windows[-1], query, number=at)
            if self.windows[-1].queries == WINDOW:
                print(row(self.windows[-1]), flush=True)

    def ask_unseen(self) -> tuple[int, int]:
        enabled = self._enabled
        accepted = [enabled and enabled.answer(each.query) for each in self._unseen]
        return sum(one is not None for one in accepted), len(accepted)

    def _minute(self, at: int) -> None:
        if self._beside is not None and self._beside.passes(self._enabled):
            self._enabled, self._beside = self._beside, None
            print(f"{at:7}: enabled", flush=True)
        new = len(self._labels) - self._known
        wanted = wanted_after(self._known) if self._trained_at else MIN_EXAMPLES
        pause_ms = (at - self._trained_at) // BLOCK * _MINUTE_MS
        if new >= wanted and (not self._trained_at or pause_ms >= interval_ms(self._known)):
            self._known, self._trained_at = len(self._labels), at
            self._train(at)

    def _train(self, at: int) -> None:
        table = load_table()
        training = Training(prepare([*self._texts, *self._labels], table), Plan())
        while not training.finished:
            training.step(WINDOW)
        model = training.model()
        metrics = model.calibration.metrics
        names = ("held_out", "noise_plateau", "coverage", "answered_accuracy", "threshold")
        shown = {name: metrics.get(name) for name in (*names, "out_of_scope_threshold")}
        why = model.calibration.refusal or ""
        print(f"{at:7}: trained with {len(self._labels)} labels: {shown} {why}", flush=True)
        if model.calibration.refusal is None:
            self._beside = Trained(Scorer(model, table), model)

    def _decide(self, window: Window, asked: StreamQuery, *, number: int) -> None:
        query, said = asked.query, self._model.answer(asked.query).agent
        enabled, beside = self._enabled, self._beside
        answer = None if enabled is None else enabled.answer(query)
        decided = said if answer is None else answer
        if beside is not None:
            other = beside.answer(query)
            beside.asked += 1
            beside.others += answer is not None
            beside.answered += other is not None
            beside.agreed += other is not None and other == decided
        window.queries += 1
        window.right += decided == asked.truth
        window.model_right += said == asked.truth
        window.out_of_scope += asked.truth is None
        window.false_accepts += asked.truth is None and answer is not None
        layer = "llm" if answer is None else "classifier"
        window.layers[layer] = window.layers.get(layer, 0) + 1
        if enabled is not None and answer is not None:
            share = _SHARE if enabled.samples >= SETTLED_SAMPLES else CHANGED_SHARE
            if not sampled(str(number), share):
                return
            enabled.samples += 1
        window.calls += 1
        deferred = enabled is not None and answer is None
        hard = is_hard({"deferred": deferred, "id": f"decision {number}"}, _SHARE)
        self._labels.append(Labelled(query, said, hard=hard, source=MODEL))


def _agent(agent_id: str) -> Agent:
    """As bench/self_teaching.py creates it."""
    name = agent_id.replace("_", " ")
    return Agent(
        id=agent_id,
        name=name.capitalize(),
        description=f"Requests about {name}.",
        examples=[],
        endpoint=None,
        protocol="openai",
        system_prompt=None,
        model=None,
        enabled=True,
        default=False,
        created_at="",
        updated_at="",
    )


if __name__ == "__main__":
    main()
