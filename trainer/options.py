"""The command line of train_lora.py."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.bases import SHORT_NAMES

_ABOUT = """Train a LoRA adapter for the router on labels that the product has exported
(GET /v1/datasets/export?format=prompt or chat)."""
# What a resumed run may have otherwise: where it runs, and how much it says.
_MAY_DIFFER = ("out", "fresh", "quiet", "data", "eval_data", "autotrain", "threads")


@dataclass(frozen=True, kw_only=True)
class Options:
    base_model: str
    cloudflare_base: str | None
    data: Path
    eval_data: Path | None
    out: Path
    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    epochs: float
    max_steps: int
    learning_rate: float
    batch_size: int
    max_length: int
    seed: int
    four_bit: bool
    eval_every: int
    eval_limit: int
    patience: int
    threads: int
    fresh: bool
    quiet: bool
    autotrain: bool

    def parameters(self) -> dict[str, Any]:
        """What the adapter depends on, beside the data."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name not in _MAY_DIFFER
        }


def read_options(words: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="train_lora.py", description=_ABOUT)
    add = parser.add_argument
    names = ", ".join(SHORT_NAMES)
    add("--base-model", required=True, help=f"{names}; an id of the Hub, a folder, a .gguf file")
    add("--data", type=Path, required=True, help="exported JSON Lines, format prompt or chat")
    add("--eval-data", type=Path, help="held-out lines (a tenth of --data where it is left out)")
    add("--out", type=Path, default=Path("adapter"), help="folder for the adapter (adapter)")
    add("--cloudflare-base", help="the model at Workers AI that the adapter is for, @cf/…")
    add("--rank", type=_positive, default=8, help="of the adapter's matrices (8)")
    add("--alpha", type=_positive, help="scale of the adapter (twice the rank)")
    add("--dropout", type=_share, default=0.0, help="within the adapter (0)")
    add("--target-modules", nargs="+", default=["q_proj", "v_proj"], metavar="MODULE")
    add("--epochs", type=_amount, default=3.0, help="times through the data (3)")
    add("--max-steps", type=_positive, default=-1, help="at most so many steps, over --epochs")
    add("--learning-rate", type=_amount, default=2e-4, help="(2e-4)")
    add("--batch-size", type=_positive, default=16, help="lines a step (16)")
    add("--max-length", type=_positive, default=2048, help="tokens of a line (2048)")
    add("--seed", type=int, default=1, help="the same makes the same adapter on a CPU (1)")
    add("--4bit", dest="four_bit", action="store_true", help="the base in 4 bits; CUDA only")
    add("--eval-every", type=_positive, default=50, help="steps between looks at held-out (50)")
    add("--eval-limit", type=_positive, default=500, help="held-out lines a look (500)")
    add("--patience", type=_positive, default=5, help="looks without a better loss to stop (5)")
    add("--threads", type=_positive, default=0, help="of the CPU (as many as it has)")
    add("--fresh", action="store_true", help="start again, over what --out has")
    add("--quiet", action="store_true", help="no progress bar")
    add("--autotrain", action="store_true", help="write HuggingFace AutoTrain's files instead")
    given = vars(parser.parse_args(words))
    given["target_modules"] = tuple(given["target_modules"])
    given["alpha"] = given["alpha"] or 2 * given["rank"]
    return Options(**given)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to below 1")
    return value
