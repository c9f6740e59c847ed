"""The data of a training: lines that the product has exported, all checked first."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.errors import TrainingError

Message = dict[str, str]
_HOW = "Export it with GET /v1/datasets/export?format=prompt&split=train."
_HELD_OUT_OF = 10  # one line in 10 is held out, unless --eval-data is given
_MAX_SHOWN = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_AGENT = "none"  # the router's word if no agent fits
# How the prompt names an agent: `- ID: NAME. DESCRIPTION`, on a line of its own.
_OFFERED = re.compile(r"^- ([^\s:]+): ", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One line: what the router sends, and the right answer to it. `line` counts from 1."""

    prompt: tuple[tuple[str, str], ...]  # (role, content)
    completion: str
    line: int

    @property
    def question(self) -> str:
        return self.prompt[-1][1]

    @property
    def messages(self) -> list[Message]:
        return [{"role": role, "content": content} for role, content in self.prompt]


@dataclass(frozen=True)
class Data:
    """`rows` is how many lines the file has, `duplicates` how many of them were left out. The
    manifest of an export names its labels by `label_set_hash`; None without one."""

    path: Path
    sha256: str
    rows: int
    duplicates: int
    examples: list[Example] = field(repr=False)
    label_set_hash: str | None = None

    @property
    def answers(self) -> Counter[str]:
        return Counter(example.completion for example in self.examples)


def read_data(path: Path, *, one_answer_will_do: bool = False) -> Data:
    """Raises TrainingError, which names lines."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
    examples: dict[tuple[tuple[str, str], ...], Example] = {}
    faults: list[str] = []
    rows, stated = 0, None
    for number, line in _lines(content, path):
        if number == 1 and isinstance(line, dict) and "manifest" in line:
            stated = line["manifest"]
            _require_unchanged(path, content, stated)
            continue
        rows += 1
        try:
            example = _example(line, number)
        except ValueError as error:
            faults.append(f"line {number}: {error}")
            continue
        other = examples.setdefault(example.prompt, example)
        if other.completion != example.completion:
            faults.append(f"line {number}: the same question has another answer in {other.line}")
    if faults:
        more = f" (and {len(faults) - _MAX_SHOWN} more)" if len(faults) > _MAX_SHOWN else ""
        raise TrainingError(f"{path}: {'; '.join(faults[:_MAX_SHOWN])}{more}. {_HOW}")
    found = list(examples.values())
    data = Data(
        path,
        hashlib.sha256(content).hexdigest(),
        rows,
        rows - len(found),
        found,
        _label_set_hash(stated),
    )
    _require_whole(data, stated, least=1 if one_answer_will_do else 2)
    return data


def _require_unchanged(path: Path, content: bytes, manifest: Any) -> None:
    match manifest:
        case {"rows": int(rows)} if rows != sum(1 for _ in _filled(content)) - 1:
            return  # lines are missing: that is said once they are counted
        case {"sha256": str(stated)}:
            _, _, lines = content.partition(b"\n")
            if hashlib.sha256(lines).hexdigest() != stated.lower():
                raise TrainingError(
                    f"{path}: its lines are not those of its manifest (another sha256). The file"
                    f" was changed, or its line endings were. {_HOW} To train on lines that you"
                    " changed yourself, delete the line of the manifest."
                )


def _require_whole(data: Data, manifest: Any, *, least: int) -> None:
    match manifest:
        case {"rows": int(rows)} if rows != data.rows:
            raise TrainingError(
                f"{data.path}: its manifest says {rows} lines, but there are {data.rows}; it"
                f" was cut off or changed. {_HOW}"
            )
    if not data.examples:
        raise TrainingError(f"{data.path} has no lines to learn from. {_HOW}")
    if len(data.answers) < least:
        raise TrainingError(
            f"{data.path}: every line has the same answer, {data.examples[0].completion}; there is"
            " nothing to distinguish. Label questions of other agents too."
        )


def _label_set_hash(manifest: Any) -> str | None:
    match manifest:
        case {"label_set_hash": str(found)} if _SHA256.fullmatch(found):
            return found
    return None


def split_off(data: Data) -> tuple[list[Example], list[Example]]:
    """The lines to learn from and the held-out lines. A hash of the question decides, so that a
    line stays in its part when others are added."""
    held_out = [each for each in data.examples if _place(each) == 0]
    learned = [each for each in data.examples if _place(each) != 0]
    if not held_out or not learned:
        raise TrainingError(
            f"{data.path} has too few lines to hold some out ({len(data.examples)}); name other"
            " ones with --eval-data, or label more."
        )
    return learned, held_out


def without(examples: Sequence[Example], others: Sequence[Example]) -> list[Example]:
    """The examples whose question is not among the others, whatever the agents were at each export:
    held-out questions are never learned from."""
    known = {_same(example.question) for example in others}
    return [example for example in examples if _same(example.question) not in known]


def _same(question: str) -> str:
    return " ".join(question.casefold().split())


def _place(example: Example) -> int:
    digest = hashlib.sha256(example.question.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") % _HELD_OUT_OF


def _lines(content: bytes, path: Path) -> Iterator[tuple[int, Any]]:
    for number, raw in _filled(content):
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise TrainingError(f"{path}, line {number}: this is not JSON. {_HOW}") from error
        yield number, line


def _filled(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    # Not splitlines(): a line of JSON may hold characters that Unicode counts as line ends.
    for number, raw in enumerate(content.split(b"\n"), 1):
        if raw.strip():
            yield number, raw


def _example(line: Any, number: int) -> Example:
    """Raises ValueError for a line that is none of an export for trainers."""
    match line:
        case {"messages": [*prompt, answer]}:
            pass
        case {"prompt": [*prompt], "completion": [answer]}:
            pass
        case {"query": _}:
            raise ValueError("this is the format flat, which has no prompt")
        case _:
            raise ValueError("it has neither `messages` nor `prompt` and `completion`")
    turns = [_turn(message) for message in prompt]
    role, completion = _turn(answer)
    if role != "assistant" or not turns or turns[-1][0] != "user":
        raise ValueError("it must end with a message of the user and the assistant's answer")
    if not completion.strip():
        raise ValueError("the answer is empty")
    answer = _answer(completion)
    if "confidence" in answer:
        raise ValueError(
            "the answer states a confidence, which is the same in every line: the adapter would"
            " state that number for every question"
        )
    agent, offered = answer.get("agent"), _offered(turns[:-1])
    if offered and isinstance(agent, str) and agent not in offered:
        raise ValueError(f"the answer names the agent {agent!r}, which the prompt does not offer")
    return Example(tuple(turns), completion, number)


def _answer(completion: str) -> dict[str, Any]:
    """Empty where the answer is not one of the router's."""
    try:
        answer = json.loads(completion)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _offered(turns: Sequence[tuple[str, str]]) -> set[str]:
    """What the prompt lets the model answer; empty where no message but the question is there."""
    if not turns:
        return set()
    listed = (_OFFERED.findall(content) for _, content in turns)
    return {_NO_AGENT, *(name for names in listed for name in names)}


def _turn(message: Any) -> tuple[str, str]:
    match message:
        case {"role": "system" | "user" | "assistant" as role, "content": str() as content}:
            return role, content
    raise ValueError("a message needs `role` and `content`")
