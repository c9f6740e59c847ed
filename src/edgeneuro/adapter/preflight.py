"""The pre-flight finds what Workers AI would refuse, or what would make it answer wrongly, before
an upload.

It reads the configuration, the header of the weights (`safetensors.header_end`) and their size. It
reads no weight, executes nothing from a file, and never raises because of one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edgeneuro.adapter import base_rules, config_rules, weights_rules
from edgeneuro.adapter.bases import count_parameters, find_base
from edgeneuro.adapter.checks import (
    CONFIG_FILE,
    RULES,
    WEIGHTS_FILE,
    AdapterFacts,
    Check,
    Report,
    failed,
    passed,
    unjudged,
)
from edgeneuro.adapter.safetensors import Header, InvalidSafetensorsError, read_header
from edgeneuro.adapter.strict_json import shown
from edgeneuro.adapter.targets import (
    Targets,
    check_target_modules,
    judge_target_modules,
    resolve_targets,
    usable_modules,
)
from edgeneuro.bounded_json import InvalidJsonError

__all__ = [
    "CONFIG_FILE",
    "RULES",
    "WEIGHTS_FILE",
    "AdapterFacts",
    "Check",
    "Report",
    "check_adapter",
    "check_plan",
    "predict_bytes",
]

_Config = Mapping[str, Any]
_OF_CONFIG: dict[str, Callable[[_Config, AdapterFacts], Check]] = {
    "peft_type": lambda config, facts: config_rules.check_peft_type(config),
    "rank": config_rules.check_rank,
    "alpha": lambda config, facts: config_rules.check_alpha(config),
    "model_type": base_rules.check_model_type,
    "base_match": base_rules.check_base_match,
    "not_quantised": base_rules.check_not_quantised,
}
_HEADER_BYTES_A_TENSOR = 160


def check_adapter(
    *,
    names: Sequence[str],
    config: bytes | None,
    weights_start: bytes | None,
    weights_size: int | None,
    facts: AdapterFacts,
) -> Report:
    """One check of each rule, in the order of RULES. `names` are the names of the files; None
    stands for a missing file."""
    fields, config_check = _read_config(config)
    header, format_check = _read_weights(weights_start, weights_size)
    checks = [
        _check_files(names),
        config_check,
        format_check,
        base_rules.check_base_supports_lora(facts),
    ]
    targets = _targets(fields, header, facts)
    checks += _check_config(fields, facts, targets)
    checks.append(_check_size(weights_size))
    checks += _check_weights(header, fields or {}, facts, targets)
    checks.append(_check_slots(facts))
    fields = fields or {}
    return Report(
        checks=tuple(sorted(checks, key=lambda check: RULES.index(check.rule))),
        rank=_usable_rank(fields),
        target_modules=targets.modules,
        config_to_upload=_config_to_upload(config, fields, targets, facts),
        model_type=base_rules.usable_model_type(fields.get("model_type")),
        parameters=None if header is None else sum(each.elements for each in header.tensors),
    )


def _check_files(names: Sequence[str]) -> Check:
    rule, wanted = "files", (CONFIG_FILE, WEIGHTS_FILE)
    missing = [name for name in wanted if name not in names]
    if not missing:
        return passed(rule, " and ".join(wanted))
    found = ", ".join(shown(name) for name in sorted(names)[:5]) or "none"
    fix = "Both files have exactly these names."
    if WEIGHTS_FILE in missing and any(name.endswith((".bin", ".pt", ".pth")) for name in names):
        fix = "PyTorch's own files are not taken: save with safe_serialization=True."
    elif "adapters.safetensors" in names:
        fix = "This is an MLX adapter; train with PEFT, or convert it to PEFT's names."
    elif any(name.endswith(".safetensors") for name in names) and WEIGHTS_FILE in missing:
        fix = f"Rename the weights to {WEIGHTS_FILE}."
    return failed(rule, found, f"{' and '.join(missing)} is not among the files ({found}). {fix}")


def _read_config(data: bytes | None) -> tuple[dict[str, Any] | None, Check]:
    rule = "config_json"
    if data is None:
        return None, unjudged(rule, "", f"There is no {CONFIG_FILE}.")
    try:
        return config_rules.read_config(data), passed(rule, f"{len(data):,} bytes")
    except InvalidJsonError as error:
        message = f"{CONFIG_FILE} {error}. Take the file that PEFT's save_pretrained writes."
        return None, failed(rule, f"{len(data):,} bytes", message)


def _read_weights(start: bytes | None, size: int | None) -> tuple[Header | None, Check]:
    rule = "weights_format"
    if start is None or size is None:
        return None, unjudged(rule, "", f"There is no {WEIGHTS_FILE}.")
    other = weights_rules.other_format(start)
    fix = "Save the adapter with PEFT's save_pretrained and safe_serialization=True."
    if other is not None:
        return None, failed(rule, other, f"{WEIGHTS_FILE} is {other}. {fix}")
    try:
        header = read_header(start, size)
    except InvalidSafetensorsError as error:
        return None, failed(rule, "no safetensors file", f"{WEIGHTS_FILE} {error}. {fix}")
    return header, passed(rule, f"safetensors, a header of {header.end:,} bytes")


def _targets(fields: _Config | None, header: Header | None, facts: AdapterFacts) -> Targets:
    matrices = [] if header is None else weights_rules.lora_matrices(header)[0]
    found = (fields or {}).get("target_modules")
    return resolve_targets(found, {each.module for each in matrices}, find_base(facts.base))


def _config_to_upload(
    data: bytes | None, fields: _Config, targets: Targets, facts: AdapterFacts
) -> bytes | None:
    if data is None or not fields:
        return None
    return config_rules.config_to_upload(data, fields, targets, facts.base)


def _check_config(fields: _Config | None, facts: AdapterFacts, targets: Targets) -> Iterator[Check]:
    if fields is None:
        why = f"There is no {CONFIG_FILE} to read."
        yield from (unjudged(rule, "", why) for rule in (*_OF_CONFIG, "target_modules"))
        return
    yield from (check(fields, facts) for check in _OF_CONFIG.values())
    yield check_target_modules(fields, facts, targets)


def _check_size(size: int | None) -> Check:
    if size is None:
        return unjudged("size", "", f"There is no {WEIGHTS_FILE}.")
    return weights_rules.check_size(size)


def _check_weights(
    header: Header | None, fields: _Config, facts: AdapterFacts, targets: Targets
) -> list[Check]:
    if header is None:
        why = "The weights have no header to read."
        return [unjudged(rule, "", why) for rule in ("tensors", "dtype", "shapes")]
    base = find_base(facts.base)
    part = bool(targets.part or fields.get("layers_to_transform") or fields.get("exclude_modules"))
    return [
        weights_rules.check_tensors(header, targets.modules, part=part, base=base),
        weights_rules.check_dtype(header),
        weights_rules.check_shapes(header, _usable_rank(fields), base),
    ]


def _usable_rank(fields: _Config) -> int | None:
    rank = fields.get("r")
    return rank if type(rank) is int and 0 < rank < 2**31 else None


def _check_slots(facts: AdapterFacts) -> Check:
    rule, used = "slots", facts.slots_used
    if used is None:
        return unjudged(rule, "", "Cloudflare was not asked how many finetunes the account has.")
    found = f"{used} of {facts.slots} used"
    if used >= facts.slots:
        return failed(
            rule,
            found,
            f"The account has {used} of {facts.slots} finetunes. Ask Cloudflare to remove some,"
            " or for more.",
        )
    return passed(rule, found)


def check_plan(
    *,
    rank: int,
    target_modules: Sequence[str] | str,
    base: str,
    alpha: float | None = None,
    parameters: int | None = None,
    bytes_each: int = 4,
) -> list[Check]:
    """The same rules before a training: rank, alpha (where given), target_modules,
    base_supports_lora and size. `base` is its id at Cloudflare or on the Hub. `parameters` is the
    adapter's count if the base's sizes are not known here, `bytes_each` the bytes of one."""
    modules = target_modules if isinstance(target_modules, str) else list(target_modules)
    checks = [config_rules.judge_rank(rank, base)]
    if alpha is not None:
        checks.append(config_rules.judge_alpha(alpha))
    checks.append(judge_target_modules(modules, base))
    known = find_base(base)
    facts = AdapterFacts(base=base if known is None else known.id)
    checks.append(base_rules.check_base_supports_lora(facts))
    size = predict_bytes(
        rank=rank, target_modules=modules, base=base, parameters=parameters, bytes_each=bytes_each
    )
    if size is None:
        checks.append(unjudged("size", "", f"The sizes of {base} are not known here."))
    else:
        checks.append(weights_rules.check_size(size))
    return checks


def predict_bytes(
    *,
    rank: int,
    target_modules: Sequence[str] | str,
    base: str,
    parameters: int | None = None,
    bytes_each: int = 4,
) -> int | None:
    """The size of the weights file; None if neither `parameters` nor the base's sizes are known."""
    known = find_base(base)
    modules = usable_modules(target_modules)
    if parameters is not None:
        return parameters * bytes_each
    if known is None or not modules or not set(modules) <= set(known.shapes):
        return None
    count = count_parameters(rank, modules, layers=known.layers, shapes=known.shapes)
    return count * bytes_each + 2 * known.layers * len(modules) * _HEADER_BYTES_A_TENSOR
