"""A classifier on the test part: questions whose labels chose neither its weights nor its
thresholds, so the figure that decides a promotion comes from here."""

import hashlib
import json

from edgeneuro.classifier.model import loads
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.controlplane.learning.traffic import decisions_by_agent, with_traffic
from edgeneuro.domain.analytics import wilson
from edgeneuro.domain.classifier import AgentTestScore, Classifier, ClassifierScore
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store import classifiers as store
from edgeneuro.store.database import Row
from edgeneuro.store.datasets import (
    PAGE_ROWS,
    count_test_labels,
    test_questions,
)
from edgeneuro.store.times import rfc3339
from edgeneuro.synapsecore.evaluate import answer_of_classifier

MAX_QUESTIONS = 5_000
_COUNTING = "by agent"  # a score that was counted otherwise is made again
# Other requests get their turn after so many questions, about 50 ms.
_QUESTIONS_A_STEP, _PAUSE_SECONDS = 100, 0.01


async def score_stored(
    services: Services, config: RoutingConfig, classifier: Classifier
) -> ClassifierScore:
    """The score of a classifier that has succeeded. It is scored once; again only if the test part,
    the agents or the threshold have changed since. Raises InvalidModelError if it is damaged."""
    decisions = await decisions_by_agent(services, list(config.agents))
    if not await _outdated(services, config, classifier.test_score):
        assert classifier.test_score is not None
        return with_traffic(classifier.test_score, decisions)
    scorer = Scorer(loads(await store.read_model(services.db, classifier.id)))
    score = await score_on_test_part(services, config, scorer, before=classifier.test_score)
    score = with_traffic(score, decisions)
    await services.db.run(store.store_score(classifier.id, score))
    return score


async def score_on_test_part(
    services: Services,
    config: RoutingConfig,
    scorer: Scorer,
    *,
    before: ClassifierScore | None = None,
) -> ClassifierScore:
    """Asks the classifier each question of the test part, near-duplicates once, as the router
    would: at the threshold in force, and for enabled agents only. Questions that were chosen
    because they are hard count only while the others are too few for a promotion check."""
    basis, hard = await _basis(services, config)
    counts = _Counts()
    after = ""
    while counts.n < MAX_QUESTIONS:
        page = await test_questions(services.db, list(config.agents), after, hard=hard)
        for at in range(0, len(page), _QUESTIONS_A_STEP):
            for row in page[at : at + _QUESTIONS_A_STEP]:
                counts.add(row, answer_of_classifier(scorer, config, row["query"]))
            await services.sleep(_PAUSE_SECONDS)
        if len(page) < PAGE_ROWS:
            break
        after = page[-1]["near_hash"]
    return counts.score(
        basis=basis,
        looks=1 + (0 if before is None else before.looks),
        scored_at=rfc3339(services.now_ms()),
    )


class _Counts:
    def __init__(self) -> None:
        self.n = self.out_of_scope = self.answered = self.right = self.false_accepts = 0
        self._agents: dict[str | None, AgentTestScore] = {}

    def add(self, row: Row, answer: str | None) -> None:
        label = row["agent_id"]
        outside = label is None
        own = self._agents.setdefault(
            label, AgentTestScore(agent_id=label, n=0, answered=0, right=0)
        )
        own.n += 1
        self.n += 1
        self.out_of_scope += outside
        if answer is not None:
            self.answered += 1
            self.right += answer == label
            own.answered += 1
            own.right += answer == label
            self.false_accepts += outside

    def score(self, *, basis: str, looks: int, scored_at: str) -> ClassifierScore:
        inside = self.n - self.out_of_scope
        precision = wilson(self.right, self.answered)
        return ClassifierScore(
            n=self.n,
            out_of_scope=self.out_of_scope,
            answered=self.answered,
            right=self.right,
            false_accepts=self.false_accepts,
            precision=precision.accuracy,
            low=precision.low,
            high=precision.high,
            coverage=round((self.answered - self.false_accepts) / inside, 6) if inside else None,
            looks=looks,
            scored_at=scored_at,
            basis=basis,
            agents=sorted(self._agents.values(), key=lambda own: own.agent_id or ""),
        )


async def _outdated(
    services: Services, config: RoutingConfig, score: ClassifierScore | None
) -> bool:
    return score is None or score.basis != (await _basis(services, config))[0]


async def _basis(services: Services, config: RoutingConfig) -> tuple[str, bool]:
    """Names what beside the classifier decides its score, and says whether hard questions count."""
    labels, state, fair = await count_test_labels(services.db)
    hard = fair < config.promotion_min_labels
    agents = sorted(config.agents)
    facts = [labels, state, agents, config.confidence_threshold, hard, _COUNTING]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16], hard
