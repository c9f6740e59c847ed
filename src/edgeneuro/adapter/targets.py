"""The modules that an adapter changes. Tools write `target_modules` in different ways: names, full
paths of modules, PEFT's word "all-linear", or a regular expression (Unsloth).

A regular expression is never run: it comes from an untrusted file, and nothing here could stop one
that takes forever. The tensors show which modules it matched.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from edgeneuro.adapter.bases import MODULES, LoraBase, find_base
from edgeneuro.adapter.checks import AdapterFacts, Check, failed, passed, unjudged
from edgeneuro.adapter.strict_json import shown

ALL_LINEAR = "all-linear"

_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
_LAYER = re.compile(r"(?:^|\.)layers\.([0-9]{1,4})\.")


@dataclass(frozen=True)
class Targets:
    """`modules` are names without a path, sorted; empty if none is usable. `from_weights`: the
    names come from the tensors, not from the configuration. `part`: only some layers are named."""

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
    """The names of a list without duplicates, sorted; empty for anything else."""
    if not isinstance(found, list | tuple | set | frozenset):
        return ()
    names = sorted(each for each in found if isinstance(each, str) and _NAME.fullmatch(each))
    return tuple(names) if len(set(names)) == len(found) else ()


def check_target_modules(config: Mapping[str, Any], facts: AdapterFacts, targets: Targets) -> Check:
    rule, saved, found = (
        "target_modules",
        config.get("modules_to_save"),
        config.get("target_modules"),
    )
    if saved:
        return failed(
            rule,
            f"modules_to_save {shown(saved)}",
            f"modules_to_save is {shown(saved)}; Workers AI takes low-rank matrices alone. Train"
            " without it.",
        )
    if not targets.from_weights:
        return judge_target_modules(list(targets.modules) or found, facts.base)
    if not targets.modules:
        return unjudged(
            rule,
            shown(found),
            f"target_modules is {shown(found)}, and there are no weights that show what it means.",
        )
    judged = judge_target_modules(list(targets.modules), facts.base)
    return replace(judged, found=f"{shown(found)}: {judged.found}")


def judge_target_modules(modules: object, name: str) -> Check:
    rule, base = "target_modules", find_base(name)
    known = MODULES if base is None else tuple(base.shapes)
    names = ", ".join(known)
    if isinstance(modules, str):
        return failed(
            rule,
            shown(modules),
            f"target_modules is the text {shown(modules)}; list the names, out of {names}.",
        )
    found = usable_modules(modules)
    if not found:
        return failed(
            rule,
            shown(modules),
            f"target_modules is {shown(modules)}; it is a list of names, each once, out of"
            f" {names}.",
        )
    strange = [each for each in found if each not in known]
    if strange and base is not None:
        return failed(
            rule,
            shown(strange),
            f"target_modules has {shown(strange)}; {base.id} takes {names}. Train on these.",
        )
    if strange:
        return unjudged(
            rule, ", ".join(found), f"Whether {shown(name)} has {shown(strange)} is not known."
        )
    return passed(rule, ", ".join(found))
