"""What a classifier makes of questions that are written otherwise: with a greeting, a signature,
"please", typos. It is measured once, at the end of the training."""

from dataclasses import dataclass

from edgeneuro.classifier.perturbations import PERTURBATIONS, perturb
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.classifier import PerturbationScore
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.datasets import test_questions
from edgeneuro.synapsecore.evaluate import answer_of_classifier

# A page of them; with all perturbations 3,000 texts, a second of CPU time.
MAX_QUESTIONS = 500
PLAIN = "plain"
# Other requests get their turn after so many texts, about 50 ms.
_TEXTS_A_STEP, _PAUSE_SECONDS = 100, 0.01


async def measure_robustness(
    services: Services, config: RoutingConfig, scorer: Scorer
) -> list[PerturbationScore]:
    """The first questions of the test part by hash, as they are and written otherwise, asked as the
    router would; empty where there are none."""
    page = await test_questions(services.db, list(config.agents), "", hard=True)
    questions = [(row["query"], row["agent_id"]) for row in page[:MAX_QUESTIONS]]
    scores: list[PerturbationScore] = []
    for kind in (PLAIN, *PERTURBATIONS) if questions else ():
        counts = _Counts()
        for at in range(0, len(questions), _TEXTS_A_STEP):
            for query, agent_id in questions[at : at + _TEXTS_A_STEP]:
                text = query if kind == PLAIN else perturb(query, kind)
                counts.add(agent_id, answer_of_classifier(scorer, config, text))
            await services.sleep(_PAUSE_SECONDS)
        scores.append(counts.score(kind))
    return scores


@dataclass
class _Counts:
    n: int = 0
    out_of_scope: int = 0
    answered: int = 0
    right: int = 0
    false_accepts: int = 0

    def add(self, label: str | None, answer: str | None) -> None:
        self.n += 1
        self.out_of_scope += label is None
        if answer is not None:
            self.answered += 1
            self.right += answer == label
            self.false_accepts += label is None

    def score(self, kind: str) -> PerturbationScore:
        inside = self.n - self.out_of_scope
        return PerturbationScore(
            perturbation=kind,
            n=self.n,
            out_of_scope=self.out_of_scope,
            answered=self.answered,
            right=self.right,
            false_accepts=self.false_accepts,
            precision=round(self.right / self.answered, 6) if self.answered else None,
            coverage=round((self.answered - self.false_accepts) / inside, 6) if inside else None,
        )
