"""The switch that fits the turns that were held out (followup_training.py), how sure its answers
are, and the thresholds from which on they keep the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from operator import and_

from edgeneuro.classifier.calibration import Calibration, calibrate
from edgeneuro.classifier.curve import LOGITS
from edgeneuro.classifier.examples import OUT_OF_SCOPE, Examples
from edgeneuro.classifier.followups import confidence, leaving_weight
from edgeneuro.classifier.held_out import HeldOut
from edgeneuro.classifier.logistic import fit_around
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.sources import weighted_rate
from edgeneuro.classifier.switch import FACTS, RULE, Facts, facts, logit
from edgeneuro.classifier.thresholds import UnknownTopics
from edgeneuro.classifier.weights import weighted

# Of the turns that leave for an agent that was left out, and of those that no agent fits, so many
# may be answered. The usual error there is that the agent is kept, which costs one turn.
_UNKNOWN_TOPICS = UnknownTopics(most=0.4, left_out=1.0, assumed=0.0)
_MAX_KEEPING = 6_000  # turns, for the fits: a slice of a training has some seconds
TURN_CODES = "Ihhdddddd"  # of the fields of a turn, as arrays


@dataclass(frozen=True)
class HeldTurn:
    """A turn that was held out: its place among the examples, the best other class, and the scores:
    of the agent before and the best other one by the message alone, of both with the conversation,
    of leaving, and the lead of the other one. `kind` is its label, or why it is a negative."""

    index: int
    kind: int
    other: int
    alone: float
    other_alone: float
    together: float
    other_together: float
    leaving: float
    lead: float


@dataclass(frozen=True)
class FittedSwitch:
    """See FollowUps."""

    switch: tuple[float, ...]
    keeping: tuple[float, ...]
    leaving: tuple[float, ...]
    calibration: Calibration
    known: tuple[bool, ...]
    figures: dict[str, int]


def fit_switch(
    held: Sequence[HeldTurn], examples: Examples, plan: Plan, mix: Mapping[str, int] | None
) -> FittedSwitch:
    """The thresholds are for traffic of this mix, or without one for that of the turns."""
    given = [_facts(turn, examples) for turn in held]
    before = [examples.previous[turn.index] for turn in held]
    left = [turn.kind != own for turn, own in zip(held, before, strict=True)]
    asked = [at for at, turn in enumerate(held) if turn.kind >= OUT_OF_SCOPE]
    weight = leaving_weight(examples.leaving())
    fitted, times = _thinned(asked, left)
    switch = fit_around(
        (*RULE, *[0.0] * (FACTS - len(RULE))),
        [given[at] for at in fitted],
        [left[at] for at in fitted],
        [weight if left[at] else times for at in fitted],
    )
    logits = [logit(switch, each) for each in given]
    best = [
        own if value <= 0 else turn.other
        for turn, own, value in zip(held, before, logits, strict=True)
    ]
    right = [turn.kind == label for turn, label in zip(held, best, strict=True)]
    kept = [at for at in fitted if logits[at] <= 0]
    others = [at for at in fitted if logits[at] > 0]
    # Turns that leave are over-weighted in the switch, so its logit says too much.
    keeping = fit_around(
        (log(weight), 1.0),
        [(1.0, -logits[at]) for at in kept],
        [right[at] for at in kept],
        [1.0 if left[at] else times for at in kept],
    )
    leaving = fit_around(
        (-log(weight), 1.0, 0.0),
        [(1.0, logits[at], held[at].lead) for at in others],
        [right[at] for at in others],
        [1.0 if left[at] else times for at in others],
    )
    judged = [
        HeldOut(turn.kind, label, confidence(keeping, leaving, value, turn.lead), 0.0)
        for turn, label, value in zip(held, best, logits, strict=True)
    ]
    counts = _turns_of(examples)
    calibration = _calibrated(judged, [turn.index for turn in held], examples, counts, plan, mix)
    known = tuple(count >= plan.min_labels for count in counts.values())
    figures = _figures([right[at] for at in asked], [left[at] for at in asked])
    return FittedSwitch(switch, keeping, leaving, calibration, known, figures)


def _thinned(asked: Sequence[int], left: Sequence[bool]) -> tuple[list[int], float]:
    """Turns enough to fit a few weights to: all that leave, and of those that keep their agent
    every second one, or third, and so on. With it how often each of these counts."""
    keeping = [at for at in asked if not left[at]]
    step = 1 + len(keeping) // _MAX_KEEPING
    taken = set(keeping[::step])
    return [at for at in asked if left[at] or at in taken], float(step)


def _facts(turn: HeldTurn, examples: Examples) -> Facts:
    return facts(
        turn.alone,
        turn.other_alone,
        examples.offsets[turn.index + 1] - examples.offsets[turn.index],
        examples.overlaps[turn.index],
        turn.together,
        turn.other_together,
        turn.leaving,
    )


def _calibrated(
    judged: Sequence[HeldOut],
    indices: Sequence[int],
    examples: Examples,
    counts: Mapping[str, int],
    plan: Plan,
    mix: Mapping[str, int] | None,
) -> Calibration:
    held = [
        replace(one, weight=max(1, weighted_rate(one.weight, examples.sources[at])))
        for one, at in zip(weighted(judged, indices, examples, mix), indices, strict=True)
    ]
    return calibrate(
        held,
        counts,
        plan.target,
        plan.min_labels,
        prior=LOGITS,
        unknown=_UNKNOWN_TOPICS,
    )


def _turns_of(examples: Examples) -> dict[str, int]:
    """By agent, in the order of classes, how many turns are for it."""
    counts = dict.fromkeys(examples.classes, 0)
    for at in filter(examples.in_context, range(len(examples))):
        if examples.labels[at] >= 0:
            counts[examples.classes[examples.labels[at]]] += 1
    return counts


def _figures(right: Sequence[bool], left: Sequence[bool]) -> dict[str, int]:
    leaving, right_leaving = sum(left), sum(map(and_, right, left))
    return {
        "keeping": len(left) - leaving,
        "keeping_right": sum(right) - right_leaving,
        "leaving": leaving,
        "leaving_right": right_leaving,
    }
