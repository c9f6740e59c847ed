"""System One: the format of Workers AI's decision models, and of vLLM, Fireworks and others under
`POST …/systemone`.

    {"model", "state", "questions": {id: question}, "images"?} -> {"answers": {id: answer}, "usage"}

A question that the model could not answer is missing in the answers."""

import re
from collections.abc import Mapping
from typing import Any

from edgeneuro.domain.question import Answer, Choice, Question, YesNo
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.decisions.probabilities import level_text, read_answer
from edgeneuro.gateway.interface import DecisionRequest

_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


def encode(request: DecisionRequest, *, model: str) -> dict[str, Any]:
    """The body. `model` is the name inside it."""
    names = _names(request.questions)
    body: dict[str, Any] = {
        "model": model,
        "state": request.state,
        "questions": {names[id]: _question(each) for id, each in request.questions.items()},
    }
    if request.image_urls:
        body["images"] = list(request.image_urls)
    return body


def decode(output: Any, questions: Mapping[str, Question]) -> dict[str, Answer]:
    """The answers by the ids of their questions. Raises InvalidOutputError."""
    match output:
        case {"answers": dict() as given}:
            names = _names(questions)
            return {
                id: read_answer(given[names[id]], question, kind=_kind(question), yes="noul")
                for id, question in questions.items()
                if given.get(names[id]) is not None
            }
    raise InvalidOutputError("The decision model's answer is of a shape that is not known.")


def _names(questions: Mapping[str, Question]) -> dict[str, str]:
    """The names on the wire by id: the id, or where the format does not allow it another one."""
    names = {id: id for id in questions if _ID.fullmatch(id)}
    number = 0
    for id in questions:
        if id not in names:
            while (name := f"q{number}") in names:
                number += 1
            names[id] = name
            number += 1
    return names


def _kind(question: Question) -> str:
    if isinstance(question, YesNo):
        return "noul"
    return "choice" if isinstance(question, Choice) else "score"


def _question(question: Question) -> dict[str, Any]:
    sent: dict[str, Any] = {"type": _kind(question), "instructions": question.instructions}
    if isinstance(question, Choice):
        sent["criteria"] = dict(question.options)
    elif isinstance(question, YesNo):
        meanings = {"true": question.yes, "false": question.no}
        criteria = {name: text for name, text in meanings.items() if text is not None}
        if criteria:
            sent["criteria"] = criteria
    else:
        sent["criteria"] = [level_text(level) for level in question.levels]
    return sent
