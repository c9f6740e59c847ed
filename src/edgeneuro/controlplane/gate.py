"""The gate before a classifier is selected: what its held-out labels say of it, against the target
and against the classifier that is selected."""

from edgeneuro.domain.classifier import Metrics

# The coverage may fall by so much: two held-out sets differ, as labels are added between trainings.
_COVERAGE_MAY_FALL = 0.05


def gate_fault(made: Metrics | None, selected: Metrics | None, *, target: float) -> str | None:
    """Why the gate stays shut; None where it opens. Both were measured on labels that they had not
    learned from, of the same parts of the data set."""
    accuracy = _number(made, "answered_accuracy")
    if accuracy < target:
        return f"of its held-out answers {accuracy:.2%} are right, and the target is {target:.2%}"
    coverage, before = _number(made, "coverage"), _number(selected, "coverage")
    if coverage < before - _COVERAGE_MAY_FALL:
        return (
            f"it answers {coverage:.1%} of the held-out questions, the selected one {before:.1%};"
            " five points less are let through"
        )
    return None


def _number(metrics: Metrics | None, name: str) -> float:
    return float((metrics or {}).get(name) or 0)
