"""The engine: requests wait in line, and those that fit together are answered in one batch, in a
thread of its own."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from local.decisions import Answer, Decided, DecisionRequest
from local.engines import Adapter, Completion, CompletionRequest, Part, Usage
from local.engines.transformers_engine.adapters import Shelf
from local.engines.transformers_engine.base import Base
from local.engines.transformers_engine.conversation import require_room
from local.engines.transformers_engine.generation import Row, continue_rows
from local.engines.transformers_engine.likelihood import log_likelihoods, probabilities
from local.engines.transformers_engine.prefixes import WORTH_IT, Prefixes
from local.engines.transformers_engine.questions import NO_STATE, Prompt, answer_of, build_prompt
from local.engines.transformers_engine.sampling import Sampling
from local.errors import AiError

MAX_ROWS = 16
MAX_TOKENS = 16_384  # in all rows of a batch, which bounds the memory that it takes
KEPT_PRIORS = 64
_NOT_APPLIED = "not applied: it has no files"


@dataclass
class Job:
    """`pieces` ends with None; `done` is set when the answer is whole, or fails."""

    adapter: Adapter | None
    shared: tuple[int, ...]
    row: Row
    done: asyncio.Future[None]
    pieces: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)

    @property
    def key(self) -> tuple[Adapter | None, tuple[int, ...]]:
        return self.adapter, self.shared

    @property
    def tokens(self) -> int:
        return len(self.row.prompt) + self.row.max_tokens

    @property
    def usage(self) -> Usage:
        return Usage(len(self.row.prompt), len(self.row.tokens))

    def end(self, error: AiError | None = None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
        self.pieces.put_nowait(None)


class TransformersEngine:
    name = "transformers"

    def __init__(self, base: Base) -> None:
        self.base = base
        self.models = (base.entry,)
        self._shelf = Shelf(base.model)
        self._prefixes = Prefixes(base.model)
        self._priors: OrderedDict[Hashable, list[float]] = OrderedDict()
        self._waiting: list[Job] = []
        self._thread = ThreadPoolExecutor(1, "transformers")
        self._worker: asyncio.Task[None] | None = None

    async def complete(self, request: CompletionRequest) -> Completion:
        job = self._enqueue(request, streams=False)
        try:
            await job.done
        finally:
            self._leave(job)
        metadata = {"engine": self.name, "model": self.base.entry.id}
        if job.adapter is not None:
            metadata["lora"] = _NOT_APPLIED if job.adapter.folder is None else job.adapter.name
        return Completion(
            job.row.text,
            job.usage,
            metadata,
            job.row.finish_reason or "stop",
            tokens=job.row.weighed(self.base.conversation.tokenizer),
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Part, None]:
        job = self._enqueue(request, streams=True)
        try:
            while (piece := await job.pieces.get()) is not None:
                yield Part(piece)
            await job.done
            yield Part(finish_reason=job.row.finish_reason, usage=job.usage)
        finally:
            self._leave(job)

    async def decide(self, request: DecisionRequest) -> Decided:
        """One prompt for each question; the thread answers them one after another."""
        loop = asyncio.get_running_loop()
        answers: dict[str, Answer] = {}
        tokens = 0
        for key, question in request.questions.items():
            prompt = build_prompt(self.base, question, request.state)
            neutral = build_prompt(self.base, question, NO_STATE)
            tokens += len(prompt.tokens)
            scores = await loop.run_in_executor(self._thread, self._scores, prompt, neutral)
            answers[key] = answer_of(question, probabilities(scores))
        metadata = {"engine": self.name, "model": self.base.entry.id}
        return Decided(answers, tokens, metadata=metadata)

    def _scores(self, prompt: Prompt, neutral: Prompt) -> list[float]:
        """In the thread. How much likelier each option is than with a state that says nothing: a
        model prefers some words, such as "none", whatever it is asked."""
        key = (tuple(neutral.tokens), tuple(map(tuple, neutral.options)))
        if key not in self._priors:
            self._priors[key] = self._likelihoods(neutral)
        self._priors.move_to_end(key)
        while len(self._priors) > KEPT_PRIORS:
            self._priors.popitem(last=False)
        scores = zip(self._likelihoods(prompt), self._priors[key], strict=True)
        return [score - prior for score, prior in scores]

    def _likelihoods(self, prompt: Prompt) -> list[float]:
        with self._shelf.applied(None):
            known = self._prefixes.get(None, prompt.shared) if prompt.shared else []
            base = self.base
            return log_likelihoods(base.model, prompt.tokens, known, prompt.options, base.stop_ids)

    async def aclose(self) -> None:
        for job in self._waiting:
            job.end(AiError(3008))
        self._waiting.clear()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown(wait=False)

    def _enqueue(self, request: CompletionRequest, *, streams: bool) -> Job:
        conversation, window = self.base.conversation, self.base.entry.context_window
        prompt = conversation.tokens(request.messages)
        require_room(prompt, window)
        # The last token is always computed: what comes after it hangs on its values.
        shared = min(conversation.shared(request.messages, prompt), len(prompt) - 1)
        loop = asyncio.get_running_loop()
        row = Row(
            prompt=prompt,
            max_tokens=min(request.max_tokens, window - len(prompt)),
            sampling=Sampling(request.temperature, request.top_p, request.seed),
            ended=lambda: loop.call_soon_threadsafe(job.end),
            stops_at_json=request.json_mode is not None,
            logprobs=[] if request.logprobs else None,
        )
        head = tuple(prompt[:shared]) if shared >= WORTH_IT else ()
        job = Job(request.lora, head, row, loop.create_future())
        if streams:
            row.said = lambda piece: loop.call_soon_threadsafe(job.pieces.put_nowait, piece)
        self._waiting.append(job)
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return job

    def _leave(self, job: Job) -> None:
        """Nobody waits for it any more."""
        job.row.cancelled = True
        if job in self._waiting:
            self._waiting.remove(job)
        if job.done.done() and not job.done.cancelled():
            job.done.exception()  # so that nobody misses it

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            jobs = next_batch(self._waiting)
            self._waiting = [job for job in self._waiting if job not in jobs]
            error: AiError | None = None
            try:
                await loop.run_in_executor(self._thread, self._run, jobs)
            except AiError as failure:
                error = failure
            except Exception as failure:  # no memory, say; whatever it is, nobody waits for ever
                first = str(failure).strip().partition("\n")[0] or repr(failure)
                error = AiError(3043, f"Internal server error: {first}")
            except asyncio.CancelledError:
                for job in jobs:
                    job.row.cancelled = True
                    job.end(AiError(3008))
                raise
            for job in jobs:
                job.end(error)

    def _run(self, jobs: Sequence[Job]) -> None:
        """In the thread."""
        base, first = self.base, jobs[0]
        with self._shelf.applied(first.adapter):
            known = self._prefixes.get(first.adapter, first.shared) if first.shared else []
            rows = [job.row for job in jobs]
            continue_rows(base.model, base.conversation.tokenizer, base.stop_ids, rows, known)


def next_batch(waiting: Sequence[Job]) -> list[Job]:
    """The first in line and those that share its adapter and the beginning of its prompt."""
    first = waiting[0]
    jobs, longest = [first], first.tokens
    for job in waiting[1:]:
        longest = max(longest, job.tokens)
        if len(jobs) == MAX_ROWS or longest * (len(jobs) + 1) > MAX_TOKENS:
            break
        if job.key == first.key:
            jobs.append(job)
    return jobs
