"""Routers in the control plane: each with its own agents and settings, beside the router "default",
which is the installation's."""

from collections.abc import Mapping
from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.access.allowed import require_agents
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.learning.classifiers import require_usable
from edgeneuro.controlplane.models.models import require_available
from edgeneuro.domain.config import ROUTER_SETTINGS
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.router import (
    MAX_ROUTERS,
    NO_CLASSIFIER,
    Router,
    RouterCreate,
    RouterDeleted,
    RouterPatch,
)
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, ConstraintError, InvalidRequestError, NotFoundError
from edgeneuro.store import routers as store
from edgeneuro.store.sql import rfc3339

_MAX_NAMED = 5  # of those that use a router, in a message


async def list_routers(call: Call) -> Page[Router]:
    """List all routers: "default" with the installation's settings, then the others by id, each
    with its own settings; null is the installation's."""
    services = call.services
    others = await store.list_routers(services.db)
    return page_of([_default(await services.routing.fresh()), *others], limit=MAX_ROUTERS + 1)


async def create_router(call: Call, body: RouterCreate) -> Router:
    """Create a router. Requests name it as `router`, or as the model "auto:ID"."""
    services = call.services
    if body.id == DEFAULT_ROUTER:
        raise _exists(body.id)
    created = rfc3339(services.now_ms())
    router = Router(**body.model_dump(), created_at=created, updated_at=created)
    router = router.model_copy(update=await _checked(call, router, router.own()))
    try:
        rows = await commit(
            call,
            [store.insert_router(router)],
            action="create",
            resource="router",
            resource_id=router.id,
            after=router,
        )
    except ConstraintError as error:
        raise _exists(router.id) from error
    if not rows:
        raise ConflictError(
            f"There are {MAX_ROUTERS} routers already; delete one first.", code="too_many_routers"
        )
    return store.router_from_row(rows[0])


async def get_router(call: Call, router_id: str) -> Router:
    """Read one router, also "default"."""
    if router_id == DEFAULT_ROUTER:
        return _default(await call.services.routing.fresh())
    return await _find(call, router_id)


async def update_router(call: Call, router_id: str, body: RouterPatch) -> Router:
    """Change the fields that are in the body; null removes the router's own value. It holds from
    the next request on."""
    services = call.services
    before = await _find(call, router_id)
    changes = body.model_dump(include=body.model_fields_set)
    after = before.model_copy(update=changes)
    changes |= await _checked(call, after, changes)
    rows = await commit(
        call,
        [store.update_router(router_id, changes, now_ms=services.now_ms())],
        action="update",
        resource="router",
        resource_id=router_id,
        before=before,
        after=before.model_copy(update=changes),
    )
    if not rows:
        raise no_such_router(router_id, param="router_id")
    return store.router_from_row(rows[0])


async def delete_router(call: Call, router_id: str) -> RouterDeleted:
    """Delete a router that no key, user, team or rule names. Its agents stay, and its log entries
    keep its name."""
    before = await _find(call, router_id)
    rows = await commit(
        call,
        [store.delete_router(router_id)],
        action="delete",
        resource="router",
        resource_id=router_id,
        before=before,
    )
    if not rows:
        raise await _in_use(call, router_id)
    return RouterDeleted(id=router_id)


def _default(config: RoutingConfig) -> Router:
    settings = {name: getattr(config, name) for name in ROUTER_SETTINGS}
    agent = config.default_agent
    return Router(id=DEFAULT_ROUTER, default_agent=None if agent is None else agent.id, **settings)


async def _find(call: Call, router_id: str) -> Router:
    if router_id == DEFAULT_ROUTER:
        raise ConflictError(
            "The router 'default' is the installation itself: it cannot be deleted, it has all"
            " agents, and PATCH /v1/config changes its settings.",
            code="default_router",
            param="router_id",
        )
    router = await store.get_router(call.services.db, router_id)
    if router is None:
        raise no_such_router(router_id, param="router_id")
    return router


async def _checked(call: Call, router: Router, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes of settings with ids for the aliases of models. Raises InvalidRequestError where
    the router as it will be, or one of the changes, names what cannot be used."""
    await _require_agents(call, router)
    found = models_of(await call.services.routing.fresh(), changes)
    if changes.get("classifier") not in (None, NO_CLASSIFIER):
        await require_usable(call, changes["classifier"], param="classifier")
    return found


def models_of(config: RoutingConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The models that these settings name, by their ids. Raises InvalidRequestError."""
    found: dict[str, Any] = {}
    if settings.get("routing_model") is not None:
        model = require_available(config, settings["routing_model"], param="routing_model")
        found["routing_model"] = model.id
    if settings.get("fallback_models") is not None:
        found["fallback_models"] = [
            require_available(config, name, param=f"fallback_models[{index}]").id
            for index, name in enumerate(settings["fallback_models"])
        ]
    return found


def check_default_agent(router: Router) -> None:
    """Raises InvalidRequestError if the fallback agent is none of the router's agents."""
    default = router.default_agent
    if router.agents is not None and default is not None and default not in router.agents:
        raise InvalidRequestError(
            f"default_agent: {default!r} is not among the router's `agents`. Add it there, or name"
            " one of them.",
            param="default_agent",
        )


async def _require_agents(call: Call, router: Router) -> None:
    default = router.default_agent
    check_default_agent(router)
    await require_agents(call, router.agents)
    if router.agents is None and default is not None:
        await require_agents(call, [default], param="default_agent")


async def _in_use(call: Call, router_id: str) -> ConflictError | NotFoundError:
    uses = await store.read_uses(call.services.db, router_id)
    if not uses:
        return no_such_router(router_id, param="router_id")
    named = ", ".join(f"{row['kind']} {row['name'] or row['id']!r}" for row in uses[:_MAX_NAMED])
    more = ", …" if len(uses) > _MAX_NAMED else ""
    return ConflictError(
        f"The router {router_id!r} is named by {named}{more}. Change or delete these first.",
        code="router_in_use",
    )


def _exists(router_id: str) -> ConflictError:
    return ConflictError(
        f"There is a router {router_id!r} already; change it with PATCH, or choose another id.",
        code="router_exists",
        param="id",
    )


def no_such_router(router_id: str, *, param: str) -> NotFoundError:
    return NotFoundError(
        f"There is no router {router_id[:100]!r}. GET /v1/routers lists them.",
        code="unknown_router",
        param=param,
    )
