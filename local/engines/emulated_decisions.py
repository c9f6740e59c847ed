"""How the emulated engine answers as a decision model: deterministically.

A choice is decided by the engine's matcher (matching.py), the levels of a score and other questions
by the words that the state shares with them.

The same matcher answers the router's prompt, so that an emulated decision model and an emulated
text model choose the same agent. An option such as "none" or "none_of_these" wins if nothing
matches. In a conversation, a message that matches no other agent continues the turn before it, with
the agent of that turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.decisions import (
    Answer,
    Choice,
    ChoiceAnswer,
    DecisionRequest,
    Question,
    Score,
    ScoreAnswer,
    YesNo,
    YesNoAnswer,
)
from local.engines.lexical import LexicalMatcher, stems
from local.engines.matching import STAYS, AgentText, Matcher, Ranking
from local.engines.turns import Turn, read_turn

_NONE = re.compile(r"none(?![a-z])", re.I)
_EXAMPLES = re.compile(r"\b(?:e\.g\.|examples?:|for example:?)", re.I)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SEPARATORS = re.compile(r"[;\n]")
_CLARIFY = re.compile(r"clarif|ambigu|unclear", re.I)
_SEVERAL = re.compile(r"more than one|several|multiple|two or more", re.I)
_FOLLOW_UP = re.compile(r"continues? the previous", re.I)
_JOINTS = re.compile(r"\b(?:and|also|plus)\b", re.I)
# The words of an option must outweigh "none" if any option matches, as in the router's prompt.
_NONE_AT_MOST = 0.9


@dataclass(frozen=True)
class _Asked:
    """What the user said, after which turn, and what of it matches the options of the call's first
    choice."""

    matcher: Matcher
    query: str
    turn: Turn
    agents: tuple[AgentText, ...]
    ranking: Ranking


def decide(request: DecisionRequest, matcher: Matcher) -> dict[str, Answer]:
    turn = read_turn(query_of(request.state))
    query = turn.message
    choices = (each for each in request.questions.values() if isinstance(each, Choice))
    first = next(choices, None)
    agents = () if first is None else tuple(_agents(first.options))
    asked = _Asked(matcher, query, turn, agents, matcher.rank(query, agents))
    return {key: _answer(question, asked) for key, question in request.questions.items()}


def query_of(state: Any) -> str:
    """A text; of a conversation the last user message; of anything else all its texts."""
    if isinstance(state, dict) and isinstance(state.get("messages"), list):
        state = state["messages"]
    if isinstance(state, list):
        users = [each for each in state if isinstance(each, dict) and each.get("role") == "user"]
        if users:
            return " ".join(_texts(users[-1].get("content")))
    return " ".join(_texts(state))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in ("type", "role"):
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _answer(question: Question, asked: _Asked) -> Answer:
    match question:
        case Choice(_, options):
            agent = asked.turn.agent
            if agent is not None and agent in options and asked.ranking.stays_with(agent):
                return ChoiceAnswer(_staying(agent, options))
            return ChoiceAnswer(choice_probabilities(asked.query, options, asked.matcher))
        case Score(_, levels):
            texts = {str(at): level.text for at, level in enumerate(levels)}
            # Words such as "low" and "high" say little to an embedding model.
            shares = choice_probabilities(asked.query, texts, LexicalMatcher())
            return ScoreAnswer(tuple(shares.values()))
        case YesNo():
            return YesNoAnswer(round(_yes(question, asked), 4))


def choice_probabilities(
    query: str, options: Mapping[str, str | None], matcher: Matcher
) -> dict[str, float]:
    """Rounded to four decimals, as decision models do, so that the sum may differ from 1."""
    ranking = matcher.rank(query, list(_agents(options)))
    none = none_option(options)
    left = 1 - ranking.evidence
    shares = {each: share * ranking.evidence for each, share in ranking.shares.items()}
    if none is None:
        shares = {each: share + left / len(options) for each, share in shares.items()}
    elif ranking.best is None:
        shares = {each: share * (1 - ranking.nobody) for each, share in ranking.shares.items()}
        shares[none] = ranking.nobody
    else:
        shares[none] = min(left, _NONE_AT_MOST * shares[ranking.best])
    whole = sum(shares.values())
    return {each: round(shares[each] / whole, 4) for each in options}


def _staying(agent: str, options: Mapping[str, str | None]) -> dict[str, float]:
    rest = round((1 - STAYS) / max(1, len(options) - 1), 4)
    return {each: STAYS if each == agent else rest for each in options}


def none_option(options: Mapping[str, str | None]) -> str | None:
    """The option that says that no other one fits."""
    return next((each for each in options if _NONE.match(each)), None)


def _agents(options: Mapping[str, str | None]) -> Iterator[AgentText]:
    none = none_option(options)
    for key, text in options.items():
        if key != none:
            described, *rest = _EXAMPLES.split(text or "", maxsplit=1)
            yield AgentText(key, described, _examples(rest[0]) if rest else ())


def _examples(text: str) -> list[str]:
    return _QUOTED.findall(text) or [part for part in _SEPARATORS.split(text) if part.strip()]


def _yes(question: YesNo, asked: _Asked) -> float:
    if asked.agents and _CLARIFY.search(question.instructions):
        return _unclear(asked.ranking)
    if asked.agents and _SEVERAL.search(question.instructions):
        return _several(asked)
    if asked.turn.follows and _FOLLOW_UP.search(question.instructions):
        return 0.95 if _continues(asked) else 0.05
    return _shared(question, asked.query)


def _continues(asked: _Asked) -> bool:
    ranking, agent = asked.ranking, asked.turn.agent
    return ranking.best in (None, agent) or (agent is not None and ranking.stays_with(agent))


def _several(asked: _Asked) -> float:
    """Whether two parts of the message, joined by "and" or the like, match different options."""
    parts = _JOINTS.split(asked.query)
    if len(parts) < 2:
        return 0.03
    found = {asked.matcher.rank(part, asked.agents).best for part in parts} - {None}
    return 0.93 if len(found) > 1 else 0.03


def _unclear(ranking: Ranking) -> float:
    """How close the second option comes to the best one."""
    if ranking.best is None:
        return 0.1
    best, *others = sorted(ranking.shares.values(), reverse=True)
    return 0.02 + 0.93 * (others[0] / best if others else 0.0)


def _shared(question: YesNo, query: str) -> float:
    """How many of the question's telling words the state has; what "no" means counts against it."""
    said = set(stems(query))
    yes = _overlap(f"{question.instructions} {question.yes or ''}", said)
    no = _overlap(question.no, said) if question.no else 0.0
    return min(max(0.1 + 0.8 * yes - 0.4 * no, 0.02), 0.98)


def _overlap(text: str, said: set[str]) -> float:
    words = set(stems(text))
    return len(words & said) / len(words) if words else 0.0
