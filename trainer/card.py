"""The results of a training: whether the adapter is better than its base, its card for programs and
people, and its learning curve."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from trainer.bases import Base
from trainer.data import Data

matplotlib.use("Agg")  # no screen
_PACKAGES = ("torch", "transformers", "peft", "trl")
History = Sequence[dict[str, Any]]
_ADVICE = (
    "Try another --learning-rate (a tenth, or ten times as much) or more --epochs, label more"
    " questions, or choose a larger base model. No adapter was written."
)


def nothing_learned(metrics: Mapping[str, Any]) -> str | None:
    """Why the adapter is not better than its base on the held-out lines; None if it is. It is
    better if the loss has fallen and more lines have the right agent, or are right as a whole."""
    before, after = metrics["loss_before"], metrics["loss"]
    if not after < before:  # NaN is not better either
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


def make_card(
    *,
    base: Base,
    data: Data,
    looked_into: Data,
    held_out: int,
    parameters: dict[str, Any],
    metrics: dict[str, Any],
    adapter_sha256: str,
    created_at: str,
) -> dict[str, Any]:
    return {
        "base_model": base.name,
        "cloudflare_base": base.cloudflare,
        "data": {
            "path": data.path.name,
            "sha256": data.sha256,
            "label_set_hash": data.label_set_hash,
            "rows": data.rows,
            "duplicates": data.duplicates,
        },
        "held_out": {
            "path": looked_into.path.name,
            "sha256": looked_into.sha256,
            "rows": held_out,
        },
        "parameters": parameters,
        "metrics": metrics,
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "adapter_sha256": adapter_sha256,
        "created_at": created_at,
    }


def readme(card: dict[str, Any]) -> str:
    metrics, data = card["metrics"], card["data"]
    base = card["cloudflare_base"] or "BASE"
    rows = "\n".join(f"| {name} | {value} |" for name, value in card["parameters"].items())
    before, after = (_figures(metrics, suffix) for suffix in ("_before", ""))
    return f"""# LoRA adapter for the EdgeNeuro router

On {card["base_model"]}, of {data["rows"]} labeled questions (sha256 {data["sha256"][:12]}…),
{metrics["epochs"]:.2g} times through.

| held out ({card["held_out"]["rows"]} questions) | loss a token | right agents | whole answers |
| --- | --- | --- | --- |
| before | {before} |
| after | {after} |

The right agent is the one that the model names once it writes the answer's form; a whole answer has
the form right too. The saved step is the best of all evaluations on these
questions, so the figures are a little too good. Evaluate the adapter in the product.

![learning curve](learning_curve.png)

    npm run adapter -- check DIR
    npm run adapter -- upload DIR --name NAME --base {base}
    npm run adapter -- register DIR --name NAME --base {base}

| parameter | |
| --- | --- |
{rows}
"""


def _figures(metrics: dict[str, Any], suffix: str) -> str:
    loss, accuracy, exact = (metrics[f"{name}{suffix}"] for name in ("loss", "accuracy", "exact"))
    return f"{loss:.4f} | {accuracy:.1%} | {exact:.1%}"


def draw_curve(history: History, path: Path) -> None:
    """Loss while learning and on what is held out, and the right agents there, by step."""
    from matplotlib import pyplot

    figure, losses = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    shares = losses.twinx()
    learned = [(each["step"], each["loss"]) for each in history if "loss" in each]
    held_out = [each for each in history if "eval_loss" in each]
    steps = [each["step"] for each in held_out]
    if learned:
        losses.plot(*zip(*learned, strict=True), color="tab:blue", alpha=0.4, label="loss, learned")
    losses.plot(
        steps, [each["eval_loss"] for each in held_out], "o-", color="tab:blue", label="held out"
    )
    shares.plot(
        steps,
        [100 * each["eval_accuracy"] for each in held_out],
        "s-",
        color="tab:green",
        label="right agents",
    )
    losses.set(xlabel="step", ylabel="loss a token", ylim=(0, None))
    shares.set(ylabel="right agents, %", ylim=(0, 100))
    handles = [*losses.get_lines(), *shares.get_lines()]
    losses.legend(handles=handles, loc="center right")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
