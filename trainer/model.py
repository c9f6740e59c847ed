"""The base model, and the adapter on it."""

from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from trainer.bases import Base
from trainer.errors import TrainingError
from trainer.options import Options
from trainer.templates import give_template


@dataclass(frozen=True)
class Device:
    """`dtype` is what the base is held in."""

    name: str
    dtype: torch.dtype


def find_device() -> Device:
    """On a CPU in full precision: in half, one without instructions for it was many times
    slower."""
    if torch.cuda.is_available():
        half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return Device("cuda", half)
    if torch.backends.mps.is_available():
        return Device("mps", torch.float32)
    return Device("cpu", torch.float32)


def load_tokenizer(base: Base) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.source, gguf_file=base.gguf_file)
    except (OSError, ValueError) as error:
        raise _cannot_load(base, error) from error
    give_template(tokenizer)
    return tokenizer


def load_base(base: Base, device: Device, *, four_bit: bool) -> Any:
    """Raises TrainingError."""
    kwargs: dict[str, Any] = {"dtype": device.dtype, "attn_implementation": "sdpa"}
    if four_bit:
        if device.name != "cuda":
            raise TrainingError("--4bit needs a CUDA GPU, and there is none here; leave it out.")
        kwargs["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=device.dtype
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base.source, gguf_file=base.gguf_file, **kwargs
        )
    except ImportError as error:
        raise TrainingError(f"A package is missing: {error}") from error
    except (OSError, ValueError) as error:
        raise _cannot_load(base, error) from error
    if base.gguf_file is not None:
        _forget_quantisation(model)
    return model if four_bit else model.to(device.name)


def with_adapter(model: Any, options: Options) -> Any:
    """Raises TrainingError where the model has no such modules."""
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=list(options.target_modules),
        bias="none",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise TrainingError(f"--target-modules: {error}") from error


def _forget_quantisation(model: Any) -> None:
    """Its weights were made whole again in loading; what is left of the note would forbid to train
    on them."""
    model.is_quantized = False
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _cannot_load(base: Base, error: Exception) -> TrainingError:
    why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return TrainingError(
        f"The base model {base.name} cannot be loaded: {why} Where the Hub cannot be reached, or"
        " asks for its terms to be accepted first, download the model and name its folder."
    )
