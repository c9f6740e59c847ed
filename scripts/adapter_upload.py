"""Uploads an adapter to Cloudflare: the finetune, then its files. After a failure the same command
continues where it stopped."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgeneuro.adapter.preflight import CONFIG_FILE, WEIGHTS_FILE
from scripts.finetunes import Finetune, Finetunes, FinetunesError

_WIDTH = 30
_PERMISSION = " The token needs the permission Workers AI: Edit."


class UploadError(Exception):
    """What failed, what is there, and how to go on."""


def find(finetunes: list[Finetune], name: str, model: str) -> Finetune | None:
    """The one of this name; raises UploadError where it is for another model."""
    found = next((each for each in finetunes if each.name == name), None)
    # The vendor's part is written in more than one way.
    if found and found.model and found.model.rpartition("/")[2] != model.rpartition("/")[2]:
        raise UploadError(
            f"There is a finetune {name} already, for {found.model}. Choose another --name."
        )
    return found


def upload(
    api: Finetunes,
    folder: Path,
    config: bytes,
    *,
    name: str,
    model: str,
    found: Finetune | None,
) -> None:
    """Sends `config` as the configuration, and the weights of the folder. Raises UploadError."""
    with tempfile.TemporaryDirectory() as scratch:
        config_file = Path(scratch) / CONFIG_FILE
        config_file.write_bytes(config)
        _upload(api, [config_file, folder / WEIGHTS_FILE], name=name, model=model, found=found)


def _upload(
    api: Finetunes, files: Sequence[Path], *, name: str, model: str, found: Finetune | None
) -> None:
    finetune = found or _create(api, name, model)
    there: list[str] = []
    sent = False
    for path in files:
        file = path.name
        try:
            bar = Bar(file, path.stat().st_size)
            api.send_file(finetune, path, bar.show)
            bar.end("sent")
            sent = True
        except FinetunesError as error:
            if found is None or not error.there_already:
                raise UploadError(_left_over(finetune, file, there, error)) from error
            print(f"  {file}: was there already")
        except OSError as error:
            raise UploadError(_left_over(finetune, file, there, error)) from error
        there.append(file)
    if sent:
        print(f"The finetune {name} ({finetune.id}) is there with both files.")
    else:
        print(
            f"The finetune {name} ({finetune.id}) was there already with both files. Cloudflare"
            " does"
            " not replace files: a new training needs a new --name."
        )


def _create(api: Finetunes, name: str, model: str) -> Finetune:
    try:
        made = api.create(name, model)
    except FinetunesError as error:
        now = (
            "Nothing was created."
            if error.is_certain
            else "Whether it was created is not known; the same command finds out and continues."
        )
        hint = _PERMISSION if error.status in (401, 403) else ""
        raise UploadError(f"The finetune {name} was not created: {error}. {now}{hint}") from error
    print(f"  created {name} ({made.id}) for {model}")
    return made


def _left_over(finetune: Finetune, file: str, there: list[str], error: Exception) -> str:
    having = f"with {' and '.join(there)}" if there else "without files"
    hint = _PERMISSION if getattr(error, "status", None) in (401, 403) else ""
    return (
        f"{file} was not sent: {error}. The finetune {finetune.name} ({finetune.id}) is there,"
        f" {having}; it cannot be used until both files are. The same command continues from"
        f" there.{hint}"
    )


class Bar:
    """The progress of a file in a terminal; elsewhere only its end."""

    def __init__(self, title: str, size: int) -> None:
        self._title = title
        self._size = size
        self._shown = -1

    def show(self, sent: int) -> None:
        percent = 100 if not self._size else 100 * sent // self._size
        if percent != self._shown and sys.stderr.isatty():
            self._shown = percent
            full = "#" * (_WIDTH * percent // 100)
            print(f"\r  {self._title} [{full:<{_WIDTH}}] {percent} %", end="", file=sys.stderr)

    def end(self, word: str) -> None:
        if self._shown >= 0:
            print("\r\033[K", end="", file=sys.stderr)
        print(f"  {self._title}: {word}, {self._size:,} bytes", flush=True)
