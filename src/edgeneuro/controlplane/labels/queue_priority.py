"""How much a label for a question is worth: the sum of the reasons that speak for it.

| reason | weight | why |
| --- | --- | --- |
| feedback_other_agent | 60 | a caller named another agent: only a confirmation is missing |
| feedback_down | 50 | a caller says it was wrong; counts more than all that follows together |
| misrouted | 16 | the agent, or a caller for it, said that the turn is for another one |
| disagreement | 12 | layers, models or audit samples chose different agents: one is wrong |
| classifier_unsure | up to 6 | the nearer its two best agents are, the more a label teaches it |
| classifier_differs | 5 | the newest classifier would choose another agent |
| ambiguous | 4 | two or three agents were too close, and a clarifying question was the answer |
| low_confidence | 3 | the fallback agent answered because the stage was not sure enough |
| invalid_output | 3 | a model could not answer in form: an example helps to train it |
| out_of_scope | 2 | no agent fits, or one does and was not seen |
| uncertain | up to 2 | the nearer to the threshold, the less it takes to be wrong |
| rare_agent | up to 1.5 | the fewer labels an agent has, the more one more teaches |
| reaction | 3 | the person asked again in other words, or for a human |
| frequent | up to 1 | an error there is made often; 100 times or more is full weight |
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from edgeneuro.classifier.scorer import Reading
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.label_queue import QueueReason, ReasonCode
from edgeneuro.domain.signal import MISROUTES
from edgeneuro.store.database import Row, Rows

_WEIGHTS: dict[ReasonCode, float] = {
    "feedback_other_agent": 60,
    "feedback_down": 50,
    "misrouted": 16,
    "disagreement": 12,
    "classifier_unsure": 6,
    "classifier_differs": 5,
    "ambiguous": 4,
    "low_confidence": 3,
    "invalid_output": 3,
    "out_of_scope": 2,
    "uncertain": 2,
    "reaction": 3,
    "rare_agent": 1.5,
    "frequent": 1,
    "unlabelled": 0,
}
MIN_LABELS = 20  # an agent with so many is no longer rare
_FULLY_FREQUENT = 100
_MAX_KEYS_SHOWN = 10
_FALLBACKS: dict[str, tuple[ReasonCode, str]] = {
    "ambiguous": ("ambiguous", "two or three agents were too close"),
    "low_confidence": ("low_confidence", "the confidence did not reach the threshold"),
    "invalid_output": ("invalid_output", "no model gave a usable answer"),
    "out_of_scope": ("out_of_scope", "the answer was that no agent fits"),
}


_REACTIONS = {
    "rephrased": "asked the same in other words",
    "human_wanted": "asked for a human",
}


@dataclass
class QueueEntry:
    """`shown` is the log row that says most; `key_id` is whom the place in the queue is due to: the
    key whose feedback asks for a label, or else the key that asked. Questions are ranked by
    `score`, then newest first."""

    shown: Row
    seen: int
    reasons: list[QueueReason] = field(default_factory=list)
    sketch: int = 0

    @property
    def key_id(self) -> str:
        judged_by = [key for reason in self.reasons for key in reason.key_ids]
        key: str = judged_by[0] if judged_by else self.shown["key_id"]
        return key

    @property
    def judged(self) -> bool:
        """Whether feedback asks for the label."""
        return any(reason.key_ids for reason in self.reasons)

    @property
    def out_of_scope(self) -> bool:
        return any(reason.code == "out_of_scope" for reason in self.reasons)

    @property
    def score(self) -> float:
        return round(sum(reason.weight for reason in self.reasons), 3)


class _Known:
    """What is known beside the answers."""

    def __init__(
        self,
        feedback: Rows,
        audit_samples: Rows,
        labels: Mapping[str, int],
        readings: Mapping[str, Reading],
        signals: Rows,
        names: Mapping[str, str],
    ) -> None:
        self.said: dict[str, list[Row]] = defaultdict(list)
        for one in feedback:
            self.said[one["decision_id"]].append(one)
        self.signals: dict[str, list[Row]] = defaultdict(list)
        for one in signals:
            self.signals[one["log_id"]].append(one)
        self.differing = {each["log_id"]: each["agent_id"] or NO_AGENT for each in audit_samples}
        self.labels, self.readings, self._names = labels, readings, names
        self._leads = sorted(
            reading.prediction.margin
            for reading in readings.values()
            if reading.prediction is not None
        )

    def name(self, agent_id: str) -> str:
        """Of the agent, for a text; a deleted one has its id alone."""
        return self._names.get(agent_id, agent_id)

    def named(self, agent_ids: Iterable[str]) -> str:
        return ", ".join(sorted(map(self.name, agent_ids)))

    def surer(self, margin: float) -> float:
        """The share of the questions of which the classifier is surer."""
        return 1 - bisect_right(self._leads, margin) / len(self._leads)


def rank(
    answers: Rows,
    feedback: Rows,
    audit_samples: Rows,
    labels: Mapping[str, int],
    readings: Mapping[str, Reading],
    signals: Rows = (),
    *,
    names: Mapping[str, str] = MappingProxyType({}),
) -> list[QueueEntry]:
    """The questions behind these answers (newest first), the most worthwhile first. `readings` are
    by query hash, `names` those of the agents, by id."""
    by_question: dict[str, list[Row]] = defaultdict(list)
    for answer in answers:
        by_question[answer["query_hash"]].append(answer)
    known = _Known(feedback, audit_samples, labels, readings, signals, names)
    questions = [_question(rows, known) for rows in by_question.values()]
    return sorted(questions, key=lambda question: -question.score)  # stable: newest stay first


def _question(rows: list[Row], known: _Known) -> QueueEntry:
    found = [(row, _reasons(row, known)) for row in rows]
    # Of several with as much to say, max takes the first: the newest.
    shown, reasons = max(found, key=lambda each: sum(reason.weight for reason in each[1]))
    chosen = {agent for row in rows if (agent := _chosen(row)) is not None}
    others = {agent for row in rows if (agent := known.differing.get(row["id"])) is not None}
    reading = known.readings.get(shown["query_hash"], Reading())
    prediction = reading.prediction
    others -= chosen
    if len(chosen | others) > 1:
        text = f"it was answered with {known.named(chosen)}"
        if others:
            text += f"; the layer that did not answer chose {known.named(others)}"
        reasons.append(_reason("disagreement", text))
    if prediction is not None:
        surer = known.surer(prediction.margin)
        text = f"the classifier is surer of {surer:.0%} of the recent questions; here"
        best, second = known.name(prediction.agent_id), known.name(prediction.second_id or NO_AGENT)
        text += f" {best} is {prediction.margin:.2f} before {second}"
        unsure = _reason("classifier_unsure", text, surer)
        if unsure.weight > 0:
            reasons.append(unsure)
        # It has an agent for every question: where none was found, that it differs says nothing.
        if chosen and not {prediction.agent_id, NO_AGENT} & chosen:
            text = f"the classifier would choose {known.name(prediction.agent_id)}"
            reasons.append(_reason("classifier_differs", text))
    few = known.labels.get(_chosen(shown) or "", MIN_LABELS)
    if few < MIN_LABELS:
        name, plural = known.name(_chosen(shown) or ""), "" if few == 1 else "s"
        text = f"{name} has {few} label{plural}, fewer than {MIN_LABELS}"
        reasons.append(_reason("rare_agent", text, 1 - few / MIN_LABELS))
    if len(rows) > 1:
        share = min(1, math.log(len(rows)) / math.log(_FULLY_FREQUENT))
        reasons.append(_reason("frequent", f"it was asked {len(rows)} times lately", share))
    if not reasons:
        reasons.append(_reason("unlabelled", "nothing speaks against the answer; no label yet"))
    reasons.sort(key=lambda reason: (-reason.weight, reason.code))
    return QueueEntry(shown, len(rows), reasons, reading.sketch)


def _reasons(row: Row, known: _Known) -> list[QueueReason]:
    """What this one answer has to say for a label."""
    reasons = _feedback_reasons(row, known)
    reasons += _signal_reasons(known.signals.get(row["id"], []), known)
    if row["reason"] in _FALLBACKS:
        code, text = _FALLBACKS[row["reason"]]
        reasons.append(_reason(code, text))
    confidence, threshold = row["confidence"], row["threshold"]
    if None not in (_chosen(row), confidence) and row["reason"] != "out_of_scope":
        away = abs(confidence - threshold) / max(threshold, 1 - threshold)
        text = f"confidence {confidence:.2f}, threshold {threshold:.2f}"
        reason = _reason("uncertain", text, 1 - away)
        if reason.weight > 0:
            reasons.append(reason)
    return reasons


def _feedback_reasons(row: Row, known: _Known) -> list[QueueReason]:
    said = known.said.get(row["id"], [])
    others = [one for one in said if one["correct_agent"] not in (None, row["agent_id"])]
    if others:
        names = known.named({one["correct_agent"] for one in others})
        return [_by_keys(_reason("feedback_other_agent", f"feedback names {names}"), others)]
    down = [one for one in said if one["value"] == "down"]
    if down:
        reason = _reason("feedback_down", "feedback says that the answer was wrong")
        return [_by_keys(reason, down)]
    return []


def _signal_reasons(signals: Iterable[Row], known: _Known) -> list[QueueReason]:
    kinds = {signal["kind"]: signal["agent_id"] for signal in signals}
    refused = [str(agent_id) for kind, agent_id in kinds.items() if kind in MISROUTES]
    reasons = []
    if refused:
        text = f"it was said that this is not for {known.named(set(refused))}"
        reasons.append(_reason("misrouted", text))
    reactions = [text for kind, text in _REACTIONS.items() if kind in kinds]
    if reactions:
        reasons.append(_reason("reaction", f"after the answer the person {reactions[0]}"))
    return reasons


def _by_keys(reason: QueueReason, said: Iterable[Row]) -> QueueReason:
    keys = dict.fromkeys(one["key_id"] for one in said)
    return reason.model_copy(update={"key_ids": [*keys][:_MAX_KEYS_SHOWN]})


def _chosen(row: Row) -> str | None:
    """The agent that a stage named, also if it was not sure enough; "none" if it said that no agent
    fits; null if there was no answer."""
    if row["reason"] == "out_of_scope":
        return NO_AGENT
    agent: str | None = row["agent_id"]
    if row["reason"] == "low_confidence":
        # Older rows have no alternative if it was the fallback agent itself.
        unsure: str | None = row["unsure_agent"]
        return unsure or agent
    return None if row["layer"] == "fallback" else agent


def _reason(code: ReasonCode, text: str, share: float = 1) -> QueueReason:
    return QueueReason(code=code, weight=round(_WEIGHTS[code] * share, 3), text=text)
