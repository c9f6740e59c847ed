"""What `python -m local` reads from the environment, checked once before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.engines.dataset_table import Mistakes

EngineName = Literal["minilm", "emulated", "openai", "transformers", "dataset"]
Dtype = Literal["float32", "bfloat16"]
DecisionsApi = Literal["systemone", "decisions"]

DEFAULT_PORT = 8788
DEFAULT_ADAPTERS = "intent-routing-v1"


class SettingsError(Exception):
    """A mistake in the configuration; the text is one sentence."""


@dataclass(frozen=True)
class Settings:
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    engine: EngineName = "minilm"
    url: str = ""
    model: str = ""
    key: str = ""
    adapters: frozenset[str] = frozenset({DEFAULT_ADAPTERS})
    dtype: Dtype = "float32"
    decisions: DecisionsApi = "systemone"
    finetunes: Path | None = None  # None: a temporary folder
    data: tuple[Path, ...] = ()
    right: float = 1.0
    mistakes: Mistakes = "independent"
    seed: int = 0


def read_settings(env: Mapping[str, str]) -> Settings:
    engine = _engine(env.get("LOCAL_AI_ENGINE", "").strip() or "minilm")
    finetunes = env.get("LOCAL_AI_FINETUNES", "").strip()
    names = env.get("LOCAL_AI_ADAPTERS", DEFAULT_ADAPTERS).split(",")
    return Settings(
        host=env.get("LOCAL_AI_HOST", "").strip() or "127.0.0.1",
        port=_port(env.get("LOCAL_AI_PORT", "").strip() or str(DEFAULT_PORT)),
        engine=engine,
        url=_url(env.get("LOCAL_AI_URL", "").strip(), engine),
        model=_model(env.get("LOCAL_AI_MODEL", "").strip(), engine),
        key=env.get("LOCAL_AI_KEY", "").strip(),
        adapters=frozenset(name.strip() for name in names if name.strip()),
        dtype=_dtype(env.get("LOCAL_AI_DTYPE", "").strip() or "float32"),
        decisions=_decisions(env.get("LOCAL_AI_DECISIONS", "").strip() or "systemone"),
        finetunes=Path(finetunes).expanduser() if finetunes else None,
        data=_data(env.get("LOCAL_AI_DATA", "").strip(), engine),
        right=_right(env.get("LOCAL_AI_RIGHT", "").strip() or "1"),
        mistakes=_mistakes(env.get("LOCAL_AI_MISTAKES", "").strip() or "independent"),
        seed=_seed(env.get("LOCAL_AI_SEED", "").strip() or "0"),
    )


def _engine(value: str) -> EngineName:
    match value:
        case "minilm" | "emulated" | "openai" | "transformers" | "dataset":
            return value
        case "stand-in":  # the former name, until the next version
            return "emulated"
    raise SettingsError(
        f"LOCAL_AI_ENGINE is {value!r}, but must be 'minilm', 'emulated', 'openai',"
        " 'transformers' or 'dataset'."
    )


def _model(value: str, engine: EngineName) -> str:
    if engine == "transformers" and not value:
        raise SettingsError(
            "LOCAL_AI_ENGINE is 'transformers', so LOCAL_AI_MODEL must name a model: an id of the "
            "Hugging Face Hub, a folder or a .gguf file."
        )
    return value


def _dtype(value: str) -> Dtype:
    match value:
        case "float32" | "bfloat16":
            return value
    raise SettingsError(f"LOCAL_AI_DTYPE is {value!r}, but must be 'float32' or 'bfloat16'.")


def _decisions(value: str) -> DecisionsApi:
    match value:
        case "systemone" | "decisions":
            return value
    raise SettingsError(f"LOCAL_AI_DECISIONS is {value!r}, but must be 'systemone' or 'decisions'.")


def _port(value: str) -> int:
    if value.isascii() and value.isdigit() and int(value) <= 65535:
        return int(value)
    raise SettingsError(f"LOCAL_AI_PORT is {value!r}, but must be a port number from 0 to 65535.")


def _url(value: str, engine: EngineName) -> str:
    if engine != "openai":
        return value.rstrip("/")
    if not value:
        raise SettingsError(
            "LOCAL_AI_ENGINE is 'openai', so LOCAL_AI_URL must name the server, "
            "for example http://127.0.0.1:8080/v1."
        )
    if not value.startswith(("http://", "https://")):
        raise SettingsError(f"LOCAL_AI_URL is {value!r}, but must start with http:// or https://.")
    return value.rstrip("/")


def _data(value: str, engine: EngineName) -> tuple[Path, ...]:
    if engine == "dataset" and not value:
        raise SettingsError(
            "LOCAL_AI_ENGINE is 'dataset', so LOCAL_AI_DATA must name its JSONL files, separated by"
            f" {os.pathsep!r}."
        )
    return tuple(Path(each).expanduser() for each in value.split(os.pathsep) if each)


def _right(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"LOCAL_AI_RIGHT is {value!r}, but must be a share from 0 to 1.")
    return share


def _mistakes(value: str) -> Mistakes:
    match value:
        case "independent" | "systematic":
            return value
    raise SettingsError(
        f"LOCAL_AI_MISTAKES is {value!r}, but must be 'independent' or 'systematic'."
    )


def _seed(value: str) -> int:
    if value.isascii() and value.isdigit():
        return int(value)
    raise SettingsError(f"LOCAL_AI_SEED is {value!r}, but must be a whole number.")
