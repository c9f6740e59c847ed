"""Settings in the control plane: the values in force and their source, storing others, and flushing
the caches of answers."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import Change, commit, commit_change
from edgeneuro.controlplane.learning.classifiers import require_usable
from edgeneuro.controlplane.models.models import require_available, require_embedding
from edgeneuro.domain.config import SETTINGS, StoredConfig
from edgeneuro.domain.config_models import Config, ConfigPatch, Setting
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.setting import Declared
from edgeneuro.services import Services
from edgeneuro.store.answer_cache import CHATS, DECISIONS
from edgeneuro.store.config import delete_settings, store_settings


class CacheEpoch(BaseModel):
    """The number of the last flush, as the audit log has it."""

    epoch: int


class CacheFlushed(BaseModel):
    """`decisions` and `chats` are the cached answers that were deleted from D1. All isolates and AI
    Gateway use new cache keys within 5 seconds."""

    object: Literal["cache.flushed"] = "cache.flushed"
    epoch: int
    decisions: int
    chats: int


async def get_config(call: Call) -> Config:
    """Read the settings, each with its source."""
    return _shown(await call.services.routing.fresh())


async def update_config(call: Call, body: ConfigPatch) -> Config:
    """Store settings; null removes a stored one. All of them are written, or none."""
    before = await call.services.routing.fresh()
    changes = body.model_dump(include=body.model_fields_set)
    active = _require_models(before, changes, var=call.services.settings.routing_model)
    if changes.get("classifier") is not None:
        await require_usable(call, changes["classifier"], param="classifier")
    if changes.get("embedding_model") is not None:
        require_embedding(before, changes["embedding_model"], param="embedding_model")
    planned = plan_settings(call.services, before, changes, active=active)
    if planned is None:
        return _shown(before)
    await commit_change(call, planned)
    return _shown(await call.services.routing.fresh())


def plan_settings(
    services: Services, before: RoutingConfig, changes: Mapping[str, Any], *, active: Model
) -> Change | None:
    """Stores settings that were checked; null removes a stored one. `active` is the active model
    afterwards. None if nothing changes."""
    if not changes:
        return None
    values = dict(changes)
    if active.id != before.active.id:
        values = {**before.activation(active), **values}
        if before.challenger is not None:
            values["challenger"] = None  # it was compared with another active model
    stored = {name: value for name, value in values.items() if value is not None}
    gone = [name for name, value in values.items() if value is None]
    # The statement that always changes something is the last: the audit row depends on it.
    statements = [delete_settings(gone)] if gone else []
    if stored:
        statements.append(store_settings(stored, now_ms=services.now_ms()))
    return Change(
        statements=statements,
        action="update",
        resource="config",
        resource_id="config",
        before=before.stored,
        after=before.stored.model_copy(
            update=values | {name: StoredConfig.model_fields[name].default for name in gone}
        ),
    )


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
    shown = {name: _setting(config, name, each) for name, each in SETTINGS.items()}
    return Config.model_validate(shown)


def _setting(config: RoutingConfig, name: str, declared: Declared) -> Setting:
    value = getattr(config, name)
    if name in config.stored.model_fields_set and name not in config.stale:
        return Setting(value=value, source="stored")
    return Setting(value=value, source="var" if declared.about.variable else "default")


async def flush_cache(call: Call) -> CacheFlushed:
    """Remove all cached answers, of routing and of chats: in D1 and this isolate immediately, in
    every other isolate and AI Gateway's cache within 5 seconds. Labels and settings stay."""
    services = call.services
    before = (await services.routing.fresh()).stored.cache_epoch
    # The epoch first: from then on no request finds an old answer, even if the deletion fails.
    await commit(
        call,
        [store_settings({"cache_epoch": before + 1}, now_ms=services.now_ms())],
        action="flush",
        resource="cache",
        resource_id="cache",
        before=CacheEpoch(epoch=before),
        after=CacheEpoch(epoch=before + 1),
    )
    services.recent_answers.clear()
    services.recent_chats.clear()
    return CacheFlushed(
        epoch=before + 1,
        decisions=await DECISIONS.flush(services.db),
        chats=await CHATS.flush(services.db),
    )
