"""The rules about the base: the one an adapter was trained on, and the one it is for. None of
them raises."""

import re
from collections.abc import Mapping
from typing import Any

from edgeneuro.adapter.bases import (
    DOCUMENTED_MODEL_TYPES,
    LORA_BASES,
    find_base,
    original_name,
)
from edgeneuro.adapter.checks import CONFIG_FILE, AdapterFacts, Check, failed, passed, unjudged
from edgeneuro.adapter.strict_json import shown

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
# A base on the Hub, not a folder.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_QUANTISED = re.compile(
    r"(?<![a-z])(bnb|gptq|awq|gguf|ggml|exl2|hqq|aqlm|[348]-?bit|int[48]|fp8|nf4)(?![a-z])", re.I
)


def check_model_type(config: Mapping[str, Any], facts: AdapterFacts) -> Check:
    rule, base, found = "model_type", find_base(facts.base), config.get("model_type")
    wanted = " or ".join(DOCUMENTED_MODEL_TYPES) if base is None else shown(base.model_type)
    fix = f'Write "model_type": {wanted} into {CONFIG_FILE}.'
    if found is None and base is not None:
        # PEFT does not write it; `config_to_upload` adds it.
        return passed(
            rule,
            f"missing; the upload adds {wanted}, `wrangler ai finetune create` does not",
        )
    if usable_model_type(found) is None:
        return failed(
            rule, shown(found), f"model_type is {shown(found)}; Workers AI needs it. {fix}"
        )
    if base is None:
        return unjudged(rule, shown(found), f"The model_type of {facts.base} is not known here.")
    if found != base.model_type:
        return failed(
            rule,
            shown(found),
            f"model_type is {shown(found)}, but {base.id} has another. {fix}",
        )
    if found not in DOCUMENTED_MODEL_TYPES:
        documented = ", ".join(DOCUMENTED_MODEL_TYPES)
        return unjudged(
            rule, shown(found), f"Cloudflare documents {documented} alone; upload shows it."
        )
    return passed(rule, found)


def usable_model_type(found: object) -> str | None:
    return found if isinstance(found, str) and _NAME.fullmatch(found) else None


def check_base_match(config: Mapping[str, Any], facts: AdapterFacts) -> Check:
    rule, trained = "base_match", config.get("base_model_name_or_path")
    if not isinstance(trained, str) or not trained.strip():
        return unjudged(
            rule,
            shown(trained),
            f"base_model_name_or_path does not say what it was trained on, {facts.base} or"
            " another.",
        )
    wanted, base = find_base(facts.base), find_base(trained)
    if base is not None and base is wanted:
        return passed(rule, shown(trained))
    # A folder or a mirror; the shapes show whether it is the same base.
    names = (facts.base,) if wanted is None else wanted.hub_ids
    if _last(trained) in {_last(name) for name in names}:
        return passed(rule, shown(trained))
    if base is not None or (wanted is not None and _HUB_ID.fullmatch(trained)):
        train_on = facts.base if wanted is None else wanted.hub_ids[0]
        return failed(
            rule,
            shown(trained),
            f"It was trained on {shown(trained)} and is meant for {facts.base}. Train on"
            f" {train_on}, or name the base that it was trained on.",
        )
    return unjudged(rule, shown(trained), f"Whether {shown(trained)} is {facts.base} is not known.")


def _last(name: str) -> str:
    return original_name(name).rpartition("/")[2].casefold()


def check_not_quantised(config: Mapping[str, Any], facts: AdapterFacts) -> Check:
    rule, name = "not_quantised", config.get("base_model_name_or_path")
    wanted = find_base(facts.base)
    fix = "the base without quantisation" if wanted is None else wanted.hub_ids[0]
    if config.get("quantization_config"):
        return failed(
            rule,
            "quantization_config",
            f"The configuration has a quantization_config; train on {fix}.",
        )
    if isinstance(name, str) and find_base(name) is None and _QUANTISED.search(_last(name)):
        if wanted is None:
            return unjudged(
                rule, shown(name), f"By its name it is; what {facts.base} takes is not known here."
            )
        return failed(
            rule,
            shown(name),
            f"Its base {shown(name)} is quantised by its name, and Workers AI's are not. Train"
            f" on {fix}.",
        )
    if isinstance(name, str) and original_name(name) != name.strip().rstrip("/"):
        return passed(rule, f"{shown(name)}, a copy of {shown(original_name(name))}")
    return passed(rule, "by its name" if isinstance(name, str) else "no sign of it")


def check_base_supports_lora(facts: AdapterFacts) -> Check:
    rule, base = "base_supports_lora", find_base(facts.base)
    if facts.supports_lora is False:
        others = ", ".join(LORA_BASES)
        return failed(
            rule,
            facts.base,
            f"{facts.base} takes no LoRA, by the catalogue. Train for one that does: {others}.",
        )
    if facts.supports_lora or base is not None:
        by = "by the catalogue" if facts.supports_lora else "by Cloudflare's list"
        return passed(rule, f"{facts.base}, {by}")
    return unjudged(
        rule,
        facts.base,
        f"{facts.base} is not on the list that is known here, and no catalogue was asked.",
    )
