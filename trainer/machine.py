"""The training itself: TRL's trainer over packed batches, with its own look at what is held out."""

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from trl import SFTTrainer

from trainer.encoding import Encoded
from trainer.packing import Packer


def dataset_of(examples: Sequence[Encoded]) -> Dataset:
    return Dataset.from_list([{"ids": each.ids, "start": each.start} for each in examples])


class Machine(SFTTrainer):  # type: ignore[misc]  # untyped
    """The loss is the mean over the completions' tokens; the prompt is given, not learned.
    `evaluate` looks at what is held out: `eval_loss`, and `eval_accuracy`, the share of lines whose
    every token comes out right. That is what greedy decoding gives: it errs where one token of the
    right answer is not the likeliest."""

    control: Any

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
        found = look(self.model, self.get_eval_dataloader(eval_dataset), self._prepare_inputs)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def look(model: Any, batches: Any, prepare: Any) -> dict[str, float]:
    """`loss` a token and `accuracy` a line, of all batches."""
    training = model.training
    model.eval()
    losses, tokens, right, lines = 0.0, 0, 0, 0
    with torch.no_grad():
        for batch in batches:
            logits, labels, owners = _answered(model, prepare(batch))
            losses += float(cross_entropy(logits, labels, reduction="sum"))
            tokens += len(labels)
            wrong = owners[logits.argmax(-1) != labels].unique()
            count = int(owners.max()) + 1
            lines += count
            right += count - len(wrong)
    model.train(training)
    return {"loss": losses / tokens, "accuracy": right / lines}


def _answered(
    model: Any, inputs: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The logits of the completions' tokens alone: the vocabulary is the largest part of a small
    model's work."""
    given = dict(inputs)
    labels, owners = given.pop("labels"), given.pop("owners")
    logits = model(**given, use_cache=False).logits[0].float()
    return logits, labels, owners


__all__ = ["Machine", "Packer", "dataset_of", "look"]
