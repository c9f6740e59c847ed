"""What a fault does to the answers of a decision model, in either format.

`question` of a fault is the id of the question whose answer is spoilt, in OpenAI's format its name;
without one it is the first choice, or the first question if there is none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from local.answers import Answer as HttpAnswer
from local.decisions import (
    Answer,
    Choice,
    ChoiceAnswer,
    Decided,
    DecisionRequest,
    Refusal,
    ScoreAnswer,
    YesNoAnswer,
    choice_confidence,
    expected_level,
    most_likely,
    score_confidence,
)
from local.faults import Fault

WRONG_SUM = 3.0
_PROBABILITIES = {
    "nan_probability": math.nan,
    "negative_probability": -0.2,
    "large_probability": 1.7,
}


def spoilt(
    decided: Decided,
    request: DecisionRequest,
    fault: Fault,
    names: Mapping[str, str | None] | None = None,
) -> Decided:
    """`names` are what the caller calls the questions, if those are not their ids."""
    match fault.kind:
        case "empty":
            return replace(decided, answers={})
        case "no_output_tokens":
            return replace(decided, output_tokens=None)
        case "unasked_question":
            more = {"no_such_question": YesNoAnswer(0.9)}
            return replace(decided, answers={**decided.answers, **more})
    key = _target(decided, request, fault, names or {})
    if key is None:
        return decided
    if fault.kind == "missing_question":
        rest = {each: answer for each, answer in decided.answers.items() if each != key}
        return replace(decided, answers=rest)
    answer = _spoilt_answer(_settled(decided.answers[key]), fault)
    return replace(decided, answers={**decided.answers, key: answer})


def spoilt_body(body: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """With words in the place of the answers, or another object altogether."""
    if fault.kind == "wrong_json":
        other: dict[str, Any] = json.loads(fault.said or "{}")
        return other
    if fault.kind in ("invalid_answer", "text", "huge"):
        return {**body, "answers": fault.said}
    return body


def cut_body(answer: HttpAnswer, fault: Fault | None) -> HttpAnswer:
    """A decision model writes no text that could be cut, so its JSON is."""
    if fault is None or fault.kind != "truncated_json":
        return answer
    return replace(answer, content=answer.content[: len(answer.content) // 2])


def _target(
    decided: Decided,
    request: DecisionRequest,
    fault: Fault,
    names: Mapping[str, str | None],
) -> str | None:
    answered = list(decided.answers)
    if fault.question is not None:
        return next((key for key in answered if (names.get(key) or key) == fault.question), None)
    choices = (key for key in answered if isinstance(request.questions.get(key), Choice))
    return next(choices, answered[0] if answered else None)


def _settled(answer: Answer) -> Answer:
    """With the choice and the confidence of the sound answer, whatever comes of the rest."""
    match answer:
        case ChoiceAnswer(probabilities, choice, confidence):
            return ChoiceAnswer(
                probabilities,
                most_likely(probabilities) if choice is None else choice,
                choice_confidence(list(probabilities.values()))
                if confidence is None
                else confidence,
            )
        case ScoreAnswer(probabilities, score, confidence):
            return ScoreAnswer(
                probabilities,
                expected_level(probabilities) if score is None else score,
                score_confidence(probabilities) if confidence is None else confidence,
            )
    return answer


def _spoilt_answer(answer: Answer, fault: Fault) -> Answer:
    match fault.kind:
        case "refusal":
            return Refusal()
        case "wrong_type":
            is_yes_no = isinstance(answer, YesNoAnswer)
            return ScoreAnswer((0.5, 0.5)) if is_yes_no else YesNoAnswer(0.5)
        case "nan_probability" | "negative_probability" | "large_probability":
            return _with_probability(answer, _PROBABILITIES[fault.kind])
        case "wrong_sum":
            return _with_sum(answer, WRONG_SUM if fault.sum is None else fault.sum)
        case "unknown_option" if isinstance(answer, ChoiceAnswer):
            more = {**answer.probabilities, "no_such_option": 0.5}
            return replace(answer, probabilities=more)
        case "unknown_agent" if isinstance(answer, ChoiceAnswer):
            less = {each: share * 0.07 for each, share in answer.probabilities.items()}
            return ChoiceAnswer({**less, "no_such_agent": 0.93}, "no_such_agent", 0.92)
    return answer


def _with_probability(answer: Answer, wrong: float) -> Answer:
    match answer:
        case YesNoAnswer():
            return YesNoAnswer(wrong)
        case ChoiceAnswer(probabilities, choice) if choice is not None:
            return replace(answer, probabilities={**probabilities, choice: wrong})
        case ScoreAnswer(probabilities):
            return replace(answer, probabilities=(wrong, *probabilities[1:]))
    return answer


def _with_sum(answer: Answer, total: float) -> Answer:
    """Each probability in proportion, or, where one would exceed 1, evenly."""
    match answer:
        case ChoiceAnswer(probabilities):
            scaled = _scaled(list(probabilities.values()), total)
            return replace(answer, probabilities=dict(zip(probabilities, scaled, strict=True)))
        case ScoreAnswer(probabilities):
            return replace(answer, probabilities=tuple(_scaled(list(probabilities), total)))
    return answer


def _scaled(shares: list[float], total: float) -> list[float]:
    whole = sum(shares) or 1.0
    scaled = [share * total / whole for share in shares]
    return scaled if max(scaled) <= 1 else [total / len(shares)] * len(shares)
