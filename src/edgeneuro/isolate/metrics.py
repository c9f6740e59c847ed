"""The metrics of one isolate, and their text in Prometheus' format 0.0.4. The number of label sets
is bounded, so that names from outside (of models, for example) cannot fill the isolate's memory."""

import collections
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

_MAX_SERIES = 500  # a metric; from then on new label sets count as "other"
_ADDED_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counter:
    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, amount: float, *labels: str) -> None:
        labels = _bounded(labels, self._values)
        self._values[labels] = self._values.get(labels, 0) + amount

    def text(self) -> str:
        samples = (
            _sample(self._name, zip(self._labels, labels, strict=True), value)
            for labels, value in self._values.items()
        )
        return _family(self._name, self._meaning, "counter", samples)


class Histogram:
    """Of seconds."""

    def __init__(
        self, name: str, meaning: str, *labels: str, bounds: Sequence[float] = _SECONDS
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._bounds = bounds
        # By label set: how many fell into each bucket and the last, open one; and their sum.
        self._values: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        counts, total = self._values.setdefault(
            _bounded(labels, self._values), ([0] * (len(self._bounds) + 1), [0.0])
        )
        counts[sum(seconds > bound for bound in self._bounds)] += 1
        total[0] += seconds

    def text(self) -> str:
        return _family(self._name, self._meaning, "histogram", self._samples())

    def _samples(self) -> Iterator[str]:
        bounds = [*(repr(bound) for bound in self._bounds), "+Inf"]
        for labels, (counts, total) in self._values.items():
            named = list(zip(self._labels, labels, strict=True))
            for bound, count in zip(bounds, accumulate(counts), strict=True):
                yield _sample(f"{self._name}_bucket", [*named, ("le", bound)], count)
            yield _sample(f"{self._name}_sum", named, total[0])
            yield _sample(f"{self._name}_count", named, sum(counts))


class Failures:
    """Errors that made no answer fail: counted for /metrics, and written to the Worker's log as one
    line of JSON."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()

    def note(self, event: str, error: Exception) -> None:
        self.counts[event] += 1
        print(json.dumps({"level": "error", "event": event, "error": str(error)[:1000]}))


class Metrics:
    """The text of each metric says what it counts. A new isolate starts at 0."""

    def __init__(self) -> None:
        self.answers = Counter(
            "edgeneuro_answers_total",
            "Answers by the layer that decided and the reason of a fallback or a failure.",
            "layer",
            "reason",
        )
        self.attempts = Counter(
            "edgeneuro_attempts_total",
            "Attempts by the model or adapter that was called and by outcome.",
            "model",
            "outcome",
        )
        self.embedding_verdicts = Counter(
            "edgeneuro_embedding_verdicts_total",
            "Queries that reached the stage of the second classifier: sure, unsure, failed (the"
            " embedding model), off (it costs more than it saves), none (it is not there).",
            "verdict",
        )
        self.tokens = Counter(
            "edgeneuro_tokens_total", "Tokens as the models counted them.", "kind"
        )
        self.cost_usd = Counter(
            "edgeneuro_cost_usd_total", "Cost in USD of the tokens whose price is known."
        )
        self.log_rows = Counter(
            "edgeneuro_log_rows_total",
            "Log rows by where this isolate sent them: d1, queue, refused (by D1; kept as dead"
            " letters). Rows of the queue's messages count as d1 where they are written.",
            "to",
        )
        self.spans = Counter(
            "edgeneuro_spans_total",
            "Spans for the collector OTLP_ENDPOINT: sent, or lost because it did not take them.",
            "outcome",
        )
        self.streams = Counter("edgeneuro_streams_total", "Streams by how they ended.", "ending")
        self.request_seconds = Histogram(
            "edgeneuro_request_seconds",
            "Seconds from a request to the end of its answer, by route and class of status; the"
            " clock of Workers stands still while they compute.",
            "method",
            "route",
            "status",
        )
        self.added_seconds = Histogram(
            "edgeneuro_added_seconds",
            "Of the seconds of requests that call models, those not spent waiting for models; the"
            " clock of Workers stands still while they compute, so these are mostly waits for D1.",
            "route",
            bounds=_ADDED_SECONDS,
        )
        self.upstream_seconds = Histogram(
            "edgeneuro_upstream_seconds",
            "Seconds of each attempt, by the model or adapter that was called.",
            "model",
        )
        self.classifier_verdicts = Counter(
            "edgeneuro_classifier_verdicts_total",
            "Questions that reached the selected classifier: sure, unsure, suspended because"
            " too many agents are new to it, or none while it is not loaded or not ready for them.",
            "verdict",
        )
        self.classifiers_disabled = Counter(
            "edgeneuro_classifiers_disabled_total",
            "Classifiers that this isolate has disabled, because their audit samples agreed with"
            " the model too rarely.",
        )
        self.shortlist_checks = Counter(
            "edgeneuro_shortlist_checks_total",
            "Decisions of models that were offered all agents although a shorter question is used:"
            " a sample, and those that the shorter question left open; held says whether the agent"
            " is among those that it offers.",
            "kind",
            "held",
        )
        self.d1_rows = Counter(
            "edgeneuro_d1_rows_total",
            "Rows that D1 has read and written for this isolate, as it counts them for the bill: a"
            " row of an index counts like one of a table.",
            "kind",
        )
        self.refusals = Counter(
            "edgeneuro_refusals_total",
            "Requests that were refused before they were routed, by reason.",
            "reason",
        )
        self.gateway_feedback = Counter(
            "edgeneuro_gateway_feedback_total",
            "Feedback and labels sent to AI Gateway's log, by outcome: sent, failed, or skipped"
            " if one call labeled too many.",
            "outcome",
        )

    def note_d1_rows(self, read: int, written: int) -> None:
        self.d1_rows.add(read, "read")
        self.d1_rows.add(written, "written")

    def text(self) -> str:
        return "".join(each.text() for each in vars(self).values())


def family(
    name: str, meaning: str, kind: str, label: str, values: Iterable[tuple[str, float]]
) -> str:
    """A metric with one label, whose values are stored elsewhere."""
    return _family(
        name, meaning, kind, (_sample(name, [(label, value)], count) for value, count in values)
    )


def _bounded(labels: tuple[str, ...], known: Mapping[tuple[str, ...], object]) -> tuple[str, ...]:
    if labels in known or len(known) < _MAX_SERIES:
        return labels
    return ("other",) * len(labels)


def _family(name: str, meaning: str, kind: str, samples: Iterable[str]) -> str:
    return "".join([f"# HELP {name} {meaning}\n", f"# TYPE {name} {kind}\n", *samples])


def _sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    pairs = ",".join(f'{label}="{_escape(content)}"' for label, content in labels)
    return f"{name}{{{pairs}}} {value}\n" if pairs else f"{name} {value}\n"


def _escape(content: str) -> str:
    return content.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
