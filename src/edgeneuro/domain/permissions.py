"""What a caller may use: which router, agents and models, and whether only models with a price."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edgeneuro.domain.agent import Agent, AgentId, ModelId
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.fields import distinct
from edgeneuro.domain.model import Model
from edgeneuro.domain.router_names import DEFAULT_ROUTER, RouterId
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import (
    EdgeNeuroError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)

# What keys, users and teams carry.
AllowedAgents = Annotated[
    list[AgentId],
    Field(min_length=1, max_length=250, description="The agents that it may use; null is all"),
    AfterValidator(distinct),
]
AllowedModels = Annotated[
    list[ModelId],
    Field(
        min_length=1,
        max_length=100,
        description="The models that may be called for it, to route and to answer; null is all",
    ),
    AfterValidator(distinct),
]
AllowedRouter = Annotated[
    RouterId,
    Field(description="The one router that it may use, which is its model 'auto'; null is any"),
]


Holder = Literal["key", "user", "team"]


@dataclass(frozen=True)
class Grant:
    """What one holder may use; None is everything. `title` begins a sentence: "This key's team
    'finance'"."""

    holder: Holder
    title: str
    agents: frozenset[str] | None = None
    models: frozenset[str] | None = None
    router: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it restricts nothing."""
        return self.agents is None and self.models is None and self.router is None


def _common(lists: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    found = [each for each in lists if each is not None]
    return frozenset.intersection(*found) if found else None


@dataclass(frozen=True)
class Permissions:
    """What all of the `grants` allow. `only_priced` is that of a key with a budget in USD: a model
    without a price would cost nothing there, so the budget would not hold."""

    grants: tuple[Grant, ...] = ()
    only_priced: bool = False

    @classmethod
    def of(cls, *grants: Grant, only_priced: bool = False) -> "Permissions":
        return cls(tuple(each for each in grants if not each.is_empty), only_priced)

    @cached_property
    def agents(self) -> frozenset[str] | None:
        """Ids; None is all of them."""
        return _common(each.agents for each in self.grants)

    @cached_property
    def models(self) -> frozenset[str] | None:
        return _common(each.models for each in self.grants)

    @cached_property
    def router(self) -> str | None:
        """The router that is used if the request names none; None: the default one."""
        return next((each.router for each in self.grants if each.router is not None), None)

    def router_of(self, config: RoutingConfig, wanted: str | None, *, param: str) -> RoutingConfig:
        """The configuration for requests to the router that the request names, else to that of the
        caller. Raises PermissionDeniedError for another one than the caller's, NotFoundError for
        one that does not exist."""
        name = (self.router or DEFAULT_ROUTER) if wanted is None else wanted
        for grant in self.grants:
            if grant.router is not None and grant.router != name:
                raise PermissionDeniedError(
                    f"{grant.title} may use the router {grant.router!r} alone, not {name!r}.",
                    code="router_not_allowed",
                    param=param,
                )
        found = config.for_router(name)
        if found is None:
            raise NotFoundError(
                f"There is no router {name!r}. GET /v1/models lists those that you may use, as"
                " 'auto:ROUTER'.",
                code="unknown_router",
                param=param,
            )
        return found

    def restrict(self, config: RoutingConfig) -> RoutingConfig:
        """The configuration with no other models than those that may be called, in the chain
        too."""
        if self.models is None and not self.only_priced:
            return config
        everything = {each.id: each for each in (*config.chain, *config.models.values())}
        refusals = {name: self._refusal(each) for name, each in everything.items()}
        withheld = {name: each for name, each in refusals.items() if each is not None}
        for name in list(withheld):
            withheld |= dict.fromkeys(everything[name].aliases, withheld[name])
        return replace(
            config,
            models={name: each for name, each in config.models.items() if name not in withheld},
            fallbacks=tuple(each for each in config.fallbacks if each.id not in withheld),
            chain=tuple(each for each in config.chain if each.id not in withheld),
            withheld=withheld,
        )

    def require_model(self, config: RoutingConfig, name: str | None) -> None:
        """Raises for a model that is there and may not be called; for None, if no model of the
        chain may be."""
        if name is not None:
            model = find_model(config.models, name)
            refusal = None if model is None else self._refusal(model)
        else:
            refusals = [self._refusal(each) for each in config.chain]
            refusal = refusals[0] if all(refusals) else None
        if refusal is not None:
            raise refusal

    def require_agent(self, agent_id: str, *, param: str) -> None:
        """Raises PermissionDeniedError for an agent that may not be used."""
        for grant in self.grants:
            if grant.agents is not None and agent_id not in grant.agents:
                raise PermissionDeniedError(
                    f"{grant.title} may not use the agent {agent_id!r}: the {grant.holder}'s"
                    " `agents` do not include it.",
                    code="agent_not_allowed",
                    param=param,
                )

    def agents_of(self, config: RoutingConfig) -> list[Agent]:
        """The enabled agents that may be used."""
        allowed = self.agents
        return [a for a in config.agents.values() if allowed is None or a.id in allowed]

    def candidates(
        self, config: RoutingConfig, wanted: Sequence[str] | None, *, param: str
    ) -> list[str] | None:
        """The agents that may be chosen: those wanted, else all that are allowed; None is all.
        Raises PermissionDeniedError, also if none of the allowed agents is enabled."""
        for index, agent_id in enumerate(wanted or ()):
            self.require_agent(agent_id, param=f"{param}[{index}]")
        if wanted is not None or self.agents is None:
            return None if wanted is None else list(wanted)
        allowed = [agent.id for agent in self.agents_of(config)]
        if not allowed:
            raise PermissionDeniedError(
                self._no_agent(config), code="agent_not_allowed", param=param
            )
        return allowed

    def _no_agent(self, config: RoutingConfig) -> str:
        """Why no agent is left."""
        lists = [each for each in self.grants if each.agents is not None]
        holders = " and ".join(f"the {each.holder}'s" for each in lists)
        if not self.agents:
            return f"No agent is in {holders} `agents`. Ask an administrator to change them."
        where = "" if config.router == DEFAULT_ROUTER else f" in the router {config.router!r}"
        return (
            f"None of the agents in {holders} `agents` is enabled{where}. Ask an administrator to"
            " change them."
        )

    def _refusal(self, model: Model) -> EdgeNeuroError | None:
        for grant in self.grants:
            if grant.models is not None and model.id not in grant.models:
                return PermissionDeniedError(
                    f"{grant.title} may not use the model {model.id!r}: the {grant.holder}'s"
                    " `models` do not include it.",
                    code="model_not_allowed",
                    param="model",
                )
        if self.only_priced and model.pricing is None:
            return InvalidRequestError(
                f"The model {model.id!r} has no price, and this key has a budget in USD"
                " (monthly_budget_usd). Name a model with a price.",
                code="model_unpriced",
                param="model",
                hint="PATCH /v1/models/{model_id} gives it a price, 0 too.",
            )
        return None


UNRESTRICTED = Permissions()
