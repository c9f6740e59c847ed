"""What a key may use: which agents and models, and whether only models with a price."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import EdgeNeuroError, InvalidRequestError, PermissionDeniedError


@dataclass(frozen=True)
class Permissions:
    """`agents` and `models` are ids; None is all of them. `only_priced` is that of a key with a
    budget in USD: a model without a price would cost nothing there, so the budget would not
    hold."""

    agents: frozenset[str] | None = None
    models: frozenset[str] | None = None
    only_priced: bool = False

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
        if self.agents is not None and agent_id not in self.agents:
            raise PermissionDeniedError(
                f"This key may not use the agent {agent_id!r}: its `agents` do not include it.",
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
                "None of this key's `agents` is enabled. Ask an administrator to change the key.",
                code="agent_not_allowed",
                param=param,
            )
        return allowed

    def _refusal(self, model: Model) -> EdgeNeuroError | None:
        if self.models is not None and model.id not in self.models:
            return PermissionDeniedError(
                f"This key may not use the model {model.id!r}: its `models` do not include it.",
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
