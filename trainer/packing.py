"""Batches: all lines of one in a single row.

Every line of an export begins with the same words, the router's prompt, many times as long as what
follows. So a row has that beginning once, then the rest of each line; a rest sees the beginning and
itself alone, and its positions go on where the beginning ends. What comes out, loss and gradients,
is that of the lines apart, for a fraction of the work."""

from collections.abc import Sequence
from typing import Any

import torch

from trainer.encoding import Encoded


class Packer:
    """Makes a batch for a model. `dtype` is that of its activations; `masks` names the kinds of
    attention that it wants a mask each for, none where it takes one for all."""

    def __init__(self, dtype: torch.dtype, masks: Sequence[str] = ()) -> None:
        self._dtype = dtype
        self._masks = masks

    def __call__(self, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The arguments of the model's forward pass, and `labels`: the tokens that stand at the
        positions in `logits_to_keep`; `owners` tells whose line each is."""
        examples = [Encoded(line["ids"], line["start"]) for line in lines]
        shared = shared_length(examples)
        rests = [len(each.ids) - shared for each in examples]
        ids = examples[0].ids[:shared] + [token for each in examples for token in each.ids[shared:]]
        rest_positions = [torch.arange(shared, shared + rest) for rest in rests]
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
        mask = self._mask(shared, rests)
        return {
            "input_ids": torch.tensor([ids]),
            "position_ids": torch.cat([torch.arange(shared), *rest_positions])[None],
            "attention_mask": dict.fromkeys(self._masks, mask) or mask,
            "logits_to_keep": torch.tensor(keep),
            "labels": torch.tensor(labels),
            "owners": torch.tensor(owners),
        }

    def _mask(self, shared: int, rests: Sequence[int]) -> torch.Tensor:
        """Added to the attention scores: nothing where a token may look, very little elsewhere."""
        owners = torch.repeat_interleave(
            torch.arange(len(rests) + 1), torch.tensor([shared, *rests])
        )
        seen = (owners[:, None] == owners[None, :]) | (owners[None, :] == 0)
        size = len(owners)
        seen &= torch.ones(size, size, dtype=torch.bool).tril()
        mask = torch.zeros(1, 1, size, size, dtype=self._dtype)
        return mask.masked_fill_(~seen, torch.finfo(self._dtype).min)


def shared_length(examples: Sequence[Encoded]) -> int:
    """How many tokens all prompts begin with. Each keeps one of its own, from which the first token
    of its completion is told."""
    first = examples[0].ids
    most = min(each.start for each in examples) - 1
    for at in range(most):
        if any(each.ids[at] != first[at] for each in examples):
            return at
    return most


def mask_kinds(config: Any) -> list[str]:
    """The kinds of attention of a model whose layers differ; none where they are all alike."""
    kinds = set(getattr(config, "layer_types", None) or ())
    return sorted(kinds) if "sliding_attention" in kinds else []
