"""What `npm run demo` measures: decisions on samples that were not learned, as a table."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import median
from typing import Any

from scripts.demo_samples import NO_AGENT, Sample
from scripts.http import Answers

_Z = 1.96  # the normal quantile of an interval of 95 %
_HEAD = ("", "n", "right", "95 % interval", "without a model", "ms (median)")


@dataclass
class Measured:
    """`called` are the decisions for which a model was called, `ms` the latencies in the Worker."""

    right: list[bool] = field(default_factory=list)
    called: list[bool] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def add(self, sample: Sample, decision: Mapping[str, Any]) -> None:
        self.right.append(is_right(sample, decision))
        self.called.append(any(each["outcome"] == "ok" for each in decision["attempts"]))
        self.ms.append(decision["latency_ms"])


def ask(
    api: Answers,
    samples: Sequence[Sample],
    *,
    by_model: bool,
    progress: Callable[[int, int], None],
) -> Measured:
    """Routes the samples; those of a dialogue in a session, with what its agent answered.
    `by_model` asks without caches and classifier."""
    measured, run = Measured(), uuid.uuid4().hex[:8]
    for number, sample in enumerate(samples):
        body: dict[str, Any] = {"query": sample.query}
        if sample.dialogue:
            body["session"] = f"demo-{run}-{sample.dialogue}"
        if sample.context is not None:
            body["context"] = sample.context
        if by_model:
            body["cache"] = False
        measured.add(sample, api.post("/v1/route", body))
        progress(number, len(samples))
    return measured


def is_right(sample: Sample, decision: Mapping[str, Any]) -> bool:
    """Where no agent fits, no agent is to be chosen: the fallback agent answers, or nobody."""
    if sample.agent == NO_AGENT:
        return bool(decision["outcome"] != "agent")
    return bool(decision["agent"] is not None and decision["agent"]["id"] == sample.agent)


def table(measured: Mapping[str, Measured]) -> str:
    rows = [_HEAD, *(_row(name, each) for name, each in measured.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    calls = [(sum(each.called), len(each.called)) for each in measured.values()]
    before, after = (sum(each[0] for each in calls[part::2]) for part in (0, 1))
    of = sum(each[1] for each in calls[1::2])
    lines.append(f"\nModel calls: {before} before, {after} after, of {of}: {before - after} saved.")
    return "\n".join(lines)


def _row(name: str, measured: Measured) -> tuple[str, ...]:
    count, right = len(measured.right), sum(measured.right)
    low, high = (100 * each for each in interval(right, count))
    free = count - sum(measured.called)
    return (
        name,
        str(count),
        f"{100 * right / count:.1f} %",
        f"{low:.1f} to {high:.1f}",
        f"{100 * free / count:.1f} %",
        f"{median(measured.ms):.1f}",
    )


def interval(right: int, count: int) -> tuple[float, float]:
    """The Wilson bounds of the share right / count."""
    share, spread = right / count, _Z * _Z / count
    middle = share + spread / 2
    half = _Z * sqrt(share * (1 - share) / count + spread / (4 * count))
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)
