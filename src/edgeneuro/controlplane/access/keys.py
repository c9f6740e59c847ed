"""Keys in the control plane. The value is in the answer that creates a key, and nowhere else."""

from collections.abc import Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.access.allowed import checked, unknown_team
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.key import (
    HINT_CHARACTERS,
    KEY_PREFIX,
    UNUSED,
    Key,
    KeyCreate,
    KeyCreated,
    KeyPatch,
    KeyQuery,
    KeyUsage,
    KeyWithUsage,
    Used,
    month_starts,
)
from edgeneuro.domain.user import SCOPES_OF_ROLE, Scope
from edgeneuro.errors import ConflictError, ConstraintError, InvalidRequestError, NotFoundError
from edgeneuro.store import keys as store
from edgeneuro.store import users as user_store
from edgeneuro.store.analytics import read_keys
from edgeneuro.store.keys import read_usage
from edgeneuro.store.sessions import delete_sessions_of
from edgeneuro.store.sql import rfc3339, unix_ms
from edgeneuro.store.usage import DAY, HOUR
from edgeneuro.web.auth import hash_key, scopes

_LAST_USED_DAYS = 31  # a key that was used last before them counts as unused


async def list_keys(call: Call, query: KeyQuery) -> Page[KeyWithUsage]:
    """List keys, oldest first, including revoked ones."""
    found = await store.list_keys(
        call.services.db, limit=query.limit + 1, after=query.after, user_id=query.user_id
    )
    return page_of(await _with_usage(call, found), limit=query.limit)


async def create_key(call: Call, body: KeyCreate) -> KeyCreated:
    """Create a key. Only this response shows it."""
    services = call.services
    expires_at = _in_future(call, body.expires_at)
    await _require_within_role(call, body.user_id, body.scopes)
    fields = await checked(call, body.model_dump())
    value = KEY_PREFIX + services.new_secret()
    key = Key(
        **(fields | {"expires_at": expires_at}),
        id=services.new_id("key"),
        hint=value[:HINT_CHARACTERS],
        revoked_at=None,
        created_at=rfc3339(services.now_ms()),
    )
    try:
        await commit(
            call,
            [store.insert_key(key, hash_key(value))],
            action="create",
            resource="key",
            resource_id=key.id,
            after=key,
        )
    except ConstraintError as error:
        # The user or the team was deleted meanwhile.
        if body.user_id is None or await user_store.get_user(services.db, body.user_id):
            raise unknown_team(body.team_id or "") from error
        raise _unknown_user(body.user_id) from error
    usage = _usage(key, UNUSED.at(services.now()))
    return KeyCreated(**key.model_dump(), usage=usage, last_used_at=None, cost_usd=0.0, key=value)


async def get_key(call: Call, key_id: str) -> KeyWithUsage:
    """Read one key, without its value."""
    return await _shown(call, await _find(call, key_id))


async def update_key(call: Call, key_id: str, body: KeyPatch) -> KeyWithUsage:
    """Change the fields that are in the body. A revoked key cannot be changed."""
    services = call.services
    changes = body.model_dump(include=body.model_fields_set)
    before = await _find(call, key_id)
    if before.revoked_at is not None:
        raise _revoked()
    if not changes:
        return await _shown(call, before)
    if "expires_at" in changes:
        changes["expires_at"] = _in_future(call, body.expires_at)
    if "scopes" in changes:
        await _require_within_role(call, before.user_id, body.scopes)
    changes = await checked(call, changes)
    try:
        rows = await commit(
            call,
            [store.update_key(key_id, changes)],
            action="update",
            resource="key",
            resource_id=key_id,
            before=before,
            after=before.model_copy(update=changes),
        )
    except ConstraintError as error:
        raise unknown_team(body.team_id or "") from error
    services.identity.forget()
    if not rows:
        raise _revoked()
    return await _shown(call, store.key_from_row(rows[0]))


async def revoke_key(call: Call, key_id: str) -> KeyWithUsage:
    """Revoke a key permanently: immediately in this isolate, within 5 seconds everywhere. The key
    stays in the list."""
    services = call.services
    before = await _find(call, key_id)
    now = services.now_ms()
    await commit(
        call,
        [delete_sessions_of([key_id]), store.revoke_key(key_id, now_ms=now)],
        action="revoke",
        resource="key",
        resource_id=key_id,
        before=before,
        after=before.model_copy(update={"revoked_at": rfc3339(now)}),
    )
    services.identity.forget()
    return await get_key(call, key_id)


async def _find(call: Call, key_id: str) -> Key:
    key = await store.get_key(call.services.db, key_id)
    if key is None:
        raise NotFoundError(
            f"There is no key {key_id[:100]!r}. GET /v1/keys lists them.",
            code="unknown_key",
            param="key_id",
        )
    return key


async def _shown(call: Call, key: Key) -> KeyWithUsage:
    [shown] = await _with_usage(call, [key])
    return shown


async def _with_usage(call: Call, keys: Sequence[Key]) -> list[KeyWithUsage]:
    db, now, ids = call.services.db, call.services.now(), [key.id for key in keys]
    used = await read_usage(db, ids, now=now)
    stop = call.services.now_ms() // HOUR * HOUR + HOUR
    first, month = stop // DAY * DAY - _LAST_USED_DAYS * DAY, month_starts(now) * 1000
    sums = await read_keys(db, ids, start=first, month=month, stop=stop)
    return [
        KeyWithUsage(
            **key.model_dump(),
            usage=_usage(key, used.get(key.id, UNUSED.at(now))),
            last_used_at=rfc3339(sums[key.id].last_used) if key.id in sums else None,
            cost_usd=round(sums[key.id].cost_usd, 12) if key.id in sums else 0.0,
        )
        for key in keys
    ]


def _usage(key: Key, used: Used) -> KeyUsage | None:
    if key.limits is None:
        return None
    return KeyUsage(
        minute_requests=used.minute_requests,
        month=used.month_name,
        tokens=used.tokens,
        cost_usd=used.cost_usd,
    )


def _in_future(call: Call, moment: str | None) -> str | None:
    if moment is None:
        return None
    moment_ms = unix_ms(moment)
    if moment_ms <= call.services.now_ms():
        raise InvalidRequestError(
            "expires_at: this time has passed; send one in the future, or null.",
            param="expires_at",
        )
    return rfc3339(moment_ms)


async def _require_within_role(call: Call, user_id: str | None, wanted: Sequence[Scope]) -> None:
    if user_id is None:
        return
    user = await user_store.get_user(call.services.db, user_id)
    if user is None:
        raise _unknown_user(user_id)
    of_role = scopes(SCOPES_OF_ROLE[user.role])
    if not scopes(wanted) <= of_role:
        allowed = ", ".join(sorted(of_role - scopes([])))
        raise InvalidRequestError(
            f"scopes: the user's role {user.role!r} allows {allowed} only.",
            code="scope_exceeds_role",
            param="scopes",
        )


def _unknown_user(user_id: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"There is no user {user_id!r}. GET /v1/users lists them.",
        code="unknown_user",
        param="user_id",
    )


def _revoked() -> ConflictError:
    return ConflictError("This key was revoked. Create another one.", code="key_revoked")
