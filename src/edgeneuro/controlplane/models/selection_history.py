"""The history of selections, read from the audit log: it goes back as far as that is kept."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgeneuro.call import Call
from edgeneuro.domain.classifier import RULE
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.model import ClassifierCheck, PromotionCheck
from edgeneuro.domain.selection_history import (
    PastSelection,
    SelectionHistoryQuery,
    SelectionType,
)
from edgeneuro.store.audit import AuditEntry
from edgeneuro.store.selections import list_selections as read_selections
from edgeneuro.web.auth import Access

_CHECK: TypeAdapter[PromotionCheck | ClassifierCheck] = TypeAdapter(
    PromotionCheck | ClassifierCheck
)
_SETTINGS: dict[SelectionType, str] = {"model": "routing_model", "classifier": "classifier"}


async def list_selections(call: Call, query: SelectionHistoryQuery) -> Page[PastSelection]:
    """List which models, or with `type` which classifiers, were selected, the newest first."""
    first = 0 if query.after is None else 1  # the entry `after` says how long the next one held
    entries = await read_selections(
        call.services.db, query.type, limit=query.limit + 1 + first, after=query.after
    )
    ends = [None, *(entry.created_at for entry in entries)]
    names_actors = Access.ADMIN in call.credential.scopes
    found = [
        _selection(entry, query.type, until=until, names_actors=names_actors)
        for entry, until in zip(entries, ends, strict=False)
    ]
    return page_of(found[first:], limit=query.limit)


def _selection(
    entry: AuditEntry, kind: SelectionType, *, until: str | None, names_actors: bool
) -> PastSelection:
    before, after = entry.before or {}, entry.after or {}
    if entry.resource == "config":
        model_id, previous = after.get(_SETTINGS[kind]), before.get(_SETTINGS[kind])
    elif entry.action == "disable":
        model_id, previous = None, entry.resource_id
    elif "active" in after:
        model_id, previous = after["active"], after.get("previous")
    else:  # a rule enabled a classifier
        model_id, previous = entry.resource_id, before.get("active")
    return PastSelection(
        id=entry.id,
        type=kind,
        model_id=model_id,
        previous=previous,
        selected_at=entry.created_at,
        until=until,
        actor=entry.actor if names_actors else None,
        by_rule=entry.actor == RULE,
        check=_check(after.get("check")),
        reason=_reason(entry, before, after),
    )


def _check(stored: object) -> PromotionCheck | ClassifierCheck | None:
    """None also for one of an older version that had other fields."""
    try:
        return None if stored is None else _CHECK.validate_python(stored)
    except ValidationError:
        return None


def _reason(entry: AuditEntry, before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Of a rule."""
    if entry.action == "disable":
        return str(after.get("reason"))
    if after.get("expected") is not None:
        return (
            f"{after['expected']:.1%} of {after['answers']} answers agreed with the model; at"
            f" least {after['bound']:.1%} are required."
        )
    if before.get("p_better") is not None:
        return (
            f"The challenger was {100 * before['difference']:+.1f} points better on"
            f" {before['labelled']} labeled questions (p = {before['p_better']:.3g})."
        )
    return None
