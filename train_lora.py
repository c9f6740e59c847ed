#!/usr/bin/env python3
"""Trains a LoRA adapter for the router on labels that the product has exported.

    python train_lora.py --base-model llama-3.2-1b --data train.jsonl

What it needs beside Python is installed at the first run, into the checkout's own environment,
where the Python that it was started with does not have it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("train_lora.py needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

sys.path.insert(1, str(Path(__file__).resolve().parent / "src"))

from trainer.autotrain import write_autotrain
from trainer.environment import require_packages
from trainer.errors import TrainingError, machine_failure
from trainer.options import read_options
from trainer.prepared import prepare


def main(words: Sequence[str]) -> None:
    options = read_options(words)
    try:
        prepared = prepare(options)
        if options.autotrain:
            write_autotrain(options, prepared.base, prepared.learned, prepared.held_out)
            return
    except TrainingError as error:
        sys.exit(f"\n{error}")
    except OSError as error:
        sys.exit(f"\n{machine_failure(error, options.out) or error}")
    require_packages(words)
    # One GPU: TRL would deal the rows of a batch out to several, and ours has a single row.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    from trainer.main import run  # only now are its packages sure to be there

    run(options, prepared)


if __name__ == "__main__":
    main(sys.argv[1:])
