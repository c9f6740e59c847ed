"""Adapters as PEFT saves them, made by hand: a real header, and weights that are all 0."""

import json
from dataclasses import dataclass, field
from typing import Any

from edgeneuro.adapter.bases import LoraBase, find_base
from edgeneuro.adapter.preflight import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterFacts,
    Report,
    check_adapter,
)
from edgeneuro.adapter.weights_rules import block_of

GEMMA = "@cf/google/gemma-2b-it-lora"
Tensors = dict[str, tuple[str, list[int]]]  # name: (dtype, shape)
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I8": 1, "U8": 1}


def base_of(name: str) -> LoraBase:
    base = find_base(name)
    assert base is not None
    return base


def config_for(
    name: str, *, rank: int = 8, modules: tuple[str, ...] = ("q_proj", "v_proj"), **more: Any
) -> dict[str, Any]:
    base = base_of(name)
    return {
        "base_model_name_or_path": base.hub_ids[0],
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "layers_to_transform": None,
        "lora_alpha": 16,
        "model_type": base.model_type,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "rank_pattern": {},
        "target_modules": list(modules),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        **more,
    }


def tensors_for(
    name: str,
    *,
    rank: int = 8,
    modules: tuple[str, ...] = ("q_proj", "v_proj"),
    dtype: str = "F32",
    prefix: str = "base_model.model.model.layers",
) -> Tensors:
    base, tensors = base_of(name), Tensors()
    for layer in range(base.layers):
        for module in modules:
            wide, narrow = base.shapes[module]
            stem = f"{prefix}.{layer}.{block_of(module, layer, base)}.{module}"
            tensors[f"{stem}.lora_A.weight"] = (dtype, [rank, narrow])
            tensors[f"{stem}.lora_B.weight"] = (dtype, [wide, rank])
    return tensors


def header_of(tensors: Tensors) -> tuple[bytes, int]:
    """The file up to the end of its header, and the size of all of it."""
    fields: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in tensors.items():
        count = BYTES[dtype]
        for size in shape:
            count *= size
        fields[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + count]}
        at += count
    return framed(json.dumps(fields).encode(), at)


def framed(header: bytes, data: int) -> tuple[bytes, int]:
    start = len(header).to_bytes(8, "little") + header
    return start, len(start) + data


@dataclass
class Adapter:
    """What `check` sees; a test changes what it is about."""

    base: str = GEMMA
    config: dict[str, Any] = field(default_factory=lambda: config_for(GEMMA))
    tensors: Tensors = field(default_factory=lambda: tensors_for(GEMMA))
    names: tuple[str, ...] = (CONFIG_FILE, WEIGHTS_FILE)
    supports_lora: bool | None = True
    slots_used: int | None = 3

    def check(self) -> Report:
        start, size = header_of(self.tensors)
        return check_adapter(
            names=self.names,
            config=json.dumps(self.config).encode(),
            weights_start=start,
            weights_size=size,
            facts=AdapterFacts(self.base, self.supports_lora, self.slots_used),
        )


def failures(report: Report) -> dict[str, str]:
    return {check.rule: check.message for check in report.failures}
