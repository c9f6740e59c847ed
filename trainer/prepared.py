"""Checks base, options and data of a training before anything large is loaded or installed. What
Workers AI would refuse is refused here, by the rules for the finished adapter
(edgeneuro.adapter)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.adapter.bases import LORA_BASES
from edgeneuro.adapter.preflight import Check, check_plan
from trainer.bases import Base, find_training_base
from trainer.data import Data, Example, read_data, split_off, without
from trainer.errors import TrainingError
from trainer.options import Options

_SUPPORT = "base_supports_lora"  # not a reason to refuse: an adapter can be used elsewhere too


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
    note = warning(base)
    if note is not None:
        print(f"Note: {note}", flush=True)
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


def require_allowed(base: Base, options: Options, *, parameters: int | None = None) -> None:
    """`parameters` is how many the adapter has, once that is known. Raises TrainingError."""
    broken = [check for check in _checks(base, options, parameters) if check.passed is False]
    broken = [check for check in broken if check.rule != _SUPPORT]
    if broken:
        raise TrainingError(
            "Workers AI would refuse this adapter: "
            + " ".join(f"{check.rule}: {check.message}" for check in broken)
        )


def warning(base: Base) -> str | None:
    """A note if Workers AI takes no adapters on this base; else None."""
    if base.cloudflare in LORA_BASES:
        return None
    bases = ", ".join(sorted(LORA_BASES))
    return (
        f"Workers AI is not known to take adapters on {base.cloudflare or base.name}, so it may"
        f" refuse this one. It takes them on {bases}; --cloudflare-base names another."
    )


def _checks(base: Base, options: Options, parameters: int | None) -> list[Check]:
    return check_plan(
        rank=options.rank,
        target_modules=list(options.target_modules),
        base=base.cloudflare or base.name,
        alpha=options.alpha,
        parameters=parameters,
    )
