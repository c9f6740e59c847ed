"""A base model from the Hub, a folder or a .gguf file: its weights, tokenizer and limits."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from local.catalogue import Model
from local.engines.transformers_engine.conversation import Conversation
from local.settings import SettingsError
from trainer.templates import end_token_ids, give_template

_DEFAULT_WINDOW = 4_096


@dataclass(frozen=True)
class Base:
    """`model` is a causal language model of transformers; `entry` is how the catalogue lists it."""

    entry: Model
    model: Any
    conversation: Conversation
    stop_ids: frozenset[int]


def load_base(name: str, dtype: str) -> Base:
    """Raises SettingsError for what cannot be loaded, in one sentence."""
    source, file = _source(name)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **file)
        give_template(tokenizer)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype), **file)
    except Exception as error:  # transformers raises anything on what is no model
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        text = f"LOCAL_AI_MODEL is {name!r}, but cannot be loaded: {first}"
        raise SettingsError(text) from error
    _leave_a_core()
    return make_base(name, model, tokenizer)


def _leave_a_core() -> None:
    """For the emulator and workerd: torch's threads wait for each other busily, so that one of them
    without a core of its own makes all of them slower than one alone."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() - 1))


def make_base(name: str, model: Any, tokenizer: Any) -> Base:
    config = model.config.get_text_config()
    window = int(getattr(config, "max_position_embeddings", None) or _DEFAULT_WINDOW)
    entry = Model(catalogue_id(name), "openai", json_mode=False, lora=True, context_window=window)
    stop_ids = _stop_ids(model, tokenizer)
    return Base(entry, model.eval(), Conversation(tokenizer), stop_ids)


def catalogue_id(name: str) -> str:
    """@local/ and the last part of the path or Hub id, without .gguf."""
    last = Path(name).name.lower().removesuffix(".gguf")
    return "@local/" + re.sub(r"[^a-z0-9._-]+", "-", last).strip("-.")


def _source(name: str) -> tuple[str, dict[str, str]]:
    path = Path(name).expanduser()
    if name.lower().endswith(".gguf"):
        if not path.is_file():
            raise SettingsError(f"LOCAL_AI_MODEL is {name!r}, but there is no such file.")
        return str(path.parent), {"gguf_file": path.name}
    return (str(path) if path.is_dir() else name), {}


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """What ends an answer: as the model says, and as adapters are taught."""
    given = model.generation_config.eos_token_id
    own = given if isinstance(given, list) else [given]
    return frozenset(token for token in [*own, *end_token_ids(tokenizer)] if token is not None)
