"""What an evaluation puts its questions to: a model alone, or the pipeline."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from edgeneuro.controlplane.models.models import is_classifier, require_available
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.evaluation import PIPELINE
from edgeneuro.domain.model import Model
from edgeneuro.domain.proposal import Proposal, apply_proposal
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.routing_test import RoutingTest
from edgeneuro.errors import InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store.agents import list_agents
from edgeneuro.store.database import Row
from edgeneuro.store.evaluation_jobs import Answered
from edgeneuro.store.evaluations import MAX_TRIES
from edgeneuro.synapsecore.evaluate import Evaluated, evaluate_question
from edgeneuro.synapsecore.pipeline import Pipeline, labels_for, question_for, route_in_pipeline
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker

# Proposed configurations: checked where they come in, and made again in every slice of the job
# that tries them.

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


class Target(Protocol):
    async def prepare(self, items: Sequence[Row], asker: Asker) -> None:
        """Of all questions of a slice, before the first of them is asked."""

    async def ask(self, item: Row, asker: Asker) -> Evaluated:
        """Never raises an upstream's fault."""


class ModelTarget:
    def __init__(self, services: Services, config: RoutingConfig, model: Model) -> None:
        self._services = services
        self._config = config
        self._model = model

    async def prepare(self, items: Sequence[Row], asker: Asker) -> None:
        pass

    async def ask(self, item: Row, asker: Asker) -> Evaluated:
        return await evaluate_question(
            self._services, self._config, self._model, item["query"], asker
        )


class PipelineTarget:
    def __init__(self, services: Services, pipeline: Pipeline) -> None:
        self._services = services
        self._pipeline = pipeline
        self._questions: dict[str, Question | None] = {}
        self._labels: Mapping[str, str | None] = {}

    async def prepare(self, items: Sequence[Row], asker: Asker) -> None:
        key_id = asker.credential.key_id
        for item in items:
            test = routing_test(item)
            candidates = None if test is None else test.candidates
            question = question_for(self._pipeline, item["query"], candidates, key_id=key_id)
            self._questions[item["query_hash"]] = question
        questions = list(self._questions.values())
        self._labels = await labels_for(self._services, self._pipeline, questions)

    async def ask(self, item: Row, asker: Asker) -> Evaluated:
        question = self._questions[item["query_hash"]]
        if question is None:
            return _UNKNOWN_AGENT
        return await route_in_pipeline(
            self._services, self._pipeline, question, self._labels, asker
        )


def routing_test(item: Row) -> RoutingTest | None:
    return None if item["test"] is None else RoutingTest.model_validate_json(item["test"])


def answered(name: str, item: Row, decided: Evaluated) -> Answered:
    """`name` is the id by which the evaluation knows the target."""
    test = routing_test(item)
    if test is None:
        agent_id = decided.agent_id
        right = (agent_id or NO_AGENT) == (item["agent_id"] or NO_AGENT)
    else:
        agent_id = decided.answers
        named = decided.answers if decided.decided else None
        right = test.passes(named=named, answers=decided.answers)
    return Answered(
        model_id=name,
        query_hash=item["query_hash"],
        agent_id=agent_id,
        is_right=right and not decided.failed,
        reason=decided.reason,
        failed=decided.failed,
        tries=1 if decided.may_pass else MAX_TRIES,
        tokens=decided.tokens,
        cost_usd=decided.cost_usd,
        ms=decided.ms,
        named_agent=decided.named,
        confidence=decided.confidence,
        layer=decided.layer,
    )


_UNKNOWN_AGENT = Evaluated(
    agent_id=None,
    reason="unknown_agent",
    failed=True,
    may_pass=False,
    tokens=0,
    cost_usd=0.0,
    ms=0.0,
    named=None,
    confidence=None,
    layer="fallback",
    answers=None,
    decided=False,
)
