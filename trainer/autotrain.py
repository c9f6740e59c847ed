"""HuggingFace AutoTrain's files for the same data, instead of a training here."""

from collections.abc import Sequence

from trainer.bases import Base
from trainer.data import Example
from trainer.options import Options


def write_autotrain(
    options: Options, base: Base, learned: Sequence[Example], held_out: Sequence[Example]
) -> None:
    raise NotImplementedError
