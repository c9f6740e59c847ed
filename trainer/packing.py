"""Batches: all lines of one in a single row.

Every line of an export begins with the same words, the router's prompt, many times as long as what
follows. So a row has that beginning once, then the rest of each line; a rest sees the beginning and
itself alone, and its positions go on where the beginning ends. What comes out, loss and gradients,
is that of the lines apart, for a fraction of the work."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from trainer.encoding import Encoded
from trainer.errors import TrainingError

# A kind of attention -> how many positions back it looks, its own counted; None: to the beginning.
Windows = Mapping[str, int | None]
FULL, SLIDING = "full_attention", "sliding_attention"


class Packer:
    """Makes a batch for a model. `dtype` is that of its activations; it takes a mask for each kind
    of attention in `windows`, or one for all where there is one kind."""

    def __init__(self, dtype: torch.dtype, windows: Windows | None = None) -> None:
        self._dtype = dtype
        self._windows = windows or {FULL: None}

    def __call__(self, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The arguments of the model's forward pass, and `labels`: the tokens that stand at the
        positions in `logits_to_keep`; `owners` is the line of each."""
        examples = [Encoded(line["ids"], line["start"]) for line in lines]
        shared = shared_length(examples)
        rests = [len(each.ids) - shared for each in examples]
        ids = examples[0].ids[:shared] + [token for each in examples for token in each.ids[shared:]]
        rest_positions = [torch.arange(shared, shared + rest) for rest in rests]
        positions = torch.cat([torch.arange(shared), *rest_positions])
        keep: list[Any] = []
        labels: list[Any] = []
        owners: list[Any] = []
        at = shared
        for number, (each, rest) in enumerate(zip(examples, rests, strict=True)):
            first = at + each.start - shared  # of the completion
            keep += range(first - 1, at + rest - 1)
            labels += each.ids[each.start :]
            owners += [number] * (len(each.ids) - each.start)
            at += rest
        masks = self._masks(shared, rests, positions)
        return {
            "input_ids": torch.tensor([ids]),
            "position_ids": positions[None],
            "attention_mask": masks if len(masks) > 1 else next(iter(masks.values())),
            "logits_to_keep": torch.tensor(keep),
            "labels": torch.tensor(labels),
            "owners": torch.tensor(owners),
        }

    def _masks(
        self, shared: int, rests: Sequence[int], positions: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Added to the attention scores: nothing where a token may look, very little elsewhere."""
        owners = torch.repeat_interleave(
            torch.arange(len(rests) + 1), torch.tensor([shared, *rests])
        )
        seen = (owners[:, None] == owners[None, :]) | (owners[None, :] == 0)
        size = len(owners)
        seen &= torch.ones(size, size, dtype=torch.bool).tril()
        back = positions[:, None] - positions[None, :]
        masks = {}
        for kind, window in self._windows.items():
            looked_at = seen if window is None else seen & (back < window)
            mask = torch.zeros(1, 1, size, size, dtype=self._dtype)
            masks[kind] = mask.masked_fill_(~looked_at, torch.finfo(self._dtype).min)
        return masks


def shared_length(examples: Sequence[Encoded]) -> int:
    """How many tokens all prompts begin with. Each keeps one of its own, which predicts the first
    token of its completion."""
    return common_length([each.ids[: each.start - 1] for each in examples])


def common_length(texts: Sequence[Sequence[int]]) -> int:
    """How many tokens all of them begin with."""
    for at, tokens in enumerate(zip(*texts, strict=False)):
        if len(set(tokens)) > 1:
            return at
    return min(len(text) for text in texts)


def attention_windows(config: Any) -> dict[str, int | None]:
    """Of a model's configuration. Raises TrainingError for kinds of layers that do not go by a
    mask, and would mix the lines of a row."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = set(getattr(text, "layer_types", None) or {SLIDING if window else FULL})
    unknown = sorted(kinds - {FULL, SLIDING})
    if unknown:
        raise TrainingError(
            f"The base model has layers of the kind {unknown[0]}, which cannot be trained here;"
            " choose one whose layers are all attention."
        )
    return {kind: window if kind == SLIDING else None for kind in sorted(kinds)}
