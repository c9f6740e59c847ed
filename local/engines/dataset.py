"""An engine that answers the router's questions from a data set, with a stated share and kind of
mistakes (dataset_table.py). For benchmarks: how the product learns from a model of known accuracy.
The agents' ids are the classes of the data. What is no routing question is answered by the emulated
engine."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from local.catalogue import Model
from local.decisions import Choice, ChoiceAnswer, Decided, DecisionRequest
from local.engines import Completion, CompletionRequest, Part, Usage
from local.engines.dataset_table import DatasetTable, Said
from local.engines.emulated import NONE, EmulatedEngine, offered_ids, question_of, tokens_of
from local.engines.emulated_decisions import none_option, query_of
from local.engines.parts import parts_of
from local.engines.turns import read_turn

NOTICE = "answers of a data set with drawn mistakes, not a language model"


class DatasetEngine:
    name = "dataset"
    models: tuple[Model, ...] = ()

    def __init__(self, table: DatasetTable) -> None:
        self._table = table
        self._other = EmulatedEngine()

    async def complete(self, request: CompletionRequest) -> Completion:
        offered = offered_ids(request)
        if not offered or request.tools:
            return await self._other.complete(request)
        said = self._said(read_turn(question_of(request)).message, offered)
        decision: dict[str, str | float] = {"agent": said.agent or NONE}
        if request.lora is None:  # the router asks adapters for the agent alone
            decision["confidence"] = said.confidence
        text = json.dumps(decision)
        prompt = " ".join(message.content for message in request.messages)
        return Completion(
            text=text,
            usage=Usage(tokens_of(prompt), tokens_of(text)),
            metadata={"engine": self.name, "notice": NOTICE},
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Part, None]:
        async with aclosing(parts_of(await self.complete(request))) as parts:
            async for part in parts:
                yield part

    async def decide(self, request: DecisionRequest) -> Decided:
        """The first choice is the routing question; the others are the emulated engine's."""
        decided = await self._other.decide(request)
        query = read_turn(query_of(request.state)).message
        for key, question in request.questions.items():
            if isinstance(question, Choice):
                answer = ChoiceAnswer(self._probabilities(query, question.options))
                answers = {**decided.answers, key: answer}
                return Decided(
                    answers,
                    decided.input_tokens,
                    metadata={"engine": self.name, "notice": NOTICE},
                )
        return decided

    async def aclose(self) -> None:
        await self._other.aclose()

    def _said(self, query: str, offered: set[str]) -> Said:
        """What is not offered cannot be said."""
        said = self._table.answer(query)
        return said if said.agent is None or said.agent in offered else Said(None, said.confidence)

    def _probabilities(self, query: str, options: Mapping[str, str | None]) -> dict[str, float]:
        """The rest of the confidence is shared by the nearest classes and "none"."""
        none = none_option(options)
        said = self._said(query, set(options))
        best = said.agent or none or next(iter(options))
        others = [each for each in self._table.near(best) if each in options and each != best]
        if none is not None and none != best:
            others.append(none)
        others = others or [each for each in options if each != best]
        shared = (1 - said.confidence) / max(1, len(others))
        found = dict.fromkeys(options, 0.0)
        found |= dict.fromkeys(others, round(shared, 4))
        found[best] = said.confidence
        return found
