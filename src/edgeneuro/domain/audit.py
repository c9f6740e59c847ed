"""Audit entries: every change of the control plane, with what was before and after."""

from typing import Any, Literal

from pydantic import BaseModel

from edgeneuro.domain.page import PageQuery


class AuditEntry(BaseModel):
    """`actor` is the key's id or the user's e-mail address; `before` and `after` never hold
    secrets."""

    object: Literal["audit"] = "audit"
    id: str
    created_at: str
    actor: str
    request_id: str
    action: str
    resource: str
    resource_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditQuery(PageQuery):
    resource: str | None = None
    resource_id: str | None = None
