"""What is learned from and what is held out, out of the files that the options name."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data import Data, Example, read_data, split_off, without
from trainer.errors import TrainingError
from trainer.options import Options


@dataclass(frozen=True)
class Material:
    """`looked_into` is the file that `held_out` comes from."""

    data: Data
    looked_into: Data
    learned: list[Example]
    held_out: list[Example]


def read_material(options: Options) -> Material:
    """Raises TrainingError."""
    data = read_data(options.data)
    if options.eval_data is None:
        looked_into = data
        learned, held_out = split_off(data)
    else:
        looked_into = read_data(options.eval_data, one_answer_will_do=True)
        held_out = looked_into.examples
        learned = without(data.examples, held_out)
        if not learned:
            raise TrainingError("Every line of --data is in --eval-data too; nothing is left.")
    return Material(data, looked_into, learned, _some(held_out, options.eval_limit))


def _some(examples: Sequence[Example], most: int) -> list[Example]:
    """The same ones at each run, whatever the order of the file."""
    by_hash = sorted(examples, key=lambda each: hashlib.sha256(repr(each.prompt).encode()).digest())
    return by_hash[:most]
