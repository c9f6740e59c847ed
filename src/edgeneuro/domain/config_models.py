"""Settings in requests and responses: all with their sources, a patch of all, those of a router and
those that decide. The fields are the settings as they are declared (config.py)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeneuro.domain.config import (
    DECIDING_SETTINGS,
    ROUTER_SETTINGS,
    SETTINGS,
    with_settings,
)
from edgeneuro.domain.fields import hide_defaults, renamed
from edgeneuro.domain.setting import About


def _described(about: About) -> Any:
    unit = {} if about.unit is None else {"x-unit": about.unit}
    return Field(None, description=about.text, json_schema_extra={"x-group": about.group, **unit})


class Setting(BaseModel):
    """`source` says where the value comes from: stored by the control plane, a variable of
    wrangler.toml, or EdgeNeuro's default."""

    value: Any
    source: Literal["stored", "var", "default"]


@with_settings(lambda each: (Setting, Field(description=each.about.text)))
class Config(BaseModel):
    """The settings in force, each with its source."""

    object: Literal["config"] = "config"


@with_settings(lambda each: (each.type | None, _described(each.about)))
class ConfigPatch(BaseModel):
    """A field that is left out stays as it is; null removes the stored value, so that the variable
    or the default applies."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    @model_validator(mode="before")
    @classmethod
    def _deprecated_names(cls, given: object) -> object:
        old = {old: name for name, each in SETTINGS.items() for old in each.about.deprecated}
        return renamed(given, old)


# Adds the settings of which a router may have its own value; null is the installation's.
with_router_settings = with_settings(
    lambda each: (each.type | None, _described(each.about)), ROUTER_SETTINGS
)


@with_settings(lambda each: (each.type | None, _described(each.about)), DECIDING_SETTINGS)
class DecidingSettings(BaseModel):
    """The settings that change which agent is decided on. A field that is left out stays as it is;
    null stands for the default."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)
