"""The training itself: TRL's trainer over packed batches, with its own evaluation on held-out
lines."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from trl import SFTTrainer

from trainer.encoding import Encoded
from trainer.packing import common_length


class DecidingTokens(NamedTuple):
    """The tokens of an answer that name the agent: all but the first `before` and the last
    `after`."""

    before: int
    after: int


def deciding_tokens(examples: Sequence[Encoded]) -> DecidingTokens:
    """The tokens in which the answers differ, and the one after them, since one id may begin with
    another."""
    answers = sorted({tuple(each.ids[each.start :]) for each in examples})
    if len(answers) < 2:
        return DecidingTokens(0, 0)
    before = common_length(answers)
    most = min(len(answer) for answer in answers) - before
    after = min(common_length([answer[::-1] for answer in answers]), most)
    return DecidingTokens(before, max(after - 1, 0))


def dataset_of(examples: Sequence[Encoded]) -> Dataset:
    return Dataset.from_list([{"ids": each.ids, "start": each.start} for each in examples])


class Machine(SFTTrainer):  # type: ignore[misc]  # untyped
    """The loss is the mean over the completions' tokens; the prompt is given, not learned.
    `evaluate` measures the held-out lines (see `look`)."""

    control: Any

    def __init__(self, *, deciding: DecidingTokens, **given: Any) -> None:
        super().__init__(**given)
        self._deciding = deciding

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        logits, labels, _ = _answered(model, inputs)
        loss = cross_entropy(logits, labels)
        return (loss, None) if return_outputs else loss

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        batches = self.get_eval_dataloader(eval_dataset)
        found = look(self.model, batches, self._prepare_inputs, self._deciding)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def look(model: Any, batches: Any, prepare: Any, deciding: DecidingTokens) -> dict[str, float]:
    """Of all batches: `loss` a token; `accuracy`, the share of lines where the model, once it
    writes the answer's form, names the right agent; `exact`, the share where greedy decoding writes
    the whole answer as it is, its form too. A token is right if it is the likeliest
    after the right ones before it."""
    training = model.training
    model.eval()
    losses, tokens, right, exact, lines = 0.0, 0, 0, 0, 0
    with torch.no_grad():
        for batch in batches:
            logits, labels, owners = _answered(model, prepare(batch))
            losses += float(cross_entropy(logits, labels, reduction="sum"))
            tokens += len(labels)
            wrong = logits.argmax(-1) != labels
            count = int(owners.max()) + 1
            lines += count
            exact += count - len(owners[wrong].unique())
            right += count - len(owners[wrong & _decides(owners, deciding)].unique())
    model.train(training)
    return {"loss": losses / tokens, "accuracy": right / lines, "exact": exact / lines}


def _decides(owners: torch.Tensor, deciding: DecidingTokens) -> torch.Tensor:
    sizes = torch.bincount(owners)
    firsts = torch.cumsum(sizes, 0) - sizes
    place = torch.arange(len(owners), device=owners.device) - firsts[owners]
    return (place >= deciding.before) & (place < sizes[owners] - deciding.after)


def _answered(
    model: Any, inputs: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The logits of the completions' tokens alone: the vocabulary is the largest part of a small
    model's work."""
    given = dict(inputs)
    labels, owners = given.pop("labels"), given.pop("owners")
    logits = model(**given, use_cache=False).logits[0].float()
    return logits, labels, owners
