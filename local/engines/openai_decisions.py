"""A real server's decisions, in either format: the request written, the answer read.

Numbers are passed on as they come: probabilities that are not rounded, sums that are not 1, a
question that is missing. What has another shape is error 3043.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.decisions import (
    Answer,
    Choice,
    ChoiceAnswer,
    Decided,
    DecisionRequest,
    Question,
    Refusal,
    Score,
    ScoreAnswer,
    YesNo,
    YesNoAnswer,
    text_of,
)
from local.engines.openai_chat import SHAPELESS
from local.errors import AiError

_ROLES = frozenset({"user", "assistant", "system", "developer"})


def system_one_request(request: DecisionRequest, model: str) -> dict[str, Any]:
    questions = {key: _system_one(question) for key, question in request.questions.items()}
    body = {"model": model, "state": request.state, "questions": questions}
    return {**body, "images": list(request.images)} if request.images else body


def _system_one(question: Question) -> dict[str, Any]:
    match question:
        case YesNo(instructions, yes, no):
            meant = {"true": yes, "false": no}
            criteria = {name: text for name, text in meant.items() if text is not None}
            asked: dict[str, Any] = {"type": "noul", "instructions": instructions}
            return {**asked, "criteria": criteria} if criteria else asked
        case Choice(instructions, options):
            return {"type": "choice", "instructions": instructions, "criteria": dict(options)}
        case Score(instructions, levels):
            texts = [level.text for level in levels]
            return {"type": "score", "instructions": instructions, "criteria": texts}


def openai_request(request: DecisionRequest, model: str) -> dict[str, Any]:
    questions = [{**_openai(question), "name": key} for key, question in request.questions.items()]
    return {"model": model, "input": _input(request), "questions": questions}


def _openai(question: Question) -> dict[str, Any]:
    match question:
        case YesNo(instructions, yes, no):
            # A predicate has no place for what its answers mean.
            meant = [f"{name} means: {text}" for name, text in (("Yes", yes), ("No", no)) if text]
            return {"type": "predicate", "instructions": "\n".join([instructions, *meant])}
        case Choice(instructions, options):
            choices = [
                {"value": key, "description": text} if text else {"value": key}
                for key, text in options.items()
            ]
            return {"type": "choice", "instructions": instructions, "choices": choices}
        case Score(instructions, levels):
            labels = [{"label": text_of(level.label)} for level in levels]
            return {"type": "score", "instructions": instructions, "levels": labels}


def _input(request: DecisionRequest) -> Any:
    state = request.state
    images = [{"type": "input_image", "image_url": each} for each in request.images]
    if _is_conversation(state):
        more = [{"role": "user", "content": images}] if images else []
        return [*({"role": m["role"], "content": m["content"]} for m in state), *more]
    if isinstance(state, str) and not images:
        return state
    part = {"type": "input_text", "text": text_of(state)}
    return [{"role": "user", "content": [part, *images]}]


def _is_conversation(state: Any) -> bool:
    return isinstance(state, list) and all(
        isinstance(each, dict)
        and each.get("role") in _ROLES
        and isinstance(each.get("content"), str)
        for each in state
    )


def read_system_one_answer(answer: Any, metadata: Mapping[str, str]) -> Decided:
    try:
        given = answer["answers"]
        answers = {key: _read_system_one(each) for key, each in given.items()}
        return Decided(answers, *_tokens(answer), metadata)
    except SHAPELESS as exc:
        raise _no_decision() from exc


def _read_system_one(given: Any) -> Answer:
    match given["type"]:
        case "noul":
            return YesNoAnswer(_number(given["noul"]))
        case "choice":
            shares = {key: _number(share) for key, share in given["probabilities"].items()}
            return ChoiceAnswer(shares, str(given["choice"]), _optional(given.get("confidence")))
        case "score":
            levels = sorted(given["probabilities"].items(), key=lambda pair: int(pair[0]))
            values = tuple(_number(share) for _, share in levels)
            score, confidence = given.get("score"), given.get("confidence")
            return ScoreAnswer(values, _optional(score), _optional(confidence))
    raise _no_decision()


def read_openai_answer(
    answer: Any, request: DecisionRequest, metadata: Mapping[str, str]
) -> Decided:
    """The answers come in the order of the questions."""
    try:
        pairs = zip(request.questions, answer["answers"], strict=False)
        answers = {key: _read_openai(each) for key, each in pairs}
        return Decided(answers, *_tokens(answer), metadata)
    except SHAPELESS as exc:
        raise _no_decision() from exc


def _read_openai(given: Any) -> Answer:
    match given["type"]:
        case "refusal":
            return Refusal()
        case "predicate":
            return YesNoAnswer(_number(given["probability"]))
        case "choice":
            listed = given["probabilities"]
            shares = {str(each["value"]): _number(each["probability"]) for each in listed}
            return ChoiceAnswer(shares, str(given["choice"]), _optional(given.get("confidence")))
        case "score":
            values = tuple(_number(each["probability"]) for each in given["probabilities"])
            score, confidence = given.get("score"), given.get("confidence")
            return ScoreAnswer(values, _optional(score), _optional(confidence))
    raise _no_decision()


def _tokens(answer: Any) -> tuple[int | None, int | None]:
    usage = answer.get("usage") or {}
    tokens_in, tokens_out = usage.get("input_tokens"), usage.get("output_tokens")
    return (
        None if tokens_in is None else int(tokens_in),
        None if tokens_out is None else int(tokens_out),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a probability is a number")
    return value


def _optional(value: Any) -> float | None:
    return None if value is None else _number(value)


def _no_decision() -> AiError:
    return AiError(3043, "Internal server error: upstream sent no decision")
