"""The input and output schemas of models, as `GET …/ai/models/schema?model=…` returns them.

Those of text generation models have the fields that say what kind of model it is, no more. A
decision model is known by `questions` in its input.
"""

from __future__ import annotations

from typing import Any

from local.catalogue import Model
from local.decisions import MAX_LEVELS, MAX_OPTIONS, MIN_LEVELS, MIN_OPTIONS
from local.decisions.system_one import ID, MAX_IMAGES, MAX_QUESTIONS

_TEXT = {"type": "string"}
_CONTENT = {"type": ["string", "object", "array"]}
_MEANING = {"type": ["string", "object", "array", "null"]}
_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_MESSAGES = {"type": "array", "minItems": 1, "items": {"type": "object"}}


def model_schema(model: Model) -> dict[str, Any]:
    if model.decision:
        return {"input": _decision_input(model), "output": _decision_output()}
    prompt = {"type": "object", "properties": {"prompt": _TEXT}, "required": ["prompt"]}
    messages = {"type": "object", "properties": {"messages": _MESSAGES}, "required": ["messages"]}
    answer = {"response": _TEXT} if model.shape == "classic" else {"choices": {"type": "array"}}
    return {
        "input": {"type": "object", "oneOf": [prompt, messages]},
        "output": {"type": "object", "properties": answer},
    }


def _decision_input(model: Model) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "model": {"type": "string", "enum": [model.id.rpartition("/")[2]]},
        "state": _CONTENT,
        "questions": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_QUESTIONS,
            "propertyNames": {"pattern": f"^{ID.pattern}$"},
            "additionalProperties": {"oneOf": [_yes_no(), _choice(), _score()]},
        },
    }
    if model.images:
        properties["images"] = {"type": "array", "maxItems": MAX_IMAGES, "items": _TEXT}
    required = ["model", "state", "questions"]
    return _object(properties, required)


def _yes_no() -> dict[str, Any]:
    criteria = _object({"true": _MEANING, "false": _MEANING}, [])
    return _question("noul", {"criteria": criteria}, [])


def _choice() -> dict[str, Any]:
    criteria = {
        "type": "object",
        "minProperties": MIN_OPTIONS,
        "maxProperties": MAX_OPTIONS,
        "additionalProperties": _MEANING,
    }
    return _question("choice", {"criteria": criteria}, ["criteria"])


def _score() -> dict[str, Any]:
    levels = {"minItems": MIN_LEVELS, "maxItems": MAX_LEVELS, "items": _CONTENT}
    return _question("score", {"criteria": {"type": "array", **levels}}, ["criteria"])


def _question(kind: str, more: dict[str, Any], required: list[str]) -> dict[str, Any]:
    properties = {"type": {"const": kind}, "instructions": _CONTENT, **more}
    return _object(properties, ["type", "instructions", *required])


def _decision_output() -> dict[str, Any]:
    shares = {"type": "object", "additionalProperties": _PROBABILITY}
    weighed = {"probabilities": shares, "confidence": _PROBABILITY}
    answers = [
        _object({"type": {"const": "noul"}, "noul": _PROBABILITY}, ["type", "noul"]),
        _object(
            {"type": {"const": "choice"}, "choice": _TEXT, **weighed},
            ["type", "choice", *weighed],
        ),
        _object(
            {
                "type": {"const": "score"},
                "score": {"type": "number", "minimum": 0},
                "legend": {"type": "object"},
                **weighed,
            },
            ["type", "score", "legend", *weighed],
        ),
    ]
    tokens = {"input_tokens": {"type": "integer"}, "output_tokens": {"type": "integer"}}
    return {
        "type": "object",
        "properties": {
            "model": _TEXT,
            "answers": {"type": "object", "additionalProperties": {"oneOf": answers}},
            "usage": {"type": "object", "properties": tokens},
        },
        "required": ["model", "answers", "usage"],
    }


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
