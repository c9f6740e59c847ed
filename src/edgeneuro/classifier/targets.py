"""Coverage against precision: what a training would have come to with other targets, on the same
held-out questions.

Each point is measured as the metrics are (calibration.py): its thresholds, which differ between
agents, are chosen for its target, and each question is judged by those that others chose."""

from collections.abc import Iterator
from dataclasses import dataclass

from edgeneuro.classifier.calibration import Calibrator

# Where targets are tried, and the training's own beside them.
TARGETS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)


@dataclass(frozen=True, kw_only=True)
class TargetPoint:
    """With this `target`, `agents` are answered, the first of them from the probability `threshold`
    on (None: none is); `limited`: with a lower one too many unknown topics would be answered.
    Shares with their 95 % intervals (Wilson): `coverage` of the `held_out` questions, `precision`
    of the `answered` ones, None without any. `false_accepts` of the `out_of_scope` questions are
    answered."""

    target: float
    threshold: float | None
    limited: bool
    agents: int
    held_out: int
    answered: int
    coverage: float
    coverage_low: float
    coverage_high: float
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    out_of_scope: int
    false_accepts: int


def target_points(calibrator: Calibrator, own: float) -> Iterator[TargetPoint]:
    """By rising target, with the training's `own`; none without a held-out question of an agent.
    Each takes a while."""
    for target in sorted({*TARGETS, own}):
        point = _point(calibrator, target)
        if point is None:
            return
        yield point


def _point(calibrator: Calibrator, target: float) -> TargetPoint | None:
    calibration = calibrator.judge(target).calibration
    metrics = calibration.metrics
    coverage, low, high = (metrics[f"coverage{end}"] for end in ("", "_low", "_high"))
    if coverage is None or low is None or high is None:
        return None
    lowest = [each for each in calibration.thresholds if each is not None]
    return TargetPoint(
        target=target,
        threshold=min(lowest, default=None),
        limited=bool(lowest) and min(lowest) == metrics.get("out_of_scope_threshold"),
        agents=len(lowest),
        held_out=int(metrics["held_out"] or 0),
        answered=int(metrics["answered"] or 0),
        coverage=coverage,
        coverage_low=low,
        coverage_high=high,
        precision=metrics["answered_accuracy"],
        precision_low=metrics["answered_accuracy_low"],
        precision_high=metrics["answered_accuracy_high"],
        out_of_scope=int(metrics["out_of_scope"] or 0),
        false_accepts=int(metrics["false_accepts"] or 0),
    )
