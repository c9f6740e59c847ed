"""Mistakes in machine labels. A model that is right in 94 % agrees in 94 % with a classifier that
is always right, so held-out machine labels never reach a target of 98 %. What can be asked for is
the target times the agreement that the surest answers have: the plateau, where what differs are the
mistakes of the model. If the model makes the same mistakes again and again, the classifier learns
them, and the plateau is near 1.

A classifier that learned too little has a low plateau too, so below MIN_PLATEAU it refuses. The
threshold comes from counts here, not from what the curve expects: the curve rises to 1, and the
agreement does not. (A curve whose upper end was fitted too was tried: with systematic mistakes it
explained the classifier's own errors as the model's.)

Simulated on the training part of CLINC150 with models of 94 and 88 %, independent and systematic
mistakes (docs/learning.md)."""

from collections.abc import Sequence

from edgeneuro.classifier.held_out import HeldOut, Tally, accepts, wilson

MIN_PLATEAU = 0.75
_SUREST = 2  # half of the questions
_MIN_SUREST = 100
_FEW = 500  # questions; with fewer more certainty is asked for
_Z_OF_FEW, _Z = 1.645, 0.5


def plateau(held: Sequence[HeldOut]) -> float | None:
    """The share of the surest answers that agree; None where most of the questions have labels that
    people gave, and 0.0 where there are too few to say. `held` is sorted by falling certainty."""
    inside = [one for one in held if one.label >= 0]
    if 2 * sum(one.machine for one in inside) <= len(inside):
        return None
    surest = [one for one in held if accepts(one.top)]
    surest = surest[: max(_MIN_SUREST, len(held) // _SUREST)]
    if 2 * len(surest) < _MIN_SUREST:
        return 0.0
    return round(Tally(surest).share or 0.0, 4)


def agrees_enough(tally: Tally, total: int, target: float) -> bool:
    """Whether the lower bound of the agreement of these answers, of `total` questions, reaches the
    target."""
    z = _Z_OF_FEW if total < _FEW else _Z
    return wilson(tally.right, tally.count, -z) >= target
