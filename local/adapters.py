"""Finds the adapter that a call names in `lora`: a finetune, or one that exists without files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local.catalogue import Model
from local.engines import Adapter
from local.errors import AiError
from local.finetunes import FILES, FinetuneStore

FindAdapter = Callable[[Model, str], Adapter]


@dataclass(frozen=True)
class Adapters:
    """`names` are of adapters without files."""

    finetunes: FinetuneStore
    names: frozenset[str] = frozenset()

    def find(self, model: Model, name: str) -> Adapter:
        """By name or id. Raises 3037 and 3039; that an adapter of another model is 3037 too is an
        assumption."""
        finetune = self.finetunes.find(name)
        if finetune is None:
            return Adapter(name) if name in self.names else no_adapter(model, name)
        if finetune.model != model.id:
            raise AiError(
                3037, f"Finetune {name} not found for {model.id}: it is of {finetune.model}"
            )
        missing = self.finetunes.missing(finetune)
        if missing:
            raise AiError(
                3039,
                f"Finetune is missing required files ({' and '.join(FILES)}): "
                f"{' and '.join(missing)} of {name} was not uploaded",
            )
        return Adapter(finetune.name, self.finetunes.folder(finetune))


def no_adapter(model: Model, name: str) -> Adapter:
    """Where there are none."""
    raise AiError(3037, f"Finetune {name} not found")
