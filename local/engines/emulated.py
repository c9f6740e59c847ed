"""The default engine: deterministic, not a language model, as every answer says.

It answers the router's prompt with a matcher over the agents described there, which compares
vectors (semantic.py) or words (lexical.py); a message that matches none of them stays with the
agent of the turn before it. It may call one of the offered tools. Anything else gets one short
fixed reply. As a decision model it answers with the same matcher (emulated_decisions.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from local.catalogue import Model
from local.decisions import Choice, Decided, DecisionRequest, Question, Score, YesNo, text_of
from local.engines import Completion, CompletionRequest, Part, Usage
from local.engines.emulated_decisions import decide
from local.engines.lexical import LexicalMatcher
from local.engines.matching import STAYS, AgentText, Match, Matcher
from local.engines.parts import parts_of
from local.engines.tool_calling import call_for
from local.engines.turns import read_turn

NONE = "none"

_BLOCK = re.compile(r"^- (?P<id>[^\s:]+): (?P<text>.*)$")
_EXAMPLES = re.compile(r"^\s*e\.g\.\s")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TEMPLATE_MARK = re.compile(r"\[/?INST\]|<[^<>\s]+>|^\s*(?:user|query)\s*:", re.I | re.M)
_CHARACTERS_PER_TOKEN = 4


class EmulatedEngine:
    models: tuple[Model, ...] = ()

    def __init__(self, matcher: Matcher | None = None) -> None:
        self._matcher = matcher or LexicalMatcher()

    @property
    def name(self) -> str:
        return self._matcher.name

    def prepare(self, agents: Sequence[AgentText]) -> None:
        """For agents that the first question will probably be about."""
        self._matcher.prepare(agents)

    async def complete(self, request: CompletionRequest) -> Completion:
        prompt = " ".join(message.content for message in request.messages)
        metadata = {"engine": self.name, "notice": self._matcher.notice}
        call = call_for(request, _last_user_text(request))
        if call is not None:
            usage = Usage(tokens_of(prompt), tokens_of(call.arguments))
            return Completion("", usage, metadata, "tool_calls", (call,))
        text = await self._matcher.run(lambda: _reply(request, self._matcher))
        cut = text[: request.max_tokens * _CHARACTERS_PER_TOKEN]
        return Completion(
            text=cut,
            usage=Usage(tokens_of(prompt), tokens_of(cut)),
            metadata=metadata,
            finish_reason="stop" if cut == text else "length",
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Part, None]:
        async with aclosing(parts_of(await self.complete(request))) as parts:
            async for part in parts:
                yield part

    async def decide(self, request: DecisionRequest) -> Decided:
        read = " ".join([text_of(request.state), *map(_question_text, request.questions.values())])
        return Decided(
            await self._matcher.run(lambda: decide(request, self._matcher)),
            input_tokens=min(tokens_of(read), request.model.context_window),
            metadata={"engine": self.name, "notice": self._matcher.notice},
        )

    async def aclose(self) -> None:
        return None


def read_agents(text: str) -> list[AgentText]:
    """The agents described in a router's prompt, one block each."""
    return [_agent(block) for block in _blocks(text)]


def offered_ids(request: CompletionRequest) -> set[str]:
    """The agents that a routing question offers; empty for any other request."""
    allowed = _allowed_ids(request.json_mode.schema if request.json_mode else None)
    agents = {agent.id for agent in read_agents(_split(request)[0])}
    return (agents & set(allowed) if agents and allowed else agents or set(allowed)) - {NONE}


def question_of(request: CompletionRequest) -> str:
    """The query of a routing question."""
    return _split(request)[1]


def _blocks(text: str) -> list[list[str]]:
    blocks: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        if _BLOCK.match(line):
            blocks.append([line])
            inside = True
        elif not line.strip() or line.startswith("- "):
            inside = False
        elif inside:
            blocks[-1].append(line)
    return blocks


def _agent(block: Sequence[str]) -> AgentText:
    head = _BLOCK.match(block[0])
    assert head is not None, "a block opens with its id"
    examples = [
        example for line in block if _EXAMPLES.match(line) for example in _QUOTED.findall(line)
    ]
    described = [head["text"], *(line.strip() for line in block[1:] if not _EXAMPLES.match(line))]
    return AgentText(head["id"], " ".join(described), examples)


def _reply(request: CompletionRequest, matcher: Matcher) -> str:
    instructions, query = _split(request)
    allowed = _allowed_ids(request.json_mode.schema if request.json_mode else None)
    agents = read_agents(instructions)
    if allowed and not agents:
        agents = [AgentText(name, "") for name in allowed if name != NONE]
    if agents:
        decision = _decision(query, agents, allowed, matcher)
        if request.lora is not None:  # the router asks adapters for the agent alone
            del decision["confidence"]
        return json.dumps(decision)
    words = f"This is EdgeNeuro's emulator, not a language model. It read: {query[:200]}"
    last = request.messages[-1]
    if last.role == "tool":
        words += f" The tool answered: {last.content[:200]}"
    return json.dumps({"reply": words}, ensure_ascii=False) if request.json_mode else words


def _split(request: CompletionRequest) -> tuple[str, str]:
    """Instructions and query. One message can hold both: the query is then its last paragraph."""
    system = "\n".join(m.content for m in request.messages if m.role == "system")
    query = _last_user_text(request)
    if not read_agents(system) and read_agents(query):
        paragraphs = [part for part in query.split("\n\n") if _TEMPLATE_MARK.sub("", part).strip()]
        return query, _TEMPLATE_MARK.sub(" ", paragraphs[-1]).strip()
    return system, query


def _last_user_text(request: CompletionRequest) -> str:
    users = [message.content for message in request.messages if message.role == "user"]
    return users[-1] if users else ""


def _allowed_ids(schema: Mapping[str, Any] | None) -> list[str]:
    agent = (schema or {}).get("properties", {}).get("agent", {})
    ids = agent.get("enum", []) if isinstance(agent, dict) else []
    return [name for name in ids if isinstance(name, str)]


def _decision(
    query: str, agents: Sequence[AgentText], allowed: Sequence[str], matcher: Matcher
) -> dict[str, str | float]:
    offered = [agent for agent in agents if not allowed or agent.id in allowed]
    turn = read_turn(query)
    ranking = matcher.rank(turn.message, offered)
    found = ranking.match
    if turn.agent in {agent.id for agent in offered} and ranking.stays_with(turn.agent):
        found = Match(turn.agent, STAYS)  # it says nothing new, so it continues the turn before it
    if found.agent is not None:
        return {"agent": found.agent, "confidence": found.confidence}
    if allowed and NONE not in allowed:
        return {"agent": allowed[0], "confidence": 0.05}
    return {"agent": NONE, "confidence": found.confidence}


def _question_text(question: Question) -> str:
    match question:
        case Choice(instructions, options):
            return " ".join(
                [instructions, *(f"{key} {text or ''}" for key, text in options.items())]
            )
        case Score(instructions, levels):
            return " ".join([instructions, *(level.text for level in levels)])
        case YesNo(instructions, yes, no):
            return " ".join([instructions, yes or "", no or ""])


def tokens_of(text: str) -> int:
    """About four tokens to three words, at least one."""
    return max(1, round(len(text.split()) * 4 / 3))
