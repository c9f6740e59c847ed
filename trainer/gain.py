"""Whether an adapter is of any use, by what is held out."""

from collections.abc import Mapping
from typing import Any

_ADVICE = (
    "Try another --learning-rate (a tenth, or ten times as much) or more --epochs, label more"
    " questions, or choose a larger base model. No adapter was written."
)


def nothing_learned(metrics: Mapping[str, Any]) -> str | None:
    """Why the adapter is no better than its base, on the held-out lines; None where it is. It is if
    the loss has fallen, and more lines than before have the right agent, or are right as a
    whole."""
    before, after = metrics["loss_before"], metrics["loss"]
    if not after < before:  # a loss that is no number is no better either
        return (
            f"The adapter has learned nothing: the held-out loss did not fall ({before:.4f} ->"
            f" {after:.4f}). {_ADVICE}"
        )
    if any(metrics[name] > metrics[f"{name}_before"] for name in ("accuracy", "exact")):
        return None
    right_before, right = metrics["accuracy_before"], metrics["accuracy"]
    return (
        f"The adapter has learned nothing: on the held-out lines it names the right agent no more"
        f" often than the base ({right_before:.1%} -> {right:.1%}). {_ADVICE}"
    )
