"""What is wrong with a document: all faults at once, each with the path of its field."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from edgeneuro.controlplane.agents import check_agent, creation_of
from edgeneuro.controlplane.installation.target import Target
from edgeneuro.controlplane.models.models import require_embedding
from edgeneuro.controlplane.models.providers import check_provider
from edgeneuro.controlplane.routers import check_default_agent, models_of
from edgeneuro.controlplane.rules import check_rule
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.rule import agents_named
from edgeneuro.errors import EdgeNeuroError, FieldFault, InvalidFieldsError
from edgeneuro.store.routers import read_users_of

_MAX_NAMED = 5


class Faults:
    def __init__(self) -> None:
        self._found: list[FieldFault] = []

    def add(self, param: str, text: str, *, code: str = "invalid_value") -> None:
        self._found.append(FieldFault(param, code, f"{param}: {text}"))

    @contextmanager
    def of(self, path: str) -> Iterator[None]:
        """An error that is raised inside is a fault of the object at this path."""
        try:
            yield
        except EdgeNeuroError as error:
            param = path if error.param is None else f"{path}.{error.param}"
            self.add(param, error.message.removeprefix(f"{error.param}: "), code=error.code)

    def raise_if_any(self) -> None:
        if self._found:
            raise InvalidFieldsError(self._found)


async def check(target: Target, labels: dict[str, int]) -> None:
    """`labels` are how many labels in force name each agent. Raises InvalidFieldsError."""
    faults = Faults()
    _check_ids(target, faults)
    _check_agents(target, labels, faults)
    _check_rules(target, faults)
    _check_routers(target, faults)
    _check_settings(target, faults)
    _check_providers(target, faults)
    _check_kept(target, faults)
    await _check_uses(target, faults)
    faults.raise_if_any()


def _check_ids(target: Target, faults: Faults) -> None:
    document = target.document
    sections: dict[str, list[str]] = {
        "agents": [each.id for each in document.agents],
        "rules": [each.id for each in document.rules],
        "routers": [each.id for each in document.routers],
        "providers": [each.id for each in document.providers],
    }
    for section, ids in sections.items():
        first: dict[str, int] = {}
        for index, each in enumerate(ids):
            if first.setdefault(each, index) != index:
                faults.add(
                    f"{section}[{index}].id",
                    f"{section}[{first[each]}] has the id {each!r} already. Remove one of them, or"
                    " give it another id.",
                    code="duplicate_id",
                )


def _check_agents(target: Target, labels: dict[str, int], faults: Faults) -> None:
    agents = target.document.agents
    known = {each.id for each in target.stored.agents}
    marked = [index for index, each in enumerate(agents) if each.default]
    for index, body in enumerate(agents):
        path = f"agents[{index}]"
        agent = target.agents[body.id]
        with faults.of(path):
            check_agent(target.services, agent, target.after.models)
        if body.id not in known:
            with faults.of(path):
                creation_of(agent, labels=labels.get(agent.id, 0), old=body.labels)
        if body.default and not body.enabled:
            faults.add(
                f"{path}.enabled",
                "the default agent is always enabled. Enable it, or make another one the default.",
                code="default_agent",
            )
        if body.default and index != marked[0]:
            faults.add(
                f"{path}.default",
                f"agents[{marked[0]}] is the default agent already, and there is one. Remove"
                " `default` here or there.",
                code="default_agent",
            )
    if agents and not marked:
        _add_missing_default(target, faults)


def _add_missing_default(target: Target, faults: Faults) -> None:
    present = next((each.id for each in target.stored.agents if each.default), None)
    reason = "none of them is the default agent. Set `default: true` on one."
    if present is not None and present not in target.agents:
        reason = (
            f"the default agent {present!r} is missing, and no other one takes its place. Put it"
            " back, or set `default: true` on another agent."
        )
    elif present is not None:
        reason = (
            "none of them is the default agent. Set `default: true` on one; until now it is"
            f" {present!r}."
        )
    faults.add("agents", reason, code="default_agent")


def _check_rules(target: Target, faults: Faults) -> None:
    for index, rule in enumerate(target.document.rules):
        path = f"rules[{index}]"
        with faults.of(path):
            check_rule(rule.when, rule.then, agents=target.agents, models=target.after.models)
        if rule.router not in (None, DEFAULT_ROUTER, *target.routers):
            faults.add(
                f"{path}.router",
                f"there is no router {rule.router!r}. Add it to `routers`, or name another.",
                code="unknown_router",
            )


def _check_routers(target: Target, faults: Faults) -> None:
    for index, body in enumerate(target.document.routers):
        path, router = f"routers[{index}]", target.routers[body.id]
        if body.id == DEFAULT_ROUTER:
            faults.add(
                f"{path}.id",
                "the router 'default' is the installation itself. Remove it here; its settings are"
                " in the section `settings`, and it has all agents.",
                code="default_router",
            )
        with faults.of(path):
            check_default_agent(router)
        named = [(f"agents[{at}]", each) for at, each in enumerate(body.agents or ())]
        if body.agents is None and body.default_agent is not None:
            named.append(("default_agent", body.default_agent))
        for field, agent_id in named:
            if agent_id not in target.agents:
                faults.add(f"{path}.{field}", _no_agent(agent_id), code="unknown_agent")
        with faults.of(path):
            models_of(target.after, router.own())


def _no_agent(agent_id: str) -> str:
    return f"there is no agent {agent_id!r}. Add it to `agents`, or remove it here."


def _check_settings(target: Target, faults: Faults) -> None:
    if "settings" not in target.document.model_fields_set:
        return
    with faults.of("settings"):
        models_of(target.after, target.settings)
    embedding = target.settings.get("embedding_model")
    if embedding is not None:
        with faults.of("settings"):
            require_embedding(target.after, embedding, param="embedding_model")


def _check_providers(target: Target, faults: Faults) -> None:
    known = {each.id: each for each in target.stored.providers}
    for index, body in enumerate(target.document.providers):
        path, before = f"providers[{index}]", known.get(body.id)
        with faults.of(path):
            check_provider(target.services, target.providers[body.id])
        if before is not None and before.kind != body.kind:
            faults.add(
                f"{path}.kind",
                f"the provider {body.id!r} is of the kind {before.kind!r}, which cannot change."
                " Give the new one another id.",
            )


def _check_kept(target: Target, faults: Faults) -> None:
    """Sections that the document leaves out may name what it deletes."""
    given = target.document.model_fields_set
    gone = {each.id for each in target.stored.agents} - set(target.agents)
    if "rules" not in given:
        for rule in target.stored.rules:
            _add_kept(
                faults, gone, (each for _, each in agents_named(rule.then)), f"the {rule.title}"
            )
            if rule.router not in (None, DEFAULT_ROUTER, *target.routers):
                faults.add(
                    "routers",
                    f"{rule.router!r} is missing, and the {rule.title} names it. Put the router"
                    " back, or add the section `rules` without this.",
                    code="router_in_use",
                )
    if "routers" not in given:
        for router in target.stored.routers:
            named = [*(router.agents or ()), *([router.default_agent] * bool(router.default_agent))]
            _add_kept(faults, gone, dict.fromkeys(map(str, named)), f"the router {router.id!r}")
    if "settings" not in given and target.after.stale - target.before.stale:
        faults.add(
            "providers",
            f"the active model {target.before.active.id!r} would not be available any more. Keep"
            " its provider, or add the section `settings` with another `routing_model`.",
            code="model_in_use",
        )


def _add_kept(faults: Faults, gone: set[str], named: Iterable[str], who: str) -> None:
    for agent_id in named:
        if agent_id in gone:
            section = "rules" if who.startswith("the rule") else "routers"
            faults.add(
                "agents",
                f"{agent_id!r} is missing, and {who} names it. Put the agent back, or add the"
                f" section `{section}` without this.",
                code="agent_in_use",
            )


async def _check_uses(target: Target, faults: Faults) -> None:
    """A router that a key, a user or a team names stays."""
    gone = [each.id for each in target.stored.routers if each.id not in target.routers]
    uses = await read_users_of(target.services.db, gone) if gone else []
    for router_id in gone:
        users = [
            f"{row['kind']} {row['name'] or row['id']!r}"
            for row in uses
            if row["router"] == router_id
        ]
        if users:
            more = ", …" if len(users) > _MAX_NAMED else ""
            faults.add(
                "routers",
                f"{router_id!r} is missing, and is named by {', '.join(users[:_MAX_NAMED])}{more}."
                " Put the router back, or change these first.",
                code="router_in_use",
            )
