"""The rules about `adapter_config.json`, one function each; those about its target modules are in
targets.py. None of them raises."""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

from edgeneuro.adapter.bases import COMMON_RANK, MAX_RANK, find_base
from edgeneuro.adapter.checks import AdapterFacts, Check, failed, passed, unjudged
from edgeneuro.adapter.strict_json import loads, shown
from edgeneuro.adapter.targets import Targets, usable_modules
from edgeneuro.bounded_json import InvalidJsonError

MAX_CONFIG_BYTES = 1_000_000

_MAX_DEPTH = 20
# Variants of LoRA that change what the two matrices mean: a server that ignores the key answers
# differently from what was trained.
_PLAIN: Mapping[str, str] = {
    "use_dora": "train without DoRA",
    "use_rslora": "train without it, or write lora_alpha times the root of r as lora_alpha",
    "use_qalora": "train without QALoRA",
    "use_bdlora": "train without BD-LoRA",
    "lora_bias": "train without it",
    "fan_in_fan_out": "train on a base with linear layers",
    "trainable_token_indices": "train no embeddings",
    "target_parameters": "name modules in target_modules instead",
    "layer_replication": "train on the base's own layers",
    "alora_invocation_tokens": "train a LoRA that is always on",
    "arrow_config": "train one plain LoRA",
    "kasa_config": "train without KaSA",
    "monteclora_config": "train without MonteCLoRA",
}
# For these PEFT changes the weights of the base, so the adapter needs a conversion.
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


def read_config(data: bytes) -> dict[str, Any]:
    """Raises InvalidJsonError."""
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidJsonError(f"has {len(data)} bytes, more than {MAX_CONFIG_BYTES}")
    config = loads(data, max_depth=_MAX_DEPTH)
    if not isinstance(config, dict):
        raise InvalidJsonError(f"is not a JSON object but {shown(config)}")
    return config


def check_peft_type(config: Mapping[str, Any]) -> Check:
    rule, kind = "peft_type", config.get("peft_type")
    if kind is None and ("lora_parameters" in config or "fine_tune_type" in config):
        return failed(
            rule,
            "MLX",
            "This is the configuration of an MLX adapter; Workers AI takes PEFT's. Train with PEFT,"
            " or convert both files to PEFT's names and shapes.",
        )
    if kind != "LORA":
        return failed(
            rule, shown(kind), f"peft_type is {shown(kind)}; Workers AI takes LORA. Train a LoRA."
        )
    task = config.get("task_type")
    if task not in (None, "CAUSAL_LM"):
        return failed(rule, shown(task), f"task_type is {shown(task)}; train for CAUSAL_LM.")
    for key, fix in _PLAIN.items():
        if config.get(key):
            found = shown(config[key])
            return failed(
                rule, f"{key} {found}", f"{key} is {found}, which is not plain LoRA; {fix}."
            )
    bias = config.get("bias", "none")
    if bias != "none":
        return failed(rule, f"bias {shown(bias)}", f'bias is {shown(bias)}; train with "none".')
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        return failed(
            rule,
            f"init_lora_weights {shown(start)}",
            f"init_lora_weights is {shown(start)}, which changes the base too; save it with"
            " path_initial_model_for_weight_conversion, or train with true.",
        )
    return passed(rule, "LORA")


def check_rank(config: Mapping[str, Any], facts: AdapterFacts) -> Check:
    pattern = config.get("rank_pattern")
    if pattern:
        return failed(
            "rank",
            f"rank_pattern {shown(pattern)}",
            f"rank_pattern is {shown(pattern)}; train all modules with the one rank r.",
        )
    return judge_rank(config.get("r"), facts.base)


def judge_rank(rank: object, name: str) -> Check:
    rule, base = "rank", find_base(name)
    most = MAX_RANK if base is None else base.max_rank
    if type(rank) is not int or rank < 1:
        return failed(
            rule, shown(rank), f"r is {shown(rank)}; it is a whole number from 1 to {most}."
        )
    if rank > most:
        whose = "Workers AI" if base is None else base.id
        return failed(
            rule,
            shown(rank),
            f"The rank is {shown(rank)}; {whose} takes at most {most}. Train again with rank"
            f" {most}.",
        )
    if base is None and rank > COMMON_RANK:
        return unjudged(
            rule,
            str(rank),
            f"Every base takes rank {COMMON_RANK}; what {shown(name)} takes is not known.",
        )
    return passed(rule, f"{rank} of at most {most}")


def check_alpha(config: Mapping[str, Any]) -> Check:
    pattern = config.get("alpha_pattern")
    if pattern:
        return failed(
            "alpha",
            f"alpha_pattern {shown(pattern)}",
            f"alpha_pattern is {shown(pattern)}; train all modules with the one lora_alpha.",
        )
    return judge_alpha(config.get("lora_alpha"))


def judge_alpha(alpha: object) -> Check:
    if type(alpha) not in (int, float) or not 0 < alpha < 1e6:  # type: ignore[operator]
        return failed(
            "alpha",
            shown(alpha),
            f"lora_alpha is {shown(alpha)}; it is a number above 0, usually once or twice the"
            " rank.",
        )
    return passed("alpha", shown(alpha))


def config_to_upload(data: bytes, config: Mapping[str, Any], targets: Targets, name: str) -> bytes:
    """The configuration in the form that Workers AI documents: with a `model_type` if the base
    `name` is known, `target_modules` as a list of names, no byte order mark. The bytes stay the
    same if nothing has to change. `config` was read from `data`."""
    base, wanted = find_base(name), dict(config)
    if wanted.get("model_type") is None and base is not None:
        wanted["model_type"] = base.model_type
    if targets.modules and sorted(usable_modules(config.get("target_modules"))) != list(
        targets.modules
    ):
        wanted["target_modules"] = list(targets.modules)
    if wanted == config and not data.startswith(BOM_UTF8):
        return data
    return json.dumps(wanted, indent=2).encode()  # ASCII: a lone surrogate has no UTF-8
