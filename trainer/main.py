"""A training from its options to the adapter's folder."""

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import EarlyStoppingCallback
from trl import SFTConfig

from edgeneuro.adapter.bases import find_base
from trainer.bases import Base
from trainer.card import draw_curve, make_card, nothing_learned, readme
from trainer.encoding import Encoded, encode, fingerprint
from trainer.errors import TrainingError, machine_failure
from trainer.machine import Machine, dataset_of, deciding_tokens
from trainer.model import Device, find_device, load_base, load_tokenizer, with_adapter
from trainer.options import Options
from trainer.packing import Packer, attention_windows
from trainer.prepared import Prepared, require_allowed
from trainer.run_folder import RunFolder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def run(options: Options, prepared: Prepared) -> None:
    """Ends the program with one sentence if something is wrong."""
    try:
        _train(options, prepared)
    except TrainingError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command continues from the last evaluation.")
    except Exception as error:
        message = machine_failure(error, options.out)
        if message is None:
            raise
        sys.exit(f"\n{message}")


def _train(options: Options, prepared: Prepared) -> None:
    base, learned, held_out = prepared.base, prepared.learned, prepared.held_out
    _settle(options)
    device = find_device()
    tokenizer = load_tokenizer(base)
    size = options.max_length
    encoded = encode(tokenizer, learned, max_length=size, name=str(options.data))
    looked_at = encode(tokenizer, held_out, max_length=size, name="held out")
    folder = RunFolder(options.out)
    checkpoint = folder.begin(
        {
            **options.parameters(),
            "learned": fingerprint(encoded),
            "held_out": fingerprint(looked_at),
        },
        fresh=options.fresh,
    )
    model = with_adapter(load_base(base, device, four_bit=options.four_bit), options)
    require_allowed(base, options, parameters=model.get_nb_trainable_parameters()[0])
    machine = _machine(options, folder, device, model, tokenizer, encoded, looked_at)
    if checkpoint is not None:
        print(f"Continuing from {checkpoint.name}", flush=True)
    machine.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if len(_looks(machine)) < 2:  # it was shorter than --eval-every
        machine.evaluate()
    metrics = _metrics(machine)
    why = nothing_learned(metrics)
    if why is not None:
        folder.end()
        raise TrainingError(why)
    _save(options, folder, prepared, model, machine, metrics)
    folder.end()
    print(
        f"Held out: loss {metrics['loss_before']:.4f} -> {metrics['loss']:.4f}, right agents"
        f" {metrics['accuracy_before']:.1%} -> {metrics['accuracy']:.1%}\n{options.out / WEIGHTS}",
        flush=True,
    )


def _settle(options: Options) -> None:
    """The same seed makes the same adapter on a CPU; nothing is reported to services; little
    output."""
    transformers.set_seed(options.seed)
    transformers.logging.set_verbosity_error()
    # What PEFT and TRL say of transformers' changed names, and of bases that lie in a .gguf file.
    warnings.filterwarnings("ignore", r"`(is_)?gradient_checkpointing` is deprecated")
    warnings.filterwarnings("ignore", "Could not find a config file")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if options.threads:
        torch.set_num_threads(options.threads)


def _machine(
    options: Options,
    folder: RunFolder,
    device: Device,
    model: Any,
    tokenizer: Any,
    learned: Sequence[Encoded],
    held_out: Sequence[Encoded],
) -> Machine:
    steps = options.eval_every
    arguments = SFTConfig(
        output_dir=str(folder.checkpoints),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.06,
        seed=options.seed,
        data_seed=options.seed,
        bf16=False,
        use_cpu=device.name == "cpu",
        gradient_checkpointing=False,
        eval_strategy="steps",
        eval_steps=steps,
        eval_on_start=True,
        save_strategy="steps",
        save_steps=steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=5,
        report_to="none",
        disable_tqdm=options.quiet,
        remove_unused_columns=False,
        dataloader_pin_memory=device.name == "cuda",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
    )
    return Machine(
        model=model,
        args=arguments,
        train_dataset=dataset_of(learned),
        eval_dataset=dataset_of(held_out),
        data_collator=Packer(device.dtype, attention_windows(model.config)),
        processing_class=tokenizer,
        deciding=deciding_tokens([*learned, *held_out]),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=options.patience)],
    )


def _looks(machine: Machine) -> list[dict[str, Any]]:
    return [each for each in machine.state.log_history if "eval_loss" in each]


def _metrics(machine: Machine) -> dict[str, Any]:
    first, *later = _looks(machine)
    # The first evaluation is of the base; the best of the others is saved.
    best = min(later, key=lambda each: float(each["eval_loss"]))
    return {
        "loss_before": first["eval_loss"],
        "accuracy_before": first["eval_accuracy"],
        "exact_before": first["eval_exact"],
        "loss": best["eval_loss"],
        "accuracy": best["eval_accuracy"],
        "exact": best["eval_exact"],
        "best_step": best["step"],
        "epochs": best["epoch"],
        "steps": machine.state.global_step,
    }


def _save(
    options: Options,
    folder: RunFolder,
    prepared: Prepared,
    model: Any,
    machine: Machine,
    metrics: dict[str, Any],
) -> None:
    base = prepared.base
    with folder.parts() as part:
        model.save_pretrained(part, save_embedding_layers=False)
        (part / "README.md").unlink(missing_ok=True)  # PEFT's own, of blanks to fill in
        config = json.loads((part / CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base.name
        config["model_type"] = _model_type(base, model)
        config["target_modules"] = sorted(config["target_modules"])  # PEFT has a set of them
        (part / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
        card = make_card(
            base=base,
            data=prepared.data,
            looked_into=prepared.looked_into,
            held_out=len(prepared.held_out),
            parameters=options.parameters() | {"base_model": base.name},
            metrics=metrics,
            adapter_sha256=_sha256(part / WEIGHTS),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        (part / "training_card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")
        (part / "README.md").write_text(readme(card), encoding="utf-8")
        draw_curve(machine.state.log_history, part / "learning_curve.png")


def _model_type(base: Base, model: Any) -> str:
    """Cloudflare's word for the family; of a base that it does not have, transformers' own."""
    known = find_base(base.cloudflare or base.name)
    return str(model.config.model_type) if known is None else known.model_type


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
