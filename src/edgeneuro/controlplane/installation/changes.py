"""The changes that make an installation what a document says: as a plan for people, and as
statements with their audit rows, in an order in which the constraints hold."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from edgeneuro.controlplane.access.audit import Change
from edgeneuro.controlplane.agents import creation_of, kept_labels_warning, update_of
from edgeneuro.controlplane.config import plan_settings
from edgeneuro.controlplane.installation.target import (
    AGENT_FIELDS,
    PROVIDER_FIELDS,
    ROUTER_FIELDS,
    RULE_FIELDS,
    Target,
    setting_values,
    shown_router,
)
from edgeneuro.domain.agent import is_redefined
from edgeneuro.domain.installation import FieldChange, PlannedChange, Resource
from edgeneuro.domain.rule import Rule
from edgeneuro.store import agents as agent_store
from edgeneuro.store import providers as provider_store
from edgeneuro.store import routers as router_store
from edgeneuro.store import rules as rule_store


@dataclass(frozen=True)
class Planned:
    """`shown` are the lines of the plan that `changes` make."""

    shown: Sequence[PlannedChange]
    changes: Sequence[Change]
    warnings: Sequence[str] = ()


class RuleOrder(BaseModel):
    """The ids of all rules in their order, as the audit log has them."""

    order: list[str]


def planned(target: Target, labels: Mapping[str, int]) -> list[Planned]:
    """The new default agent comes first, because there always is one; what is deleted comes before
    what is created where there is a limit, and agents are deleted last."""
    return [
        *_agents(target, labels),
        *_rules(target),
        *_routers(target),
        *_providers(target),
        *_settings(target),
        *_deleted_agents(target),
    ]


def _one(
    action: str,
    resource: Resource,
    one_id: str,
    fields: Sequence[str],
    before: BaseModel | None,
    after: BaseModel | None,
) -> PlannedChange:
    old = {} if before is None else before.model_dump(mode="json")
    new = {} if after is None else after.model_dump(mode="json")
    return PlannedChange.model_validate(
        {
            "action": action,
            "resource": resource,
            "id": one_id,
            "fields": [
                FieldChange(field=name, before=old.get(name), after=new.get(name))
                for name in fields
                if old.get(name) != new.get(name)
            ],
        }
    )


def _differing(fields: Sequence[str], before: BaseModel, after: BaseModel) -> dict[str, Any]:
    """By name, the new values of the fields that differ."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {name: getattr(after, name) for name in fields if old[name] != new[name]}


def _agents(target: Target, labels: Mapping[str, int]) -> Iterator[Planned]:
    services = target.services
    known = {each.id: each for each in target.stored.agents}
    bodies = {each.id: each for each in target.document.agents}
    for agent_id in sorted(bodies, key=lambda each: not bodies[each].default):
        body, after, before = bodies[agent_id], target.agents[agent_id], known.get(agent_id)
        count = labels.get(agent_id, 0)
        if before is None:
            created = creation_of(after, labels=count, old=body.labels)
            shown = _one("create", "agent", agent_id, AGENT_FIELDS, None, after)
            yield Planned([shown], [created.change])
            continue
        changes = _differing(AGENT_FIELDS, before, after)
        if not changes:
            continue
        redefined = is_redefined(before, after)
        set_aside = redefined and body.labels == "set_aside"
        updated = update_of(services, before, changes, labels=count, set_aside=set_aside)
        warned = redefined and count and body.labels is None
        yield Planned(
            [_one("update", "agent", agent_id, AGENT_FIELDS, before, after)],
            [updated.change],
            [kept_labels_warning(agent_id, count)] if warned else [],
        )


def _deleted_agents(target: Target) -> Iterator[Planned]:
    """The default agent last: it can be deleted only then."""
    for before in sorted(target.stored.agents, key=lambda each: each.default):
        if before.id not in target.agents:
            yield Planned(
                [_one("delete", "agent", before.id, AGENT_FIELDS, before, None)],
                [_deletion("agent", before, agent_store.delete_agent(before.id))],
            )


def _deletion(resource: str, before: Any, *statements: Any) -> Change:
    return Change(
        statements=statements,
        action="delete",
        resource=resource,
        resource_id=before.id,
        before=before,
    )


def _rules(target: Target) -> Iterator[Planned]:
    services, after = target.services, target.rules
    wanted = {each.id for each in after}
    kept = [each for each in target.stored.rules if each.id in wanted]
    known = {each.id: each for each in kept}
    # The others close up once, before the first of these goes.
    close_up = [rule_store.order_rules([each.id for each in kept], now_ms=services.now_ms())]
    for before in target.stored.rules:
        if before.id not in wanted:
            *_, deletion = rule_store.delete_rule(before.id)
            yield Planned(
                [_one("delete", "rule", before.id, (*RULE_FIELDS, "position"), before, None)],
                [_deletion("rule", before, *close_up, deletion)],
            )
            close_up = []
    moved = _moved([each.id for each in kept], [each.id for each in after if each.id in known])
    for rule in after:
        old = known.get(rule.id)
        if old is None:
            shown = _one("create", "rule", rule.id, (*RULE_FIELDS, "position"), None, rule)
            yield Planned(
                [shown],
                [
                    Change(
                        statements=rule_store.insert_rule(rule),
                        action="create",
                        resource="rule",
                        resource_id=rule.id,
                        after=rule,
                    )
                ],
            )
            continue
        changes = _differing(RULE_FIELDS, old, rule)
        fields = [*changes, *(["position"] if rule.id in moved else [])]
        if not fields:
            continue
        statements = rule_store.update_rule(rule.id, changes, now_ms=services.now_ms())
        update = Change(
            statements=statements,
            action="update",
            resource="rule",
            resource_id=rule.id,
            before=old,
            after=rule,
        )
        shown = _one("update", "rule", rule.id, fields, old, rule)
        yield Planned([shown], [update] if changes else [])
    if moved:
        yield Planned([], [_order(target, after)])


def _order(target: Target, after: Sequence[Rule]) -> Change:
    order = [each.id for each in after]
    return Change(
        statements=[rule_store.order_rules(order, now_ms=target.services.now_ms())],
        action="order",
        resource="rule",
        resource_id="rules",
        before=RuleOrder(order=[each.id for each in target.stored.rules]),
        after=RuleOrder(order=order),
    )


def _moved(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """The ids that change places, so that the others can stay: those that are in no longest
    increasing sequence of the former places."""
    place = {each: index for index, each in enumerate(before)}
    ends: list[int] = []  # the smallest last place of a sequence of each length
    at: list[int] = []  # the index in `after` of each such end
    previous: dict[int, int | None] = {}
    for index, each in enumerate(after):
        length = bisect_left(ends, place[each])
        previous[index] = at[length - 1] if length else None
        ends[length:] = [place[each]] if length == len(ends) else [place[each], *ends[length + 1 :]]
        at[length:] = [index] if length == len(at) else [index, *at[length + 1 :]]
    kept: set[str] = set()
    last = at[-1] if at else None
    while last is not None:
        kept.add(after[last])
        last = previous[last]
    return set(after) - kept


def _routers(target: Target) -> Iterator[Planned]:
    services = target.services
    known = {each.id: each for each in target.stored.routers}
    for router in target.stored.routers:
        if router.id not in target.routers:
            yield Planned(
                [_one("delete", "router", router.id, ROUTER_FIELDS, shown_router(router), None)],
                [_deletion("router", router, router_store.delete_router(router.id))],
            )
    for router_id, after in target.routers.items():
        before = known.get(router_id)
        if before is None:
            statement = router_store.insert_router(after)
        elif changes := _differing(ROUTER_FIELDS, before, after):
            statement = router_store.update_router(router_id, changes, now_ms=services.now_ms())
        else:
            continue
        shown = None if before is None else shown_router(before)
        action = "create" if before is None else "update"
        yield Planned(
            [_one(action, "router", router_id, ROUTER_FIELDS, shown, shown_router(after))],
            [
                Change(
                    statements=[statement],
                    action=action,
                    resource="router",
                    resource_id=router_id,
                    before=before,
                    after=after,
                )
            ],
        )


def _providers(target: Target) -> Iterator[Planned]:
    services = target.services
    known = {each.id: each for each in target.stored.providers}
    for provider_id, after in target.providers.items():
        before = known.get(provider_id)
        if before is None:
            statement = provider_store.insert_provider(after)
        elif changes := _differing(PROVIDER_FIELDS, before, after):
            if "prices" in changes:
                changes["prices"] = after.model_dump()["prices"]
            statement = provider_store.update_provider(
                provider_id, changes, now_ms=services.now_ms()
            )
        else:
            continue
        action = "create" if before is None else "update"
        yield Planned(
            [_one(action, "provider", provider_id, PROVIDER_FIELDS, before, after)],
            [
                Change(
                    statements=[statement],
                    action=action,
                    resource="provider",
                    resource_id=provider_id,
                    before=before,
                    after=after,
                )
            ],
        )
    for provider in target.stored.providers:
        if provider.id not in target.providers:
            yield Planned(
                [_one("delete", "provider", provider.id, PROVIDER_FIELDS, provider, None)],
                [_deletion("provider", provider, provider_store.delete_provider(provider.id))],
            )


def _settings(target: Target) -> Iterator[Planned]:
    """One line for each setting; together they are one change, as with PATCH /v1/config."""
    before, after = setting_values(target.stored.config), target.settings
    names = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    changes = {name: after.get(name) for name in names}
    change = plan_settings(target.services, target.before, changes, active=target.after.active)
    if change is None:
        return
    shown = [
        PlannedChange(
            action="create" if name not in before else "delete" if name not in after else "update",
            resource="setting",
            id=name,
            fields=[FieldChange(field="value", before=before.get(name), after=after.get(name))],
        )
        for name in names
    ]
    yield Planned(shown, [change])
