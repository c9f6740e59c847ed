"""An adapter is written only if it is better than its base on the held-out lines."""

import math

import pytest

from trainer.card import nothing_learned

BEFORE = {"loss_before": 1.0, "accuracy_before": 0.5, "exact_before": 0.2}


@pytest.mark.parametrize(
    ("loss", "accuracy", "exact", "words"),
    [
        (0.5, 0.8, 0.8, None),
        (0.5, 0.5, 0.5, None),  # it has learned the form
        (0.5, 0.6, 0.2, None),
        (1.0, 0.8, 0.8, "the held-out loss did not fall (1.0000 -> 1.0000)"),
        (1.2, 0.8, 0.8, "the held-out loss did not fall"),
        (math.nan, 0.8, 0.8, "the held-out loss did not fall"),
        (0.9, 0.5, 0.2, "no more often than the base (50.0% -> 50.0%)"),
        (0.9, 0.4, 0.1, "no more often than the base"),
    ],
)
def test_an_adapter_that_is_not_better(
    loss: float, accuracy: float, exact: float, words: str | None
) -> None:
    why = nothing_learned({**BEFORE, "loss": loss, "accuracy": accuracy, "exact": exact})
    assert (why is None) == (words is None)
    assert words is None or words in (why or "")
