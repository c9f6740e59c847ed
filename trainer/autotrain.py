"""HuggingFace AutoTrain's files for the same data, instead of a training here.

The configuration's fields are those of autotrain-advanced (configs/llm_finetuning, and
LLMTrainingParams in trainers/clm/params.py). Its target_modules are one text with commas; it learns
from all of a conversation, where train_lora.py learns from the answer alone."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.bases import Base
from trainer.data import Example
from trainer.errors import TrainingError
from trainer.options import Options

_PROJECT = "edgeneuro-router"


def write_autotrain(
    options: Options, base: Base, learned: Sequence[Example], held_out: Sequence[Example]
) -> None:
    """Into --out: config.yml, and the folder data/ with both parts. Raises TrainingError."""
    if base.gguf_file is not None:
        raise TrainingError("--autotrain: AutoTrain takes a model of the Hub, not a .gguf file.")
    folder = options.out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, examples in (("train", learned), ("validation", held_out)):
        _write(folder / f"{name}.jsonl", [_line(example) for example in examples])
    config = options.out / "config.yml"
    _write(config, _yaml(_config(options, base, folder)))
    print(f"{config} and {folder} are written. In an environment with autotrain-advanced:\n")
    print(f"    autotrain --config {config}\n")
    print(
        f"The adapter will be in {_PROJECT}/. It lacks `model_type`, which Workers AI wants in"
        f" adapter_config.json: `npm run adapter -- check {_PROJECT}` says which."
    )


def _config(options: Options, base: Base, data: Path) -> dict[str, Any]:
    return {
        "task": "llm-sft",
        "base_model": base.source,
        "project_name": _PROJECT,
        "log": "tensorboard",
        "backend": "local",
        "data": {
            "path": str(data),
            "train_split": "train",
            "valid_split": "validation",
            "chat_template": "tokenizer",
            "column_mapping": {"text_column": "messages"},
        },
        "params": {
            "block_size": options.max_length,
            "model_max_length": options.max_length,
            "epochs": max(1, round(options.epochs)),
            "batch_size": options.batch_size,
            "gradient_accumulation": 1,
            "lr": options.learning_rate,
            "scheduler": "cosine",
            "optimizer": "adamw_torch",
            "seed": options.seed,
            "peft": True,
            "lora_r": options.rank,
            "lora_alpha": options.alpha,
            "lora_dropout": options.dropout,
            "target_modules": ",".join(options.target_modules),
            "quantization": "int4" if options.four_bit else None,
            "mixed_precision": "bf16",
            "padding": "right",
            "merge_adapter": False,
        },
        "hub": {
            "username": "${HF_USERNAME}",
            "token": "${HF_TOKEN}",
            "push_to_hub": False,
        },
    }


def _line(example: Example) -> str:
    answer = {"role": "assistant", "content": example.completion}
    return json.dumps({"messages": [*example.messages, answer]}, ensure_ascii=False)


def _yaml(fields: dict[str, Any], depth: int = 0) -> list[str]:
    """Plain maps alone; a text in JSON's quotes is one in YAML's."""
    lines = []
    for name, value in fields.items():
        indent = "  " * depth
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_yaml(value, depth + 1)]
        else:
            lines.append(f"{indent}{name}: {json.dumps(value)}")
    return lines


def _write(path: Path, lines: Sequence[str]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(part, path)
