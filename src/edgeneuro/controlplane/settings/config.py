"""Settings in the control plane: what is in force and where it comes from, and storing others."""

from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.learning.classifier_selection import require_usable
from edgeneuro.controlplane.models.models import require_available
from edgeneuro.domain.config import Config, ConfigPatch, Setting
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import STATE, RoutingConfig, StoredConfig
from edgeneuro.store.config import delete_settings, store_settings

_OF_VARS = ("routing_model", "fallback_models")


async def get_config(call: Call) -> Config:
    """Read the settings, each with its source."""
    return _shown(await call.services.routing.fresh())


async def update_config(call: Call, body: ConfigPatch) -> Config:
    """Store settings; null takes a stored one away. All of them are written, or none."""
    before = await call.services.routing.fresh()
    changes = body.model_dump(include=body.model_fields_set)
    active = _require_models(before, changes, var=call.services.settings.routing_model)
    if changes.get("classifier") is not None:
        await require_usable(call, changes["classifier"], param="classifier")
    if not changes:
        return _shown(before)
    if active.id != before.active.id:
        changes = {**before.activation(active), **changes}
        if before.challenger is not None:
            changes["challenger"] = None  # it was compared with another active model
    stored = {name: value for name, value in changes.items() if value is not None}
    gone = [name for name, value in changes.items() if value is None]
    # The statement that always changes something goes last: the audit row hangs on it.
    statements = [delete_settings(gone)] if gone else []
    if stored:
        statements.append(store_settings(stored, now_ms=call.services.now_ms()))
    await commit(
        call,
        statements,
        action="update",
        resource="config",
        resource_id="config",
        before=before.stored,
        after=before.stored.model_copy(
            update=changes | {name: StoredConfig.model_fields[name].default for name in gone}
        ),
    )
    return _shown(await call.services.routing.fresh())


def _require_models(config: RoutingConfig, changes: dict[str, Any], *, var: str) -> Model:
    """Returns the model that the changes make the active one, or leave so."""
    active = config.active
    if "routing_model" in changes:
        name = changes["routing_model"] or var
        active = require_available(config, name, param="routing_model")
    for index, model_id in enumerate(changes.get("fallback_models") or ()):
        require_available(config, model_id, param=f"fallback_models[{index}]")
    return active


def _shown(config: RoutingConfig) -> Config:
    values = config.stored.model_dump(exclude=STATE)
    in_force = {
        **values,
        "routing_model": config.active.id,
        "fallback_models": [model.id for model in config.fallbacks],
    }
    return Config.model_validate(
        {name: _setting(config, name, value) for name, value in in_force.items()}
    )


def _setting(config: RoutingConfig, name: str, value: object) -> Setting:
    if name in config.stored.model_fields_set and name not in config.stale:
        return Setting(value=value, source="stored")
    return Setting(value=value, source="var" if name in _OF_VARS else "default")
