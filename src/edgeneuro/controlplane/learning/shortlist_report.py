"""What a training says of shorter questions: how many of the classifier's best agents a model is
offered, or why all are."""

from dataclasses import asdict

from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.shortlist import MIN_LOWER_BOUND, MIN_RECALL, ShortlistFit
from edgeneuro.domain.classifier import (
    MAX_WHOLE_QUESTION,
    Classifier,
    RecallAt,
    ShortlistReport,
    TrainingMetrics,
)


def shortlist_report(job: Classifier, fit: ShortlistFit, examples: Examples) -> ShortlistReport:
    agents, reason, best = fit.agents, None, fit.recalls[-1]
    if len(job.agents) <= MAX_WHOLE_QUESTION:
        agents, reason = None, f"with {MAX_WHOLE_QUESTION} agents or fewer all are offered"
    elif agents is None:
        reason = (
            f"{best.recall:.2%} of {fit.held_out} held-out questions have their agent among the"
            f" best {best.agents}, with a lower bound of {best.low:.2%}; {MIN_RECALL:.0%} with a"
            f" lower bound of {MIN_LOWER_BOUND:.1%} are needed"
        )
    counts = examples.counts()
    return ShortlistReport(
        agents=agents,
        recalls=[RecallAt(**asdict(each)) for each in fit.recalls],
        held_out=fit.held_out,
        basis="human labels" if fit.by_humans else "all labels",
        always=list(fit.always),
        known=[agent for label, agent in enumerate(examples.classes) if counts.get(label)],
        reason=reason,
    )


def recall_metrics(report: ShortlistReport) -> TrainingMetrics:
    """The recalls among the metrics of the training."""
    found: TrainingMetrics = {"recall_held_out": report.held_out}
    for each in report.recalls:
        found |= {f"recall_{each.agents}": each.recall, f"recall_{each.agents}_low": each.low}
    return found
