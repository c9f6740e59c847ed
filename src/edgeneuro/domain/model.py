"""Models: what can be asked. A model is a base model, or an adapter (LoRA) on one under its own
id."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeneuro.domain.agent import ModelId


class Pricing(BaseModel):
    """USD per million tokens."""

    input_per_million: float
    output_per_million: float
    currency: Literal["USD"] = "USD"


class Model(BaseModel):
    """OpenAI's model object with our fields beside it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    type: Literal["base", "lora", "classifier"]
    base_model: str
    adapter: str | None
    status: Literal["available", "not_ready", "retired"]
    active: bool = False
    supports_lora: bool
    context_window: int | None
    pricing: Pricing | None


class ModelSelect(BaseModel):
    """`expected_active` refuses the change when somebody else has changed the active model
    before."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model_id: ModelId
    expected_active: ModelId | None = None


class ModelSelection(BaseModel):
    object: Literal["model.selection"] = "model.selection"
    active: str
    previous: str
