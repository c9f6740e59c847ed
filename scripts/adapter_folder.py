"""A folder with an adapter, as training leaves it. Of its weights the start is read, and all of
them for their checksum alone."""

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeneuro.adapter.bases import find_base
from edgeneuro.adapter.config_rules import MAX_CONFIG_BYTES, read_config
from edgeneuro.adapter.preflight import CONFIG_FILE, WEIGHTS_FILE
from edgeneuro.adapter.safetensors import InvalidSafetensorsError, header_end
from edgeneuro.bounded_json import InvalidJsonError
from scripts.private import write_private

CARD_FILE = "training_card.json"
# What `upload` and `register` leave, so that later commands know the adapter by its folder.
NOTE_FILE = "finetune.json"

_START_BYTES = 64  # enough to recognize any format


class AdapterFolderError(Exception):
    """The folder cannot be read, or does not say enough; the text is for the user."""


@dataclass(frozen=True)
class AdapterFolder:
    """`config` is cut one byte over the size that is taken, `weights_start` at the header's end."""

    path: Path
    names: tuple[str, ...]
    config: bytes | None
    weights_start: bytes | None
    weights_size: int | None

    @property
    def weights(self) -> Path:
        return self.path / WEIGHTS_FILE


def read_folder(path: Path) -> AdapterFolder:
    """Raises AdapterFolderError."""
    try:
        names = tuple(sorted(each.name for each in path.iterdir() if each.is_file()))
        config = _start_of(path / CONFIG_FILE, MAX_CONFIG_BYTES + 1)
        start, size = _read_weights(path / WEIGHTS_FILE)
    except OSError as error:
        raise AdapterFolderError(
            f"{path}: {error.strerror}. Name the folder that holds {CONFIG_FILE} and"
            f" {WEIGHTS_FILE}."
        ) from error
    return AdapterFolder(path, names, config, start, size)


def require_trained_weights(folder: AdapterFolder) -> None:
    """The weights are those that the training card beside them is of, where there is one. Raises
    AdapterFolderError."""
    stated = _read_object(folder.path / CARD_FILE).get("adapter_sha256")
    if not isinstance(stated, str) or not folder.weights.is_file():
        return
    with folder.weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != stated.lower():
        raise AdapterFolderError(
            f"{folder.weights} is not the file that {CARD_FILE} is of: its SHA-256 is {found}, the"
            f" card's `adapter_sha256` {stated[:64]}. It was changed, cut off or mixed up with that"
            " of another training: copy the whole folder again. If you changed it yourself, delete"
            f" {CARD_FILE} and name the base with --base."
        )


def _start_of(path: Path, most: int) -> bytes | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(most)


def _read_weights(path: Path) -> tuple[bytes | None, int | None]:
    if not path.is_file():
        return None, None
    with path.open("rb") as file:
        size = path.stat()[stat.ST_SIZE]
        start = file.read(_START_BYTES)
        try:
            end = header_end(start, size)
        except InvalidSafetensorsError:
            return start, size
        return start + file.read(max(end - len(start), 0)), size


def data_of(folder: AdapterFolder) -> dict[str, Any]:
    """Which labels it was trained on, as the training card says, for POST /v1/loras; empty where it
    does not say."""
    data = _read_object(folder.path / CARD_FILE).get("data")
    match data:
        case {"label_set_hash": str(sha256), "rows": int(rows)}:
            return {"data_sha256": sha256, "data_labels": rows}
    return {}


def base_of(folder: AdapterFolder, named: str | None) -> str:
    """The id at Cloudflare of the base that it is for: as it was named, as the training card says,
    or by the model that it was trained on; raises AdapterFolderError."""
    said = named or _read_object(folder.path / CARD_FILE).get("cloudflare_base")
    if isinstance(said, str) and said:
        base = find_base(said)
        return said if base is None else base.id
    trained = _trained_on(folder)
    base = find_base(trained) if isinstance(trained, str) else None
    if base is not None:
        return base.id
    raise AdapterFolderError(
        f"{folder.path} does not say which base on Workers AI it is for. Name it with --base."
    )


def _trained_on(folder: AdapterFolder) -> object:
    try:
        return read_config(folder.config or b"").get("base_model_name_or_path")
    except InvalidJsonError:
        return None


def noted_name(path: Path) -> str | None:
    """The name under which `upload` or `register` has last seen it."""
    name = _read_object(path / NOTE_FILE).get("name")
    return name if isinstance(name, str) else None


def note(path: Path, name: str, base: str) -> None:
    text = json.dumps({"name": name, "model": base}) + "\n"
    try:
        # Somebody else's folder may have a link there that leads out of it.
        write_private(path / NOTE_FILE, text)
    except OSError as error:
        print(f"{path / NOTE_FILE} could not be written: {error.strerror}.")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return read_config(_start_of(path, MAX_CONFIG_BYTES + 1) or b"{}")
    except (InvalidJsonError, OSError):
        return {}
