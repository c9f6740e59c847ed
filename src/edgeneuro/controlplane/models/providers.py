"""Providers in the control plane: vendors behind AI Gateway, and the names of their secrets."""

from collections.abc import Iterable, Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.provider import (
    ADDRESS_NEEDED,
    DECISION_KINDS,
    HOSTS_VAR,
    Kind,
    Provider,
    ProviderCreate,
    ProviderDeleted,
    ProviderPatch,
    is_provider_secret,
    may_send_secret,
)
from edgeneuro.errors import ConflictError, ConstraintError, InvalidRequestError, NotFoundError
from edgeneuro.services import Services
from edgeneuro.store import providers as store
from edgeneuro.store.sql import rfc3339


async def list_providers(call: Call, query: PageQuery) -> Page[Provider]:
    """List providers by id."""
    found = await store.list_providers(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of([_shown(call, provider) for provider in found], limit=query.limit)


async def create_provider(call: Call, body: ProviderCreate) -> Provider:
    """Add a provider. Set its key as a Worker secret, and give the secret's name here."""
    provider = new_provider(call.services, body)
    check_provider(call.services, provider)
    try:
        await commit(
            call,
            [store.insert_provider(provider)],
            action="create",
            resource="provider",
            resource_id=provider.id,
            after=provider,
        )
    except ConstraintError as error:
        raise ConflictError(
            f"There is a provider {body.id!r} already; change it with PATCH.",
            code="provider_exists",
            param="id",
        ) from error
    return _shown(call, provider)


async def get_provider(call: Call, provider_id: str) -> Provider:
    """Read one provider."""
    provider = await store.get_provider(call.services.db, provider_id)
    if provider is None:
        raise NotFoundError(
            f"There is no provider {provider_id[:100]!r}. GET /v1/providers lists them.",
            code="unknown_provider",
            param="provider_id",
        )
    return _shown(call, provider)


async def update_provider(call: Call, provider_id: str, body: ProviderPatch) -> Provider:
    """Change the fields that are in the body. Another `base_url` removes the `secret`, unless the
    body names it again."""
    before = await get_provider(call, provider_id)
    changes = body.model_dump(include=body.model_fields_set)
    models = changes.get("models", before.models)
    if "prices" in changes:
        _require_listed(changes["prices"], models)
    elif "models" in changes:  # the price of a model that is no longer listed goes with it
        prices = before.model_dump()["prices"]
        changes["prices"] = {name: price for name, price in prices.items() if name in models}
    if "decision_models" in changes:
        _require_decision_models(before.kind, changes["decision_models"], models)
    elif "models" in changes and before.decision_models is not None:
        kept = [name for name in before.decision_models if name in models]
        changes["decision_models"] = kept
    if before.kind in ADDRESS_NEEDED and changes.get("base_url", "kept") is None:
        raise InvalidRequestError(
            f"base_url: a provider of kind {before.kind!r} needs one.", param="base_url"
        )
    if changes.get("base_url", before.base_url) != before.base_url:
        changes.setdefault("secret", None)
    after = Provider.model_validate(before.model_dump() | changes)
    if "base_url" in changes or "secret" in changes:
        _require_named_host(call.services, after)
    rows = await commit(
        call,
        [store.update_provider(provider_id, changes, now_ms=call.services.now_ms())],
        action="update",
        resource="provider",
        resource_id=provider_id,
        before=before,
        after=after,
    )
    if not rows:
        await get_provider(call, provider_id)
    return _shown(call, store.provider_from_row(rows[0]))


async def delete_provider(call: Call, provider_id: str) -> ProviderDeleted:
    """Delete a provider. The Worker secret is not deleted."""
    before = await get_provider(call, provider_id)
    await commit(
        call,
        [store.delete_provider(provider_id)],
        action="delete",
        resource="provider",
        resource_id=provider_id,
        before=before,
    )
    return ProviderDeleted(id=provider_id)


def new_provider(services: Services, body: ProviderCreate) -> Provider:
    created = rfc3339(services.now_ms())
    return Provider(**body.model_dump(), created_at=created, updated_at=created)


def check_provider(services: Services, provider: Provider) -> None:
    """Whether there can be such a provider. Raises InvalidRequestError."""
    _require_listed(provider.prices, provider.models)
    _require_decision_models(provider.kind, provider.decision_models, provider.models)
    _require_named_host(services, provider)


def _require_listed(prices: Iterable[str], models: Sequence[str]) -> None:
    for name in prices:
        if name not in models:
            raise InvalidRequestError(
                f"prices: {name!r} is none of the provider's `models`; add it there, or remove its"
                " price.",
                param=f"prices.{name}",
            )


def _require_decision_models(
    kind: Kind, named: Sequence[str] | None, models: Sequence[str]
) -> None:
    if named and kind not in DECISION_KINDS:
        reason = (
            "all models of a provider of kind 'systemone' are decision models"
            if kind == "systemone"
            else f"a provider of kind {kind!r} is not known to have other decision models than"
            " those of Workers AI"
        )
        raise InvalidRequestError(
            f"decision_models: {reason}; leave the field out.", param="decision_models"
        )
    for index, name in enumerate(named or ()):
        if name not in models:
            raise InvalidRequestError(
                f"decision_models[{index}]: {name!r} is none of the provider's `models`; add it"
                " there, or remove it here.",
                param=f"decision_models[{index}]",
            )


def _require_named_host(services: Services, provider: Provider) -> None:
    hosts = services.settings.provider_hosts
    if provider.secret is not None and not may_send_secret(provider.base_url, hosts):
        raise InvalidRequestError(
            f"base_url: a secret goes only to hosts that {HOSTS_VAR} in wrangler.toml names, or to"
            " those of the vendors. Add this host there, or leave the secret out.",
            code="secret_host_not_allowed",
            param="base_url",
        )


def _shown(call: Call, provider: Provider) -> Provider:
    name = provider.secret
    is_set = (
        name is not None and is_provider_secret(name) and call.services.secret(name) is not None
    )
    return provider.model_copy(update={"secret_set": is_set})
