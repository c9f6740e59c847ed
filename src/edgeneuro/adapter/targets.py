"""Which modules an adapter changes, in the ways that tools write `target_modules`: names, full
paths of modules, PEFT's word "all-linear", or a regular expression (Unsloth).

A regular expression is never run: it comes from a stranger's file, and nothing here could end one
that takes for ever. The tensors show which modules it matched.
"""

import re
from collections.abc import Set
from dataclasses import dataclass

from edgeneuro.adapter.bases import LoraBase

ALL_LINEAR = "all-linear"

_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
_LAYER = re.compile(r"(?:^|\.)layers\.([0-9]{1,4})\.")


@dataclass(frozen=True)
class Targets:
    """`modules` are names without a path, sorted; empty if there are none to use. `from_weights`:
    the configuration does not list them, the tensors do. `part`: only some layers are named."""

    modules: tuple[str, ...] = ()
    from_weights: bool = False
    part: bool = False


def resolve_targets(found: object, in_weights: Set[str], base: LoraBase | None) -> Targets:
    """`found` is `target_modules` as the configuration has it, `in_weights` the modules that have
    tensors."""
    if isinstance(found, str) and found.strip():
        every = found.strip().casefold() == ALL_LINEAR and base is not None
        modules = base.shapes.keys() if every and base is not None else in_weights
        return Targets(tuple(sorted(modules)), from_weights=True)
    listed = usable_modules(found)
    names = {name.rpartition(".")[2] for name in listed}
    layers = {match[1] for name in listed if (match := _LAYER.search(name))}
    part = bool(layers) and (base is None or len(layers) < base.layers)
    return Targets(tuple(sorted(names)), part=part)


def usable_modules(found: object) -> tuple[str, ...]:
    """Those of a list of different names; nothing for anything else."""
    if not isinstance(found, list | tuple | set | frozenset):
        return ()
    names = sorted(each for each in found if isinstance(each, str) and _NAME.fullmatch(each))
    return tuple(names) if len(set(names)) == len(found) else ()
