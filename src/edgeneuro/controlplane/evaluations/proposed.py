"""Proposed configurations: checked where they come in, and made again in every slice of the job
that tries them."""

from edgeneuro.controlplane.models.models import is_classifier, require_available
from edgeneuro.domain.evaluation import PIPELINE
from edgeneuro.domain.proposal import Proposal, apply_proposal
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store.agents import list_agents

_ALL_AGENTS = 1_000  # more than there can be


async def propose(services: Services, config: RoutingConfig, proposal: Proposal) -> RoutingConfig:
    """The configuration with the changes. Raises InvalidRequestError for a model, a classifier or
    an agent that cannot be so."""
    if proposal.model_id is not None:
        model = require_available(config, proposal.model_id, param="model_id")
        proposal = proposal.model_copy(update={"model_id": model.id})
    classifier = proposal.classifier_id
    if classifier is not None and classifier not in config.classifiers:
        raise InvalidRequestError(
            f"classifier_id: there is no classifier {classifier!r} that can answer. GET"
            " /v1/classifiers lists those that have succeeded.",
            code="classifier_not_found",
            param="classifier_id",
        )
    agents = []
    if proposal.agents:
        agents = await list_agents(services.db, limit=_ALL_AGENTS, after=None)
    proposed = apply_proposal(config, services.settings, proposal, agents)
    proposed.require_default_agent()
    return proposed


def proposal_named(config: RoutingConfig, name: str) -> Proposal:
    """What an id in an evaluation of the pipeline stands for: the configuration in force, or that
    with this model as the active one or this classifier in front."""
    if name == PIPELINE:
        return Proposal()
    if name in config.classifiers or is_classifier(config, name):
        return Proposal(classifier_id=name)
    return Proposal(model_id=name)
