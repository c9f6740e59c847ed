"""A training from its options to the adapter's folder."""

import errno
import hashlib
import json
import os
import sys
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
from trainer.card import draw_curve, make_card, readme
from trainer.encoding import Encoded, encode, fingerprint
from trainer.errors import TrainingError
from trainer.machine import Machine, dataset_of
from trainer.model import Device, find_device, load_base, load_tokenizer, with_adapter
from trainer.options import Options
from trainer.packing import Packer, mask_kinds
from trainer.plan import require_allowed
from trainer.prepared import Prepared
from trainer.run_folder import RunFolder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def run(options: Options, prepared: Prepared) -> None:
    """Ends the program with one sentence where something is wrong."""
    try:
        _train(options, prepared)
    except TrainingError as error:
        sys.exit(f"\n{error}")
    except torch.OutOfMemoryError:
        sys.exit(
            "\nThe GPU's memory is full. Choose a smaller --batch-size or --max-length, or hold the"
            " base in 4 bits with --4bit. What was learned up to the last look is kept: the same"
            " command goes on from there, a smaller --batch-size needs another --out."
        )
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(
            f"\nThe disk is full ({error.filename or options.out}). Make room, and give the same"
            " command again: it goes on from the last look."
        )
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from the last look.")


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
        print(f"Going on from {checkpoint.name}", flush=True)
    machine.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    metrics = _metrics(machine)
    _save(options, folder, prepared, model, machine, metrics)
    folder.end()
    print(
        f"Held out: loss {metrics['loss_before']:.4f} -> {metrics['loss']:.4f}, right answers"
        f" {metrics['accuracy_before']:.1%} -> {metrics['accuracy']:.1%}\n{options.out / WEIGHTS}",
        flush=True,
    )


def _settle(options: Options) -> None:
    """The same seed makes the same adapter on a CPU; nobody is told of runs; few words."""
    transformers.set_seed(options.seed)
    transformers.logging.set_verbosity_error()
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
        data_collator=Packer(device.dtype, mask_kinds(model.config)),
        processing_class=tokenizer,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=options.patience)],
    )


def _metrics(machine: Machine) -> dict[str, Any]:
    looks = [each for each in machine.state.log_history if "eval_loss" in each]
    best = min(looks, key=lambda each: float(each["eval_loss"]))
    return {
        "loss_before": looks[0]["eval_loss"],
        "accuracy_before": looks[0]["eval_accuracy"],
        "loss": best["eval_loss"],
        "accuracy": best["eval_accuracy"],
        "best_step": best["step"],
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
        model.save_pretrained(part)
        (part / "README.md").unlink(missing_ok=True)  # PEFT's own, of blanks to fill in
        config = json.loads((part / CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base.name
        config["model_type"] = _model_type(base, model)
        (part / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
        card = make_card(
            base=base,
            data=prepared.data,
            held_out={"rows": len(prepared.held_out)},
            parameters=options.parameters(),
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
