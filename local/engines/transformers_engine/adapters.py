"""The adapters on a base model, by PEFT: loaded once, the last few kept, one applied at a time."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model_state_dict
from peft import set_peft_model_state_dict as set_weights
from safetensors.torch import load_file
from torch import nn

from local.engines import Adapter
from local.errors import AiError
from local.finetunes import WEIGHTS_FILE

KEPT = 8
_NO_ADAPTER = "none"


class Shelf:
    """Used by one thread. The weights of the base are shared by all."""

    def __init__(self, model: Any, *, kept: int = KEPT) -> None:
        self._model = model
        self._kept = kept
        self._peft: Any = None
        self._names: OrderedDict[Path, str] = OrderedDict()
        self._broken: dict[Path, str] = {}
        self._numbers = count()

    @contextmanager
    def applied(self, adapter: Adapter | None) -> Iterator[None]:
        """Raises AiError for one that cannot be applied. One without files changes nothing."""
        folder = None if adapter is None else adapter.folder
        if folder is not None:
            self._peft_model().set_adapter(self._name(folder))
            yield
        elif self._peft is None:
            yield
        else:
            with self._peft.disable_adapter():
                yield

    def _name(self, folder: Path) -> str:
        if folder in self._broken:
            raise _cannot_apply(self._broken[folder])
        if folder not in self._names:
            self._names[folder] = self._load(folder)
        self._names.move_to_end(folder)
        while len(self._names) > self._kept:
            _, oldest = self._names.popitem(last=False)
            self._take_off(oldest)
        return self._names[folder]

    def _load(self, folder: Path) -> str:
        name = f"adapter_{next(self._numbers)}"
        try:
            with _quiet():  # of a key that PEFT does not know
                _add(self._peft_model(), name, folder)
        except Exception as error:  # PEFT and safetensors raise anything on what others wrote
            if name in self._peft_model().peft_config:
                self._take_off(name)
            self._broken[folder] = str(error).strip().splitlines()[0] if str(error) else repr(error)
            raise _cannot_apply(self._broken[folder]) from error
        return name

    def _take_off(self, name: str) -> None:
        with _quiet():  # of another one becoming active
            self._peft.delete_adapter(name)

    def _peft_model(self) -> Any:
        """Made around an adapter that does nothing, so that a broken first one can be taken off."""
        if self._peft is None:
            linear = next(n for n, m in self._model.named_modules() if isinstance(m, nn.Linear))
            blank = LoraConfig(r=1, target_modules=[linear], inference_mode=True)
            with _quiet():  # of what PEFT has not yet followed in transformers
                self._peft = PeftModel(self._model, blank, adapter_name=_NO_ADAPTER)
        return self._peft


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _add(peft: Any, name: str, folder: Path) -> None:
    config = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig):
        raise ValueError(f"peft_type is {config.peft_type}, but must be LORA")
    config.init_lora_weights = True  # other ways would change the weights of the base
    config.inference_mode = True
    weights = load_file(str(folder / WEIGHTS_FILE))
    peft.add_adapter(name, config)
    unknown = set_weights(peft, weights, adapter_name=name).unexpected_keys
    if unknown:
        raise ValueError(f"the base has no place for {unknown[0]}")
    missing = sorted(set(get_peft_model_state_dict(peft, adapter_name=name)) - set(weights))
    if missing:
        raise ValueError(f"{WEIGHTS_FILE} lacks {missing[0]}")
    peft.eval()


def _cannot_apply(why: str) -> AiError:
    return AiError(3043, f"Internal server error: the adapter cannot be applied: {why}")
