"""How the next token is chosen: the likeliest, or by chance with a seed."""

from __future__ import annotations

import torch


class Sampling:
    def __init__(
        self, temperature: float | None, top_p: float | None = None, seed: int | None = None
    ) -> None:
        """Temperature 0 or None is the likeliest token, always."""
        self._temperature = temperature or 0.0
        self._top_p = top_p or 1.0
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def choose(self, logits: torch.Tensor) -> int:
        """`logits`: [vocabulary]."""
        if self._temperature == 0.0:
            return int(logits.argmax())
        likely, tokens = torch.softmax(logits / self._temperature, -1).sort(descending=True)
        if self._top_p < 1.0:
            before = likely.cumsum(-1) - likely
            likely = likely.masked_fill(before >= self._top_p, 0.0)
        return int(tokens[torch.multinomial(likely, 1, generator=self._generator)])
