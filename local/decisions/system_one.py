"""System One: what Workers AI's Clef models and POST /v1/systemone of other hosts speak.

The fields and limits are those of Cloudflare's published schema
(developers.cloudflare.com/workers-ai/models/clef). Codes and statuses of refusals were observed
with a real account in October 2026 (juspay/neurolink, docs on Clef): 400/5006 for what the schema
refuses (no questions, an unknown type, another model's name), 422/5012 for what the model's own
server refuses (65 questions, a fifth image, 256 options, an unknown field, an empty instruction),
413/5021 for a body above twice the context window at four bytes a token. The service was also seen
to accept an input without `model`, against its schema; the emulator refuses it.

A `noul` answer has no confidence. A score's probabilities and its legend are objects by the number
of the level, as a text: "0" is the lowest. All three Clef models take up to four images as data
URLs in `images`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
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
    Refusal,
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
from local.errors import AiError, bad_input

MAX_QUESTIONS = 64
MAX_IMAGES = 4
ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_FIELDS = frozenset({"model", "state", "questions", "images"})
_IMAGE = re.compile(r"data:image/(?:png|jpeg|jpg|webp);base64,[A-Za-z0-9+/]+={0,2}")
_BYTES_PER_TOKEN = 4


def read_system_one(model: Model, inputs: Any, *, name: str | None = None) -> DecisionRequest:
    """`name` is the only one that `model` inside the input may have; None takes any."""
    if not isinstance(inputs, dict):
        raise bad_input("Type mismatch of '/', 'object' expected")
    if inputs.get("lora") is not None:
        raise AiError(5005, f"Model {model.id} does not support LoRA")
    for field in ("model", "state", "questions"):
        if inputs.get(field) is None:
            raise bad_input(f"required properties at '/' are 'model,state,questions': no '{field}'")
    _check_name(inputs["model"], name)
    state, questions = inputs["state"], inputs["questions"]
    if not isinstance(state, str | dict | list):
        raise bad_input("Type mismatch of '/state', 'string', 'object' or 'array' expected")
    if not isinstance(questions, dict) or not questions:
        raise bad_input("'/questions' must be an object with at least 1 property")
    read = {key: _question(key, given) for key, given in questions.items()}
    if not state:
        raise _invalid("state: must not be empty")
    _check_limits(inputs, questions)
    _check_size(model, inputs)
    images = _images(model, inputs.get("images"))
    return DecisionRequest(model, inputs["model"], state, read, images)


def system_one_body(request: DecisionRequest, decided: Decided) -> dict[str, Any]:
    """The answer, without any envelope."""
    answers = {
        key: _answer(request.questions.get(key), answer)
        for key, answer in decided.answers.items()
        if not isinstance(answer, Refusal)  # such a question is missing
    }
    tokens = {"input_tokens": decided.input_tokens, "output_tokens": decided.output_tokens}
    usage = {key: count for key, count in tokens.items() if count is not None}
    body: dict[str, Any] = {"model": request.name, "answers": answers, "usage": usage}
    return {**body, "metadata": dict(decided.metadata)} if decided.metadata else body


def _check_name(given: Any, name: str | None) -> None:
    if not isinstance(given, str) or not given:
        raise bad_input("Type mismatch of '/model', 'string' expected")
    if name is not None and given != name:
        raise bad_input(f"model must match pattern ^{re.escape(name)}$")


def _check_limits(inputs: Mapping[str, Any], questions: Mapping[str, Any]) -> None:
    unknown = sorted(set(inputs) - _FIELDS)
    if unknown:
        raise _invalid(f"{unknown[0]}: extra inputs are not permitted")
    if len(questions) > MAX_QUESTIONS:
        raise _invalid(f"questions: at most {MAX_QUESTIONS} are allowed, not {len(questions)}")


def _check_size(model: Model, inputs: Mapping[str, Any]) -> None:
    size = len(json.dumps(inputs, ensure_ascii=False, separators=(",", ":")).encode())
    tokens = math.ceil(size / _BYTES_PER_TOKEN)
    if tokens > 2 * model.context_window:
        raise AiError(
            5021,
            f"The estimated number of input and maximum output tokens ({tokens}) "
            f"exceeded this model context window limit ({model.context_window}).",
        )


def _images(model: Model, given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise bad_input("Type mismatch of '/images', 'array' expected")
    if given and not model.images:
        raise _invalid(f"images: {model.id} reads text alone")
    if len(given) > MAX_IMAGES:
        raise _invalid(f"images: at most {MAX_IMAGES} are allowed, not {len(given)}")
    for at, image in enumerate(given):
        if not isinstance(image, str) or not _IMAGE.fullmatch(image):
            raise _invalid(f"images.{at}: must be a data URL of a PNG, JPEG or WebP image")
    return tuple(given)


def _question(key: str, given: Any) -> Question:
    place = f"/questions/{key}"
    if not isinstance(given, dict):
        raise bad_input(f"Type mismatch of '{place}', 'object' expected")
    kind = given.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise bad_input(f"'{place}/type' must be one of 'noul', 'choice', 'score'")
    if not ID.fullmatch(key):
        raise _invalid(f"questions.{key[:120]}: an id has 1 to 100 letters, digits, '_', '.', '-'")
    unknown = sorted(set(given) - {"type", "instructions", "criteria"})
    if unknown:
        raise _invalid(f"questions.{key}.{unknown[0]}: extra inputs are not permitted")
    instructions = given.get("instructions")
    if not isinstance(instructions, str | dict | list):
        raise bad_input(f"required properties at '{place}' are 'type,instructions'")
    if not instructions:
        raise _invalid(f"questions.{key}.instructions: must not be empty")
    return read(key, text_of(instructions), given.get("criteria"))


def _yes_no(key: str, instructions: str, criteria: Any) -> Question:
    if criteria is None:
        return YesNo(instructions)
    if not isinstance(criteria, dict):
        raise bad_input(f"Type mismatch of '/questions/{key}/criteria', 'object' expected")
    unknown = sorted(set(criteria) - {"true", "false"})
    if unknown:
        raise _invalid(f"questions.{key}.criteria: 'true' and 'false' are allowed, no {unknown[0]}")
    yes, no = (_criterion(key, criteria.get(name)) for name in ("true", "false"))
    return YesNo(instructions, yes, no)


def _choice(key: str, instructions: str, criteria: Any) -> Question:
    if not isinstance(criteria, dict):
        raise bad_input(f"Type mismatch of '/questions/{key}/criteria', 'object' expected")
    _check_count(key, len(criteria), MIN_OPTIONS, MAX_OPTIONS, "options")
    return Choice(instructions, {name: _criterion(key, text) for name, text in criteria.items()})


def _score(key: str, instructions: str, criteria: Any) -> Question:
    if not isinstance(criteria, list):
        raise bad_input(f"Type mismatch of '/questions/{key}/criteria', 'array' expected")
    _check_count(key, len(criteria), MIN_LEVELS, MAX_LEVELS, "levels")
    levels = [(given, _criterion(key, given)) for given in criteria]
    if not all(text for _, text in levels):
        raise bad_input(f"Type mismatch of '/questions/{key}/criteria', 'string' expected")
    return Score(instructions, tuple(Level(label, text or "") for label, text in levels))


_READERS: dict[str, Callable[[str, str, Any], Question]] = {
    "noul": _yes_no,
    "choice": _choice,
    "score": _score,
}


def _criterion(key: str, given: Any) -> str | None:
    if given is not None and not isinstance(given, str | dict | list):
        raise bad_input(f"Type mismatch of '/questions/{key}/criteria', 'string' expected")
    return None if given is None else text_of(given)


def _check_count(key: str, count: int, least: int, most: int, what: str) -> None:
    if not least <= count <= most:
        raise _invalid(f"questions.{key}.criteria: {least} to {most} {what} are allowed")


def _invalid(description: str) -> AiError:
    return AiError(5012, f"validation_error: {description}")


def _answer(question: Question | None, answer: Answer) -> dict[str, Any]:
    match answer:
        case YesNoAnswer(probability):
            return {"type": "noul", "noul": probability}
        case ChoiceAnswer(probabilities, choice, confidence):
            values = list(probabilities.values())
            return {
                "type": "choice",
                "choice": most_likely(probabilities) if choice is None else choice,
                "probabilities": dict(probabilities),
                "confidence": choice_confidence(values) if confidence is None else confidence,
            }
        case ScoreAnswer(probabilities, score, confidence):
            levels = question.levels if isinstance(question, Score) else ()
            return {
                "type": "score",
                "score": expected_level(probabilities) if score is None else score,
                "legend": {str(at): level.label for at, level in enumerate(levels)},
                "probabilities": {str(at): share for at, share in enumerate(probabilities)},
                "confidence": score_confidence(probabilities) if confidence is None else confidence,
            }
    raise AssertionError("a refusal is not written")
