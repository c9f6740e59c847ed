"""OpenAI's decisions: POST /v1/decisions, as in the types of the official client
(openai/types/decision.py, decision_create_params.py), and of servers that are compatible with it.

1 to 400 questions, 2 to 255 choices each, answers in the order of the questions; a question that
the model declines is answered by a refusal. `value` may be a text or a boolean, and "true" is not
true. A score's probabilities have the number of the level as `value`, from 0 (docs.fireworks.ai,
post-decisions); the number of levels is not in the types: 2 to 10 is that of System One.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.catalogue import Model
from local.decisions import (
    MAX_LEVELS,
    MAX_OPTIONS,
    MIN_LEVELS,
    MIN_OPTIONS,
    Answer,
    Choice,
    ChoiceAnswer,
    Decided,
    DecisionRequest,
    Level,
    Question,
    Score,
    ScoreAnswer,
    YesNo,
    YesNoAnswer,
    choice_confidence,
    expected_level,
    most_likely,
    score_confidence,
    text_of,
)
from local.errors import AiError

MAX_QUESTIONS = 400
_FIELDS = frozenset(
    {
        *("model", "input", "questions", "prompt_cache_key", "prompt_cache_options"),
        "safety_identifier",
    }
)
_ROLES = frozenset({"user", "assistant", "system", "developer"})
_TEXT_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


@dataclass(frozen=True)
class OpenAiDecision:
    """The questions of `request` are named by their place. `names` are those that the caller
    gave; `values` are the values of a question's options by their ids in `request`."""

    request: DecisionRequest
    names: Mapping[str, str | None]
    values: Mapping[str, Mapping[str, str | bool]]


def read_openai_decision(model: Model, body: Any) -> OpenAiDecision:
    if not isinstance(body, dict):
        raise _invalid("The body must be an object.")
    for field in ("model", "input", "questions"):
        if body.get(field) is None:
            raise _invalid(f"Missing required parameter: '{field}'.")
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise _invalid(f"Unknown parameter: '{unknown[0]}'.")
    given = body["questions"]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_QUESTIONS:
        raise _invalid(f"Invalid 'questions': a list of 1 to {MAX_QUESTIONS} is expected.")
    state, images = _state(body["input"])
    if not state:
        raise _invalid("Invalid 'input': it must not be empty.")
    values: dict[str, Mapping[str, str | bool]] = {}
    questions = {str(at): _question(at, each, values) for at, each in enumerate(given)}
    names = {str(at): _name(at, each) for at, each in enumerate(given)}
    request = DecisionRequest(model, str(body["model"]), state, questions, images)
    return OpenAiDecision(request, names, values)


def openai_body(asked: OpenAiDecision, decided: Decided) -> dict[str, Any]:
    answers = [
        {**_answer(asked, key, answer), "name": asked.names.get(key, key)}
        for key, answer in decided.answers.items()
    ]
    body: dict[str, Any] = {
        "model": asked.request.name,
        "answers": answers,
        "usage": _usage(decided),
    }
    return {**body, "metadata": dict(decided.metadata)} if decided.metadata else body


def _usage(decided: Decided) -> dict[str, Any]:
    usage: dict[str, Any] = {}
    if decided.input_tokens is not None:
        usage["input_tokens"] = decided.input_tokens
        usage["input_tokens_details"] = {"cache_write_tokens": 0, "cached_tokens": 0}
    if decided.output_tokens is not None:
        usage["output_tokens"] = decided.output_tokens
        usage["output_tokens_details"] = {"reasoning_tokens": 0}
        usage["total_tokens"] = (decided.input_tokens or 0) + decided.output_tokens
    return usage


def _state(given: Any) -> tuple[Any, tuple[str, ...]]:
    """The input as a text or a list of messages, and its images."""
    if isinstance(given, str):
        return given, ()
    if not isinstance(given, list):
        raise _invalid("Invalid 'input': a text or a list of messages is expected.")
    images: list[str] = []
    return [_message(f"input[{at}]", each, images) for at, each in enumerate(given)], tuple(images)


def _message(place: str, given: Any, images: list[str]) -> dict[str, str]:
    match given:
        case {"type": "function_call" | "custom_tool_call", "name": str() as name}:
            arguments = given.get("arguments", given.get("input", ""))
            return {"role": "assistant", "content": f"{name}({text_of(arguments)})"}
        case {"type": "function_call_output" | "custom_tool_call_output", "output": output}:
            return {"role": "tool", "content": _content(f"{place}.output", output, images)}
        case {"role": str() as role, "content": content} if role in _ROLES:
            return {"role": role, "content": _content(f"{place}.content", content, images)}
    raise _invalid(f"Invalid '{place}': a message with 'role' and 'content' is expected.")


def _content(place: str, given: Any, images: list[str]) -> str:
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise _invalid(f"Invalid '{place}': a text or a list of parts is expected.")
    texts = [_part(f"{place}[{at}]", part, images) for at, part in enumerate(given)]
    return "\n".join(text for text in texts if text)


def _part(place: str, given: Any, images: list[str]) -> str:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "input_image" and isinstance(given.get("image_url"), str):
        images.append(given["image_url"])
        return ""
    if kind == "input_json" and isinstance(given.get("data"), dict | list):
        return text_of(given["data"])
    text = given.get(_TEXT_PARTS.get(str(kind), "")) if isinstance(given, dict) else None
    if not isinstance(text, str):
        raise _invalid(f"Invalid '{place}': its type {kind!r} is not supported, or it is empty.")
    return text


def _name(at: int, given: Mapping[str, Any]) -> str | None:
    name = given.get("name")
    if name is not None and not isinstance(name, str):
        raise _invalid(f"Invalid 'questions[{at}].name': a text is expected.")
    return name


def _question(at: int, given: Any, values: dict[str, Mapping[str, str | bool]]) -> Question:
    place = f"questions[{at}]"
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in ("predicate", "choice", "score"):
        raise _invalid(f"Invalid '{place}.type': 'predicate', 'choice' or 'score' is expected.")
    if not given.get("instructions"):
        raise _invalid(f"Missing required parameter: '{place}.instructions'.")
    instructions = _content(f"{place}.instructions", given["instructions"], [])
    if kind == "predicate":
        return YesNo(instructions)
    if kind == "choice":
        options = _listed(f"{place}.choices", given.get("choices"), MIN_OPTIONS, MAX_OPTIONS)
        values[str(at)], described = _options(f"{place}.choices", options)
        return Choice(instructions, described)
    listed = _listed(f"{place}.levels", given.get("levels"), MIN_LEVELS, MAX_LEVELS)
    return Score(
        instructions, tuple(_level(f"{place}.levels[{n}]", each) for n, each in enumerate(listed))
    )


def _listed(place: str, given: Any, least: int, most: int) -> list[Any]:
    if not isinstance(given, list) or not least <= len(given) <= most:
        raise _invalid(f"Invalid '{place}': a list of {least} to {most} is expected.")
    return given


def _options(
    place: str, given: list[Any]
) -> tuple[Mapping[str, str | bool], Mapping[str, str | None]]:
    texts = {each.get("value") for each in given if isinstance(each, dict) and _is_text(each)}
    values: dict[str, str | bool] = {}
    described: dict[str, str | None] = {}
    for at, each in enumerate(given):
        value = each.get("value") if isinstance(each, dict) else None
        if not isinstance(value, str | bool):
            raise _invalid(f"Invalid '{place}[{at}].value': a text or a boolean is expected.")
        key = value if isinstance(value, str) else str(value).lower()
        if isinstance(value, bool) and key in texts:
            key = f"{key} (boolean)"
        if key in values:
            raise _invalid(f"Invalid '{place}[{at}].value': {value!r} is there twice.")
        values[key] = value
        described[key] = _description(f"{place}[{at}]", each)
    return values, described


def _is_text(option: Mapping[str, Any]) -> bool:
    return isinstance(option.get("value"), str)


def _level(place: str, given: Any) -> Level:
    label = given.get("label") if isinstance(given, dict) else None
    if not isinstance(label, str) or not label:
        raise _invalid(f"Missing required parameter: '{place}.label'.")
    description = _description(place, given)
    return Level(label, f"{label}: {description}" if description else label)


def _description(place: str, given: Mapping[str, Any]) -> str | None:
    description = given.get("description")
    if description is not None and not isinstance(description, str):
        raise _invalid(f"Invalid '{place}.description': a text is expected.")
    return description


def _invalid(message: str) -> AiError:
    return AiError(5006, message)


def _answer(asked: OpenAiDecision, key: str, answer: Answer) -> dict[str, Any]:
    match answer:
        case YesNoAnswer(probability):
            return {"type": "predicate", "probability": probability}
        case ChoiceAnswer():
            return _choice_answer(asked.values.get(key, {}), answer)
        case ScoreAnswer(probabilities, score, confidence):
            question = asked.request.questions.get(key)
            levels = question.levels if isinstance(question, Score) else ()
            return {
                "type": "score",
                "score": expected_level(probabilities) if score is None else score,
                "probabilities": [
                    {"label": _label(levels, at), "probability": share, "value": at}
                    for at, share in enumerate(probabilities)
                ],
                "confidence": score_confidence(probabilities) if confidence is None else confidence,
            }
    return {"type": "refusal"}


def _label(levels: Sequence[Level], at: int) -> str:
    return str(levels[at].label) if at < len(levels) else str(at)


def _choice_answer(values: Mapping[str, str | bool], answer: ChoiceAnswer) -> dict[str, Any]:
    shares = answer.probabilities
    choice = most_likely(shares) if answer.choice is None else answer.choice
    confidence = answer.confidence
    return {
        "type": "choice",
        "choice": values.get(choice, choice),
        "probabilities": [
            {"value": values.get(each, each), "probability": share}
            for each, share in shares.items()
        ],
        "confidence": choice_confidence(list(shares.values()))
        if confidence is None
        else confidence,
    }
