"""LoRA adapters in the control plane: from two files to a model that can be selected."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.fields import INTEGRAL, Matches, Page
from edgeneuro.domain.label import DataSnapshot, Sha256

ID_PREFIX = "lora"
# A finetune's name at Workers AI, which is a part of addresses there.
LoraName = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
        "must be 1 to 100 letters, digits, dots, hyphens and underscores, with a letter or a digit"
        " first",
    ),
]
LoraState = Literal["queued", "running", "available", "failed", "retired"]
Source = Literal["files", "finetune"]
StepName = Literal["find", "create", "upload_config", "upload_weights", "probe", "register"]
STEPS: dict[Source, tuple[StepName, ...]] = {
    "files": ("create", "upload_config", "upload_weights", "probe", "register"),
    "finetune": ("find", "probe", "register"),
}


class LoraCreate(BaseModel):
    """As JSON: a finetune that is already at Workers AI, by its name there. As multipart/form-data:
    the same fields, and the files `adapter_config.json` and `adapter_model.safetensors`.
    `data_sha256` is the `label_set_hash` of the export that it was trained on, `data_labels` how
    many lines that had; both are shown as `data`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: LoraName
    base_model: ModelId
    data_sha256: Sha256 | None = None
    data_labels: Annotated[int, Field(ge=0, le=10_000_000), INTEGRAL] | None = None

    @property
    def data(self) -> DataSnapshot | None:
        if self.data_sha256 is None:
            return None
        return DataSnapshot(labels=self.data_labels, newest_label_id=None, sha256=self.data_sha256)


class LoraStep(BaseModel):
    """`message` is the result, or the last error."""

    name: StepName
    state: Literal["waiting", "done", "failed"] = "waiting"
    at: str | None = None
    message: str | None = None


class LoraError(BaseModel):
    """`code` and `message` of the failure in `step`; null: the job itself failed. With `retryable`
    a retry may succeed without changes; otherwise the message says what to do."""

    step: StepName | None = None
    code: str
    message: str
    retryable: bool


class PreflightCheck(BaseModel):
    """`passed` null: it cannot be checked here, and `message` says why."""

    rule: str
    passed: bool | None
    found: str
    message: str


class Preflight(BaseModel):
    """The results of the rules for an adapter's files; nothing is stored."""

    object: Literal["lora.preflight"] = "lora.preflight"
    ok: bool
    checks: list[PreflightCheck]
    rank: int | None
    target_modules: list[str]
    parameters: int | None
    size: int | None


class Lora(BaseModel):
    """An adapter and its state. `source` "finetune" was uploaded elsewhere. `size` (bytes) and
    `checksum` (SHA-256) are those of adapter_model.safetensors. `model_id` is the model that it
    becomes when it is available; `tries` counts those of the next step."""

    object: Literal["lora"] = "lora"
    id: str
    name: str
    base_model: str
    state: LoraState
    source: Source
    created_at: str
    created_by: str
    finished_at: str | None
    tries: int
    steps: list[LoraStep]
    error: LoraError | None
    finetune_id: str | None
    preflight: list[PreflightCheck]
    size: int | None
    checksum: str | None
    rank: int | None
    target_modules: list[str]
    data: DataSnapshot | None = None
    model_id: str | None = None
    active: bool = False

    @property
    def next_step(self) -> LoraStep | None:
        return next((step for step in self.steps if step.state != "done"), None)


class Slots(BaseModel):
    """The adapters that an account may have; `used` null: Workers AI did not answer."""

    used: int | None
    total: int


class LoraDrift(BaseModel):
    """Differences between Workers AI's list and this one: `missing` there, on an `other_base`
    there, or `unknown` here."""

    name: str
    problem: Literal["missing", "other_base", "unknown"]
    message: str


class LoraPage(Page[Lora]):
    """`drift` is null, and `drift_error` says why, if Workers AI's list could not be read."""

    slots: Slots
    drift: list[LoraDrift] | None
    drift_error: str | None


class LoraCheck(BaseModel):
    """An adapter as Workers AI has it now: whether its list has it, and the response to a question.
    `listed` null: the list could not be read."""

    object: Literal["lora.check"] = "lora.check"
    id: str
    ok: bool
    listed: bool | None
    drift: LoraDrift | None
    probe: str
