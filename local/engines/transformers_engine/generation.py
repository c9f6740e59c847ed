"""Several prompts continued at a time, token by token.

A batch is a rectangle: each row gives its last tokens, as many as the longest has behind the shared
prefix, and takes the rest from the prefix. So no row has a gap, and each says what it would alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from local.engines import FinishReason, Token
from local.engines.transformers_engine.prefixes import Prefix, batch_cache
from local.engines.transformers_engine.sampling import Sampling

_UNFINISHED = "\ufffd"  # half of a character that takes several tokens


@dataclass
class Row:
    """One prompt and what comes of it. `said` hears each piece of text, if anybody listens; `ended`
    is called when the row is finished, before the rest of its batch may be."""

    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    ended: Callable[[], object]
    said: Callable[[str], object] | None = None
    stops_at_json: bool = False
    cancelled: bool = False  # the one field that another thread sets
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] | None = None  # a list where they are wanted, one for each token
    text: str = ""
    finish_reason: FinishReason | None = None
    _told: int = 0

    def take(self, token: int, tokenizer: Any, stop_ids: frozenset[int]) -> None:
        if token in stop_ids:
            return self._end("stop", tokenizer)
        self.tokens.append(token)
        if self.stops_at_json or self.said is not None:
            self.text = tokenizer.decode(self.tokens, skip_special_tokens=True)
        end = end_of_object(self.text) if self.stops_at_json else None
        if end is not None:
            self.text = self.text[:end]
            return self._end("stop", tokenizer)
        if len(self.tokens) >= self.max_tokens or self.cancelled:
            return self._end("length", tokenizer)
        if not self.text.endswith(_UNFINISHED):
            self._tell()

    def weighed(self, tokenizer: Any) -> tuple[Token, ...]:
        """The tokens as text. A token's text is what it adds to that of those before it: of some
        tokenizers it alone would lose its blank."""
        found: list[Token] = []
        before = ""
        for place, logprob in enumerate(self.logprobs or (), 1):
            whole = tokenizer.decode(self.tokens[:place], skip_special_tokens=True)
            found.append(Token(whole[len(before) :], logprob))
            before = whole
        return tuple(found)

    def _end(self, reason: FinishReason, tokenizer: Any) -> None:
        if not self.text:
            self.text = tokenizer.decode(self.tokens, skip_special_tokens=True)
        self._tell()
        self.finish_reason = reason
        self.ended()

    def _tell(self) -> None:
        if self.said is not None and len(self.text) > self._told:
            self.said(self.text[self._told :])
            self._told = len(self.text)


def continue_rows(
    model: Any, tokenizer: Any, stop_ids: frozenset[int], rows: Sequence[Row], prefix: Prefix
) -> None:
    """`prefix` is of the first tokens that all the prompts have in common; it may be empty."""
    with torch.inference_mode():
        batch = _Batch(model, rows, prefix)
        while True:
            logits = batch.logits()
            for row, scores in zip(rows, logits, strict=True):
                if row.finish_reason is None:
                    token = row.sampling.choose(scores)
                    if row.logprobs is not None and token not in stop_ids:
                        row.logprobs.append(float(scores.log_softmax(-1)[token]))
                    row.take(token, tokenizer, stop_ids)
            if all(row.finish_reason is not None for row in rows):
                return
            batch.extend([row.tokens[-1] if row.tokens else 0 for row in rows])


class _Batch:
    """Shapes: ids and positions [rows, new tokens], mask [rows, all tokens]."""

    def __init__(self, model: Any, rows: Sequence[Row], prefix: Prefix) -> None:
        self._model = model
        shared = prefix[0][0].shape[-2] if prefix else 0
        width = max(len(row.prompt) for row in rows) - shared
        taken = [max(0, len(row.prompt) - width) for row in rows]
        room = width + max(row.max_tokens for row in rows)
        layers = model.config.get_text_config().num_hidden_layers
        self._cache = batch_cache(prefix, taken, room, layers)
        self._mask = torch.zeros(len(rows), max(taken) + width, dtype=torch.long)
        self._ids = torch.zeros(len(rows), width, dtype=torch.long)
        for at, row in enumerate(rows):
            self._mask[at, -len(row.prompt) :] = 1
            last = row.prompt[taken[at] :]
            self._ids[at, -len(last) :] = torch.tensor(last)
        self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -width:]

    def logits(self) -> torch.Tensor:
        """Of the next token: [rows, vocabulary]."""
        answer = self._model(
            input_ids=self._ids,
            attention_mask=self._mask,
            position_ids=self._positions,
            cache=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = answer.logits[:, -1].float()
        return logits

    def extend(self, tokens: list[int]) -> None:
        self._ids = torch.tensor(tokens)[:, None]
        self._positions = self._positions[:, -1:] + 1
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)


def end_of_object(text: str) -> int | None:
    """The index after the first complete object; None if there is none yet."""
    start = text.find("{")
    if start < 0 or "}" not in text:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return end
