"""What the held-out questions of a finished training show: its calibration, how often each agent is
right, and what other targets would come to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from edgeneuro.classifier.calibration import Calibrator, Judged
from edgeneuro.classifier.curve import MESSAGES, NEAR_MESSAGES
from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.familiar import Familiarity
from edgeneuro.classifier.near_texts import NearTexts
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.sources import AGENT_TEXT
from edgeneuro.classifier.targets import TargetPoint, target_points
from edgeneuro.classifier.weights import fair, weighted


@dataclass(frozen=True)
class AgentMeasure:
    """Of the `held_out` questions of an agent it had the best score for `right`, at any
    probability. It answers `answered` held-out questions with this agent, `answered_right` of them
    rightly. From the best threshold on it would be right in the share `best_precision` of `best_of`
    answers; None if they are too few to say."""

    held_out: int = 0
    right: int = 0
    answered: int = 0
    answered_right: int = 0
    best_precision: float | None = None
    best_of: int | None = None


class Measured:
    """In traffic of this `mix` (counts by agent, in any unit), or without one in the mix of the
    labels. `indices` are those of the held-out questions among the examples, `near` the texts that
    the classes keep."""

    def __init__(
        self,
        examples: Examples,
        plan: Plan,
        familiarity: Familiarity,
        indices: Sequence[int],
        near: NearTexts | None,
        mix: Mapping[str, int] | None,
    ) -> None:
        self.mix, self.near = mix, near
        self._plan, self._classes = plan, examples.classes
        self._held = weighted(familiarity.judged(), indices, examples, mix)
        counts, texts = examples.counts(), examples.counts(AGENT_TEXT)
        self._calibrator = Calibrator(
            fair(self._held, indices, examples),
            {agent: counts[label] for label, agent in enumerate(self._classes)},
            plan.min_labels,
            texts={agent: texts[label] for label, agent in enumerate(self._classes)},
            unknown=familiarity.unknown_topics(),
            prior=MESSAGES if near is None else NEAR_MESSAGES,
        )

    @cached_property
    def judged(self) -> Judged:
        """At the target of the training."""
        return self._calibrator.judge(self._plan.target)

    def points(self) -> Iterator[TargetPoint]:
        return target_points(self._calibrator, self._plan.target)

    def by_class(self) -> dict[int, AgentMeasure]:
        held_out = _counts((one.label, one.right) for one in self._held)
        answered = _counts((one.best, one.right) for one in self.judged.answered if one.label >= 0)
        found = {}
        for label in range(len(self._classes)):
            share, of = self._calibrator.best_share(label) or (None, None)
            best = None if share is None else round(share, 4)
            found[label] = AgentMeasure(
                *held_out.get(label, (0, 0)), *answered.get(label, (0, 0)), best, of
            )
        return found


def _counts(rows: Iterator[tuple[int, bool]]) -> dict[int, tuple[int, int]]:
    """By class, how many, and how many of them are right."""
    found: dict[int, tuple[int, int]] = {}
    for label, right in rows:
        count, right_ones = found.get(label, (0, 0))
        found[label] = count + 1, right_ones + right
    return found
