"""What can be said of a training before anything large is loaded, or installed: whether base,
options and data are as they must be."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.bases import Base, find_training_base
from trainer.data import Data, Example, read_data, split_off, without
from trainer.errors import TrainingError
from trainer.options import Options
from trainer.plan import require_allowed, warning


@dataclass(frozen=True)
class Prepared:
    """`looked_into` is the file that `held_out` comes from."""

    base: Base
    data: Data
    looked_into: Data
    learned: list[Example]
    held_out: list[Example]


def prepare(options: Options) -> Prepared:
    """Raises TrainingError."""
    base = find_training_base(options.base_model, options.cloudflare_base)
    require_allowed(base, options)
    told = warning(base)
    if told is not None:
        print(f"Note: {told}", flush=True)
    data = read_data(options.data)
    looked_into, learned, held_out = _divide(options, data)
    print(
        f"{len(learned)} questions to learn from, {len(held_out)} held out,"
        f" {data.duplicates} duplicates left out, {len(data.answers)} answers",
        flush=True,
    )
    return Prepared(base, data, looked_into, learned, held_out)


def _divide(options: Options, data: Data) -> tuple[Data, list[Example], list[Example]]:
    looked_into = data
    if options.eval_data is None:
        learned, held_out = split_off(data)
    else:
        looked_into = read_data(options.eval_data, one_answer_will_do=True)
        held_out = looked_into.examples
        learned = without(data.examples, held_out)
        if not learned:
            raise TrainingError("Every line of --data is in --eval-data too; nothing is left.")
    return looked_into, learned, _some(held_out, options.eval_limit)


def _some(examples: Sequence[Example], most: int) -> list[Example]:
    """The same ones at each run, whatever the order of the file."""
    by_hash = sorted(examples, key=lambda each: hashlib.sha256(repr(each.prompt).encode()).digest())
    return by_hash[:most]
