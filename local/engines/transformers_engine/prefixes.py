"""What prompts begin with alike, computed once: the keys and values of its tokens in each layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

KEPT = 8
WORTH_IT = 16  # tokens; below, a batch is computed whole

# Keys and values of each layer, shaped [1, heads, tokens, head size].
Prefix = list[tuple[torch.Tensor, torch.Tensor]]


class Prefixes:
    def __init__(self, model: Any, *, kept: int = KEPT) -> None:
        self._model = model
        self._kept = kept
        self._known: OrderedDict[Hashable, Prefix] = OrderedDict()

    def get(self, key: Hashable, tokens: tuple[int, ...]) -> Prefix:
        """`key` says what else the values hang on: the adapter that is applied."""
        whole = (key, tokens)
        if whole not in self._known:
            self._known[whole] = self._computed(tokens)
        self._known.move_to_end(whole)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
        return self._known[whole]

    def _computed(self, tokens: tuple[int, ...]) -> Prefix:
        # Not of the model's own kind, which drops what its sliding windows have left behind.
        cache = DynamicCache()
        with torch.inference_mode():
            self._model(torch.tensor([tokens]), cache=cache, logits_to_keep=1)
        return [(layer.keys, layer.values) for layer in cache.layers]


def batch_cache(prefix: Prefix, taken: list[int], room: int, layers: int) -> DynamicCache:
    """For each row its first `taken` tokens of the prefix, at the right end of the longest, and
    `room` for as many more."""
    cache = DynamicCache()
    if max(taken) == 0:
        cache.layers = [_Layer(room) for _ in range(layers)]
    else:
        cache.layers = [_Layer(room, pair, taken) for pair in prefix]
    return cache


class _Layer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed here
    """Grows in place: concatenating tensors for every token would copy all of them."""

    def __init__(
        self,
        room: int,
        prefix: tuple[torch.Tensor, torch.Tensor] | None = None,
        taken: list[int] | None = None,
    ) -> None:
        super().__init__()
        self._room = room
        self._length = 0
        self._buffers: list[torch.Tensor] = []
        if prefix is not None and taken is not None:
            self._length = max(taken)
            self._make(prefix, len(taken))
            for buffer, values in zip(self._buffers, prefix, strict=True):
                for row, count in enumerate(taken):
                    buffer[row, :, self._length - count : self._length] = values[0, :, :count]
            self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        new = (key_states, value_states)
        if not self._buffers:
            self._make(new, key_states.shape[0])
        end = self._length + key_states.shape[-2]
        for buffer, values in zip(self._buffers, new, strict=True):
            buffer[:, :, self._length : end] = values
        self._length = end
        self._show()
        return self.keys, self.values

    def _make(self, like: tuple[torch.Tensor, torch.Tensor], rows: int) -> None:
        for values in like:
            _, heads, _, size = values.shape
            self._buffers.append(values.new_zeros(rows, heads, self._length + self._room, size))
        self.dtype, self.device = like[0].dtype, like[0].device
        self.is_initialized = True

    def _show(self) -> None:
        self.keys, self.values = (buffer[:, :, : self._length] for buffer in self._buffers)
