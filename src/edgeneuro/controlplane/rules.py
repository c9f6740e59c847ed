"""Rules in the control plane: an ordered list of at most 100."""

from collections.abc import Callable, Container, Mapping

from edgeneuro.call import Call
from edgeneuro.controlplane.access.allowed import require_router
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.catalogue import find_routing_model
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.model import Model
from edgeneuro.domain.rule import (
    MAX_RULES,
    Rule,
    RuleConditions,
    RuleCreate,
    RuleDeleted,
    RuleEffect,
    RulePatch,
    agents_named,
)
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.store import rules as store
from edgeneuro.store.agents import list_agent_ids
from edgeneuro.store.sql import rfc3339


async def list_rules(call: Call) -> Page[Rule]:
    """List all rules in their order."""
    return page_of(await store.list_rules(call.services.db), limit=MAX_RULES)


async def create_rule(call: Call, body: RuleCreate) -> Rule:
    """Create a rule, at the end or at `position`. It holds from the next request on."""
    rule = await new_rule(call, body, others=await store.list_rules(call.services.db))
    rows = await commit(
        call,
        store.insert_rule(rule),
        action="create",
        resource="rule",
        resource_id=rule.id,
        after=rule,
    )
    if not rows:
        raise _too_many()
    return store.rule_from_row(rows[0])


async def get_rule(call: Call, rule_id: str) -> Rule:
    """Read one rule."""
    rule = await store.get_rule(call.services.db, rule_id)
    if rule is None:
        raise _no_such_rule(rule_id)
    return rule


async def update_rule(call: Call, rule_id: str, body: RulePatch) -> Rule:
    """Change the fields that are in the body. `position` moves the rule, and those between its old
    and its new place by one."""
    services = call.services
    before = await get_rule(call, rule_id)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    after = before.model_copy(update=changes)
    if changes.keys() & {"when", "then"}:
        await _check(call, after.when, after.then)
    await require_router(call, changes.get("router"))
    if "position" in changes:
        _require_place(after.position, last=len(await store.list_rules(services.db)))
    rows = await commit(
        call,
        store.update_rule(rule_id, changes, now_ms=services.now_ms()),
        action="update",
        resource="rule",
        resource_id=rule_id,
        before=before,
        after=after,
    )
    if not rows:
        raise _no_such_rule(rule_id)
    return store.rule_from_row(rows[0])


async def delete_rule(call: Call, rule_id: str) -> RuleDeleted:
    """Delete a rule."""
    before = await get_rule(call, rule_id)
    rows = await commit(
        call,
        store.delete_rule(rule_id),
        action="delete",
        resource="rule",
        resource_id=rule_id,
        before=before,
    )
    if not rows:
        raise _no_such_rule(rule_id)
    return RuleDeleted(id=rule_id)


async def new_rule(call: Call, body: RuleCreate, *, others: list[Rule]) -> Rule:
    """The rule of the body, checked, with its place among the others. Raises InvalidRequestError,
    and ConflictError if there are too many."""
    await _check(call, body.when, body.then)
    await require_router(call, body.router)
    if len(others) >= MAX_RULES:
        raise _too_many()
    end = len(others) + 1
    if body.position is not None:
        _require_place(body.position, last=end)
    created = rfc3339(call.services.now_ms())
    return Rule(
        id=call.services.new_id("rul"),
        position=body.position or end,
        name=body.name,
        when=body.when,
        then=body.then,
        router=body.router,
        enabled=body.enabled,
        created_at=created,
        updated_at=created,
    )


async def _check(call: Call, when: RuleConditions, then: RuleEffect | None) -> None:
    known = await list_agent_ids(call.services.db)
    check_rule(when, then, agents=known, models=(await call.services.routing.fresh()).models)


def check_rule(
    when: RuleConditions,
    then: RuleEffect | None,
    *,
    agents: Container[str],
    models: Mapping[str, Model],
    named: Callable[[str], str] = str,
) -> None:
    """Whether conditions and effect go together, and what the effect names exists. `agents` are the
    ids of all agents: a disabled one may be named; the rule is skipped until it is enabled. `named`
    gives the name of a field in the request. Raises InvalidRequestError."""
    param = named("then")
    if when.mention:
        if then is not None:
            raise InvalidRequestError(
                f"{param}: with `when.mention` the mentioned agent answers. Leave out `then`, or"
                " send null, or leave out `when.mention`.",
                param=param,
            )
        return
    if then is None:
        raise InvalidRequestError(
            f"{param}: say what the rule does: `agent_id`, `never`, `prefer` or `model`. Only with"
            " `when.mention` it is left out.",
            code="missing_field",
            param=param,
        )
    if len(then.named) != 1:
        found = ", ".join(then.named) or "none"
        raise InvalidRequestError(
            f"{param}: send exactly one of `agent_id`, `never`, `prefer` and `model`; this has"
            f" {found}. Several effects are several rules.",
            param=param,
        )
    for field, agent_id in agents_named(then):
        if agent_id not in agents:
            param = named(field)
            raise InvalidRequestError(
                f"{param}: there is no agent {agent_id!r}. GET /v1/agents lists them.",
                code="unknown_agent",
                param=param,
            )
    if then.model is not None and find_routing_model(models, then.model) is None:
        param = named("then.model")
        raise InvalidRequestError(
            f"{param}: {then.model!r} is not a model that can be called. GET /v1/models lists those"
            " that are available.",
            code="unknown_model",
            param=param,
        )


def _require_place(position: int, *, last: int) -> None:
    if position > last:
        raise InvalidRequestError(
            f"position: must be 1 to {last}; send {last} for the end.", param="position"
        )


def _too_many() -> ConflictError:
    return ConflictError(
        f"There are {MAX_RULES} rules already; delete one first.", code="too_many_rules"
    )


def _no_such_rule(rule_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no rule {rule_id[:100]!r}. GET /v1/rules lists them.",
        code="unknown_rule",
        param="rule_id",
    )
