"""How likely a model is to answer with each of several texts: a decision by a text model.

The prompt is computed once; all options continue its keys and values, in batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from local.engines.transformers_engine.prefixes import Prefix, batch_cache

MAX_ROWS = 16
MAX_TOKENS = 16_384  # in all rows of a batch, prompt included, which bounds the memory


def log_likelihoods(
    model: Any,
    prompt: Sequence[int],
    known: Prefix,
    options: Sequence[Sequence[int]],
    stop_ids: frozenset[int],
) -> list[float]:
    """The logarithm of the probability that the model continues the prompt by this option and then
    ends, for each of the options, which have at least one token. `known` is of the prompt's first
    tokens, and may be empty."""
    with torch.inference_mode():
        prefix, first = _read(model, prompt, known)
        found = [float(first[tokens[0]]) for tokens in options]
        order = sorted(range(len(options)), key=lambda at: len(options[at]))
        longest = max(len(tokens) for tokens in options)
        rows = max(1, min(MAX_ROWS, MAX_TOKENS // (len(prompt) + longest)))
        for start in range(0, len(order), rows):
            batch = order[start : start + rows]
            more = _continued(model, len(prompt), prefix, [options[at] for at in batch], stop_ids)
            for at, value in zip(batch, more, strict=True):
                found[at] += value
    return found


def probabilities(scores: Sequence[float]) -> list[float]:
    """A softmax, rounded to four decimals."""
    shares = torch.tensor(scores, dtype=torch.float64).softmax(-1)
    return [round(float(share), 4) for share in shares]


def _read(model: Any, prompt: Sequence[int], known: Prefix) -> tuple[Prefix, torch.Tensor]:
    """The keys and values of the whole prompt, and the log-probabilities of what follows it:
    [vocabulary]."""
    shared = known[0][0].shape[-2] if known else 0
    layers = model.config.get_text_config().num_hidden_layers
    cache = batch_cache(known, [shared], len(prompt) - shared, layers)
    answer = model(
        input_ids=torch.tensor([prompt[shared:]]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        position_ids=torch.arange(shared, len(prompt))[None],
        cache=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    prefix = [(layer.keys, layer.values) for layer in cache.layers]
    return prefix, answer.logits[0, -1].float().log_softmax(-1)


def _continued(
    model: Any,
    length: int,
    prefix: Prefix,
    options: Sequence[Sequence[int]],
    stop_ids: frozenset[int],
) -> list[float]:
    """Of each option the sum of the log-probabilities of its tokens but the first, and of the end.
    Rows are padded on the right, where the mask hides the padding and nothing is read."""
    width = max(len(tokens) for tokens in options)
    rows = len(options)
    ids = torch.zeros(rows, width, dtype=torch.long)
    mask = torch.ones(rows, length + width, dtype=torch.long)
    for at, tokens in enumerate(options):
        ids[at, : len(tokens)] = torch.tensor(tokens)
        mask[at, length + len(tokens) :] = 0
    answer = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=torch.arange(length, length + width).expand(rows, width),
        cache=batch_cache(prefix, [length] * rows, width, len(prefix)),
        use_cache=True,
    )
    scores = answer.logits.float().log_softmax(-1)
    ends = scores[:, :, sorted(stop_ids)].logsumexp(-1)
    return [
        sum(float(scores[at, place, token]) for place, token in enumerate(tokens[1:]))
        + float(ends[at, len(tokens) - 1])
        for at, tokens in enumerate(options)
    ]
