"""What a training's own held-out answers show: the precision, or the agreement with a model."""

from pydantic import BaseModel

from edgeneuro.domain.classifier import Classifier, MetricsBasis


class TrainingPrecision(BaseModel):
    """What a training's own held-out answers show, cross-fitted: `right` of `answered`, as
    independent questions, by the `basis`."""

    basis: MetricsBasis
    basis_model: str | None
    answered: float
    right: float

    @property
    def precision(self) -> float | None:
        return self.right / self.answered if self.answered else None


def training_precision(made: Classifier) -> TrainingPrecision | None:
    """None where it has no metrics. `classifier/held_out.py` has the bounds of such shares."""
    if made.metrics is None or made.basis is None:
        return None
    metrics = made.metrics
    every = float(metrics.get("coverage") or 0.0) * float(metrics.get("held_out") or 0)
    answered = float(metrics.get("answered_effective") or metrics.get("answered") or every)
    right = answered * float(metrics.get("answered_accuracy") or 0.0)
    return TrainingPrecision(
        basis=made.basis, basis_model=made.basis_model, answered=answered, right=right
    )
