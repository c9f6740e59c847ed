"""The base models that an adapter is trained on: by short names, and what Workers AI calls them."""

from dataclasses import dataclass
from pathlib import Path

from edgeneuro.adapter.bases import find_base
from trainer.errors import TrainingError

# short name -> the model's id on the Hub
SHORT_NAMES = {
    "llama-3.2-1b": "meta-llama/Llama-3.2-1B-Instruct",
    "llama-3.2-3b": "meta-llama/Llama-3.2-3B-Instruct",
    "llama-2-7b": "meta-llama/Llama-2-7b-chat-hf",
    "gemma-2b": "google/gemma-2b-it",
    "gemma-7b": "google/gemma-7b-it",
    "gemma-3-270m": "google/gemma-3-270m-it",
    "mistral-7b": "mistralai/Mistral-7B-Instruct-v0.2",
    "qwen2.5-coder-32b": "Qwen/Qwen2.5-Coder-32B-Instruct",
    "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B-Instruct",
}
_GGUF = ".gguf"


@dataclass(frozen=True)
class Base:
    """`source` is what transformers loads (a Hub id or a folder), with `gguf_file` the file in it;
    `name` is what the adapter's config says, without this machine's paths; `cloudflare` the model
    at Workers AI that takes adapters on it, None where there is none."""

    source: str
    name: str
    gguf_file: str | None
    cloudflare: str | None


def find_training_base(name: str, cloudflare: str | None) -> Base:
    """By short name, folder, .gguf file or Hub id. Raises TrainingError."""
    path = Path(name).expanduser()
    if name.endswith(_GGUF):
        if not path.is_file():
            raise TrainingError(f"--base-model: there is no file {name}.")
        return Base(str(path.parent), path.name, path.name, _at_cloudflare(path.stem, cloudflare))
    if path.is_dir():
        plain = path.resolve().name
        return Base(str(path), plain, None, _at_cloudflare(plain, cloudflare))
    hub_id = SHORT_NAMES.get(name.lower(), name)
    if "/" not in hub_id.strip("/"):
        raise TrainingError(
            f"--base-model: {name!r} is no short name ({', '.join(SHORT_NAMES)}), no folder, no"
            " .gguf file and no id of the Hub (owner/name)."
        )
    return Base(hub_id, hub_id, None, _at_cloudflare(hub_id, cloudflare))


def _at_cloudflare(name: str, given: str | None) -> str | None:
    if given is not None:
        return given
    known = find_base(name)
    return None if known is None else known.id
