"""OpenAI's `POST …/decisions`.

    {"model", "input": text or messages, "questions": [question]} -> {"answers": [answer], "usage"}

The answers have the names of their questions, and come in the order of the questions."""

import json
from collections.abc import Mapping
from typing import Any

from edgeneuro.domain.question import Answer, Choice, Level, Question, YesNo
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.decisions.probabilities import read_answer
from edgeneuro.gateway.interface import DecisionRequest

_ROLES = ("user", "assistant", "system", "developer")


def encode(request: DecisionRequest) -> dict[str, Any]:
    return {
        "model": request.model,
        "input": _input(request.state, request.image_urls),
        "questions": [_question(name, each) for name, each in request.questions.items()],
    }


def decode(output: Any, questions: Mapping[str, Question]) -> dict[str, Answer]:
    """The answers by the ids of their questions. Raises InvalidOutputError."""
    match output:
        case {"answers": list() as given}:
            found: dict[str, Answer] = {}
            ids = list(questions)
            for index, each in enumerate(given):
                id = _answered(each, index, ids, whole=len(given) == len(ids))
                if id is None:
                    continue
                if id in found:
                    raise InvalidOutputError("The decision model answered one question twice.")
                question = questions[id]
                found[id] = read_answer(each, question, kind=_kind(question), yes="probability")
            return found
    raise InvalidOutputError("The decision model's answer is of a shape that is not known.")


def _answered(given: Any, index: int, ids: list[str], *, whole: bool) -> str | None:
    """The question of an answer: the one of its name; without a name the one in its place, which
    is known only if there is an answer for each question. None for a question not asked."""
    name = given.get("name") if isinstance(given, dict) else None
    if name is None:
        if not whole:
            raise InvalidOutputError("An answer of the decision model does not name its question.")
        return ids[index]
    return name if name in ids else None


def _kind(question: Question) -> str:
    if isinstance(question, YesNo):
        return "predicate"
    return "choice" if isinstance(question, Choice) else "score"


def _question(name: str, question: Question) -> dict[str, Any]:
    sent = {"type": _kind(question), "name": name, "instructions": question.instructions}
    if isinstance(question, Choice):
        choices = question.options.items()
        return {**sent, "choices": [_described("value", *choice) for choice in choices]}
    if isinstance(question, YesNo):
        return {**sent, "instructions": _instructions(question)}
    return {**sent, "levels": [_level(level) for level in question.levels]}


def _level(level: Level) -> dict[str, str]:
    return _described("label", level.label, level.description)


def _described(field: str, value: str, description: str | None) -> dict[str, str]:
    return {field: value} if description is None else {field: value, "description": description}


def _instructions(question: YesNo) -> str:
    """A predicate has no place for what its answers mean."""
    meanings = (("Yes", question.yes), ("No", question.no))
    lines = [f"{answer}: {text}" for answer, text in meanings if text is not None]
    return "\n".join([question.instructions, *lines])


def _input(state: Any, image_urls: tuple[str, ...]) -> str | list[dict[str, Any]]:
    images = [{"type": "input_image", "image_url": url} for url in image_urls]
    if _is_conversation(state):
        messages = [_message(each) for each in state]
        return _with_images(messages, images) if images else messages
    text = state if isinstance(state, str) else json.dumps(state, ensure_ascii=False)
    return [_user(text, images)] if images else text


def _is_conversation(state: Any) -> bool:
    """A list of messages with roles that the format has, and contents that it can take."""
    return isinstance(state, list) and len(state) > 0 and all(map(_is_message, state))


def _is_message(given: Any) -> bool:
    match given:
        case {"role": str() as role, "content": str() | list() as content}:
            return role in _ROLES and (isinstance(content, str) or all(map(_is_part, content)))
    return False


def _is_part(given: Any) -> bool:
    match given:
        case (
            {"type": "text" | "input_text" | "output_text", "text": str()}
            | {"type": "image_url", "image_url": {"url": str()}}
            | {"type": "input_image", "image_url": str()}
        ):
            return True
    return False


def _message(given: dict[str, Any]) -> dict[str, Any]:
    role, content = given["role"], given["content"]
    if isinstance(content, list):
        content = [_part(each, role) for each in content]
    return {"role": role, "content": content}


def _part(given: dict[str, Any], role: str) -> dict[str, Any]:
    match given:
        case {"text": str() as text}:
            return {"type": "output_text" if role == "assistant" else "input_text", "text": text}
        case {"image_url": {"url": str() as url}} | {"image_url": str() as url}:
            return {"type": "input_image", "image_url": url}
    raise AssertionError("not a part")


def _with_images(
    messages: list[dict[str, Any]], images: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """The images belong to the last message of the user; a conversation without one gets one."""
    for index in reversed(range(len(messages))):
        message = messages[index]
        if message["role"] == "user":
            return [*messages[:index], _user(message["content"], images), *messages[index + 1 :]]
    return [*messages, _user([], images)]


def _user(content: str | list[Any], images: list[dict[str, str]]) -> dict[str, Any]:
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    return {"role": "user", "content": [*parts, *images]}
