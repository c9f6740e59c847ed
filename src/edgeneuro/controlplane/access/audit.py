"""The audit log: read it, and the one way in which the control plane changes anything."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from edgeneuro.call import Call
from edgeneuro.domain.classifier import RULE
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.services import Services
from edgeneuro.store import audit as store
from edgeneuro.store.audit import AuditEntry, AuditQuery
from edgeneuro.store.database import Rows, Statement
from edgeneuro.store.sql import rfc3339


async def list_audit(call: Call, query: AuditQuery) -> Page[AuditEntry]:
    """List changes, newest first."""
    found = await store.list_audit(
        call.services.db,
        limit=query.limit + 1,
        after=query.after,
        resource=query.resource,
        resource_id=query.resource_id,
    )
    return page_of(found, limit=query.limit)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one resource that was checked and is not written yet. The last of its statements
    is the change itself."""

    statements: Sequence[Statement]
    action: str
    resource: str
    resource_id: str
    before: BaseModel | None = None
    after: BaseModel | None = None


async def commit_change(call: Call, change: Change) -> Rows:
    """As `commit`."""
    return await commit(
        call,
        change.statements,
        action=change.action,
        resource=change.resource,
        resource_id=change.resource_id,
        before=change.before,
        after=change.after,
    )


def audited(call: Call, change: Change) -> list[Statement]:
    """The statements of the change with its audit row, for a batch of several changes."""
    row = audit_row(
        call.services,
        actor=call.credential.actor,
        request_id=call.request_id,
        action=change.action,
        resource=change.resource,
        resource_id=change.resource_id,
        before=change.before,
        after=change.after,
    )
    return [*change.statements, row]


async def commit(
    call: Call,
    statements: Sequence[Statement],
    *,
    action: str,
    resource: str,
    resource_id: str,
    before: BaseModel | None = None,
    after: BaseModel | None = None,
) -> Rows:
    """Writes a change and its audit row in one batch, and makes this isolate read its configuration
    again. Returns the rows of the last statement, which is the change itself; if that one changes
    nothing, there is no audit row either."""
    services = call.services
    audited = audit_row(
        services,
        actor=call.credential.actor,
        request_id=call.request_id,
        action=action,
        resource=resource,
        resource_id=resource_id,
        before=before,
        after=after,
    )
    try:
        rows = await services.db.batch([*statements, audited])
    finally:
        services.routing.forget()
    return rows[-2]


def audit_row(
    services: Services,
    *,
    actor: str,
    request_id: str,
    action: str,
    resource: str,
    resource_id: str,
    before: BaseModel | None = None,
    after: BaseModel | None = None,
) -> Statement:
    """Goes right after the statement that makes the change. For changes that no request asked for;
    commit() makes the others."""
    return store.insert_audit(
        _entry(
            services,
            actor=actor,
            request_id=request_id,
            action=action,
            resource=resource,
            resource_id=resource_id,
            before=before,
            after=after,
        )
    )


def entry_of(
    call: Call, *, action: str, resource: str, resource_id: str, after: BaseModel
) -> AuditEntry:
    """The entry for one of many things that a statement makes."""
    return _entry(
        call.services,
        actor=call.credential.actor,
        request_id=call.request_id,
        action=action,
        resource=resource,
        resource_id=resource_id,
        before=None,
        after=after,
    )


def _entry(
    services: Services,
    *,
    actor: str,
    request_id: str,
    action: str,
    resource: str,
    resource_id: str,
    before: BaseModel | None,
    after: BaseModel | None,
) -> AuditEntry:
    return AuditEntry(
        id=services.new_id("aud"),
        created_at=rfc3339(services.now_ms()),
        actor=actor,
        request_id=request_id,
        action=action,
        resource=resource,
        resource_id=resource_id,
        before=_fields(before),
        after=_fields(after),
    )


def rule_audit_row(
    services: Services,
    *,
    action: str,
    resource: str,
    resource_id: str,
    before: BaseModel | None = None,
    after: BaseModel | None = None,
) -> Statement:
    """The same for what a rule does: the cron runs it."""
    return audit_row(
        services,
        actor=RULE,
        request_id="cron",
        action=action,
        resource=resource,
        resource_id=resource_id,
        before=before,
        after=after,
    )


def _fields(value: BaseModel | None) -> dict[str, object] | None:
    return None if value is None else value.model_dump(mode="json")
