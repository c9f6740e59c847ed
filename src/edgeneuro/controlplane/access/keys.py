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
    KeyActivity,
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
from edgeneuro.store.key_sums import KeySums, KeyTimes, Since, read_key_sums
from edgeneuro.store.keys import read_usage
from edgeneuro.store.sessions import delete_sessions_of
from edgeneuro.store.sql import rfc3339, unix_ms
from edgeneuro.store.usage import DAY, HOUR
from edgeneuro.web.auth import hash_key, scopes

_LAST_USED_DAYS = 31  # a key that was used last before them counts as unused
_DAYS = 30  # with today


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
    now = services.now()
    shown = _with_sums(key, UNUSED.at(now), KeySums(), _times(now))
    return KeyCreated(**shown.model_dump(), key=value)


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
    services, ids = call.services, [key.id for key in keys]
    db, now = services.db, services.now()
    await services.refusals.write(db)
    used = await read_usage(db, ids, now=now)
    times = _times(now)
    sums = await read_key_sums(db, ids, times)
    return [_with_sums(key, used.get(key.id, UNUSED.at(now)), sums[key.id], times) for key in keys]


def _times(now: float) -> KeyTimes:
    now_ms = int(now * 1000)
    stop, today = now_ms // HOUR * HOUR + HOUR, now_ms // DAY * DAY
    return KeyTimes(
        first=today - _LAST_USED_DAYS * DAY,
        recent=stop - 2 * HOUR,
        month=month_starts(now) * 1000,
        days=today - (_DAYS - 1) * DAY,
        stop=stop,
    )


def _with_sums(key: Key, used: Used, sums: KeySums, times: KeyTimes) -> KeyWithUsage:
    month = _activity(sums.month, times.month)
    return KeyWithUsage(
        **key.model_dump(),
        usage=_usage(key, used),
        last_used_at=None if sums.last_used is None else rfc3339(sums.last_used),
        cost_usd=month.cost_usd,
        recent=_activity(sums.recent, times.recent),
        this_month=month,
        last_30_days=_activity(sums.days, times.days),
        last_refused_at=None if sums.last_refused is None else rfc3339(sums.last_refused),
    )


def _activity(sums: Since, since: int) -> KeyActivity:
    refused = sum(sums.refusals.values())
    return KeyActivity(
        since=rfc3339(since),
        requests=sums.answers + refused,
        refused=refused,
        refusals=sums.refusals,
        cost_usd=round(sums.cost_usd, 12),
    )


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
