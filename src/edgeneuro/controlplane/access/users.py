"""Users in the control plane. Their role says what they may do, by Cloudflare Access or by key."""

from typing import Literal

from pydantic import BaseModel

from edgeneuro import __version__
from edgeneuro.call import Call
from edgeneuro.controlplane.access.allowed import checked, unknown_team
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.user import Scope, User, UserCreate, UserDeleted, UserPatch, UserQuery
from edgeneuro.errors import ConflictError, ConstraintError, EdgeNeuroError, NotFoundError
from edgeneuro.store import keys as key_store
from edgeneuro.store import users as store
from edgeneuro.store.sessions import delete_sessions_of
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.teams import get_team
from edgeneuro.web.auth import ADMIN_TOKEN, Access


async def list_users(call: Call, query: UserQuery) -> Page[User]:
    """List users, oldest first; `email` finds one."""
    found = await store.list_users(
        call.services.db, limit=query.limit + 1, after=query.after, email=query.email
    )
    return page_of(found, limit=query.limit)


async def create_user(call: Call, body: UserCreate) -> User:
    """Create a user. The e-mail address is the one that Cloudflare Access knows."""
    services = call.services
    created = rfc3339(services.now_ms())
    fields = await checked(call, body.model_dump())
    user = User(id=services.new_id("usr"), **fields, created_at=created, updated_at=created)
    try:
        await commit(
            call,
            [store.insert_user(user)],
            action="create",
            resource="user",
            resource_id=user.id,
            after=user,
        )
    except ConstraintError as error:
        raise await _refused(call, body.team_id, user.email) from error
    return user


async def get_user(call: Call, user_id: str) -> User:
    """Read one user."""
    user = await store.get_user(call.services.db, user_id)
    if user is None:
        raise _no_such_user(user_id)
    return user


async def update_user(call: Call, user_id: str, body: UserPatch) -> User:
    """Change the fields that are in the body. The change applies to the user's keys too."""
    services = call.services
    changes = await checked(call, body.model_dump(include=body.model_fields_set))
    before = await get_user(call, user_id)
    try:
        rows = await commit(
            call,
            [store.update_user(user_id, changes, now_ms=services.now_ms())],
            action="update",
            resource="user",
            resource_id=user_id,
            before=before,
            after=before.model_copy(update=changes),
        )
    except ConstraintError as error:
        raise await _refused(call, body.team_id, body.email) from error
    services.identity.forget()
    if not rows:
        raise _no_such_user(user_id)
    return store.user_from_row(rows[0])


async def delete_user(call: Call, user_id: str) -> UserDeleted:
    """Delete a user. The user's keys are revoked; they stay in the list, without a user."""
    services = call.services
    before = await get_user(call, user_id)
    deleted = UserDeleted(
        id=user_id, revoked_keys=await key_store.unrevoked_ids(services.db, user_id)
    )
    rows = await commit(
        call,
        [
            delete_sessions_of([user_id, *await key_store.list_key_ids(services.db, user_id)]),
            key_store.detach_keys(user_id, now_ms=services.now_ms()),
            store.delete_user(user_id),
        ],
        action="delete",
        resource="user",
        resource_id=user_id,
        before=before,
        after=deleted,
    )
    services.identity.forget()
    if not rows:
        raise _no_such_user(user_id)
    return deleted


def _no_such_user(user_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no user {user_id[:100]!r}. GET /v1/users lists them.",
        code="unknown_user",
        param="user_id",
    )


async def _refused(call: Call, team_id: str | None, email: str) -> EdgeNeuroError:
    """Why the database refused the user: the team was deleted meanwhile, or the address is
    taken."""
    if team_id is not None and await get_team(call.services.db, team_id) is None:
        return unknown_team(team_id)
    return _taken(email)


def _taken(email: str) -> ConflictError:
    return ConflictError(
        f"There is a user {email!r} already; change it with PATCH.",
        code="user_exists",
        param="email",
    )


# GET /v1/me: who the caller is, which pages and programs need to know first.

_SCOPES: tuple[Scope, ...] = ("route", "read", "label", "admin")


class Caller(BaseModel):
    """`id` is the id of the key or user, as in the logs, and `name` its name, null for the admin
    token; `email` is that of a user of Cloudflare Access, as in the audit log, null for a key.
    `scopes` are all scopes, including implied ones. `agents` and `models` are what the caller may
    use, and `router` is the one router that it may use; null is everything. `version` is
    EdgeNeuro's. If `emulated` is true, this is a local installation: an emulator answers in place
    of Workers AI and of vendors."""

    object: Literal["caller"] = "caller"
    id: str
    name: str | None = None
    email: str | None = None
    scopes: list[Scope]
    agents: list[str] | None = None
    models: list[str] | None = None
    router: str | None = None
    version: str = __version__
    emulated: bool = False


async def show_caller(call: Call) -> Caller:
    """Read who the caller is, by a key or through Cloudflare Access, and its scopes."""
    granted, allowed = call.credential.scopes, call.credential.permissions
    return Caller(
        id=call.credential.key_id,
        name=await _name(call),
        email=call.credential.email,
        scopes=[name for name in _SCOPES if Access(name) in granted],
        agents=None if allowed.agents is None else sorted(allowed.agents),
        models=None if allowed.models is None else sorted(allowed.models),
        router=allowed.router,
        emulated=call.services.emulated,
    )


async def _name(call: Call) -> str | None:
    """Of the calling key or user. Names are no part of what an isolate knows of callers: only
    pages show them."""
    caller, db = call.credential, call.services.db
    if caller == ADMIN_TOKEN:
        return None
    by_access = caller.email is not None
    found = await (store.get_user if by_access else key_store.get_key)(db, caller.key_id)
    return None if found is None else found.name or None
