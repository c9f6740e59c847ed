"""The result of the pre-flight: one check per rule, and all of them as a report."""

from dataclasses import dataclass

from edgeneuro.adapter.bases import MAX_ADAPTERS

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
RULES = (
    "files",
    "config_json",
    "peft_type",
    "rank",
    "alpha",
    "target_modules",
    "model_type",
    "base_match",
    "base_supports_lora",
    "not_quantised",
    "size",
    "weights_format",
    "tensors",
    "dtype",
    "shapes",
    "slots",
)


@dataclass(frozen=True)
class Check:
    """`passed` is None if it could not be decided here; `message` then says why. It is empty if the
    check passed."""

    rule: str
    passed: bool | None
    found: str
    message: str = ""


@dataclass(frozen=True)
class Report:
    """`checks` has one check for each of RULES, in their order. The other fields are None or empty
    if the files do not have them, or not in a usable form. `config_to_upload` is the configuration
    in the form that Workers AI documents."""

    checks: tuple[Check, ...]
    rank: int | None = None
    target_modules: tuple[str, ...] = ()
    model_type: str | None = None
    parameters: int | None = None
    config_to_upload: bytes | None = None

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.passed is False)


@dataclass(frozen=True)
class AdapterFacts:
    """What the files do not say. `base` is the id of the model that the adapter is for,
    `supports_lora` is from the catalogue, if it says so; `slots_used` is that of the account."""

    base: str
    supports_lora: bool | None = None
    slots_used: int | None = None
    slots: int = MAX_ADAPTERS


def passed(rule: str, found: str) -> Check:
    return Check(rule, True, found)


def failed(rule: str, found: str, message: str) -> Check:
    return Check(rule, False, found, message)


def unjudged(rule: str, found: str, message: str) -> Check:
    return Check(rule, None, found, message)
