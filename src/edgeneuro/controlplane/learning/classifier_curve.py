"""GET /v1/classifiers/{classifier_id}/curve: coverage against precision, and what each target would
come to in the traffic."""

from edgeneuro.call import Call
from edgeneuro.controlplane.learning.classifiers import find_shown
from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.classifier_curve import (
    MONTH_DAYS,
    ClassifierCurve,
    CurvePoint,
    CurveTraffic,
    month_point,
    suggested_target,
    traffic_of,
)
from edgeneuro.domain.savings import DecisionSums
from edgeneuro.services import Services
from edgeneuro.store.classifiers import read_curve
from edgeneuro.store.savings import select_decisions
from edgeneuro.store.usage import DAY, HOUR, add_new_logs

_UNFINISHED = ("queued", "running")


async def get_classifier_curve(call: Call, classifier_id: str) -> ClassifierCurve:
    """Read what a training would have come to with other targets: coverage, precision and
    out-of-scope false accepts on held-out questions, and the estimate for a month of the traffic of
    the last 30 days."""
    classifier = await find_shown(call, classifier_id)
    points = await read_curve(call.services.db, classifier_id)
    traffic = await _traffic(call.services)
    target = classifier.options.target
    return ClassifierCurve(
        classifier_id=classifier_id,
        target=target,
        basis=classifier.basis,
        basis_model=classifier.basis_model,
        message=None if points else _why_none(classifier, points),
        points=[month_point(point, traffic) for point in points or ()],
        suggested=suggested_target(points or (), target),
        traffic=traffic,
    )


def _why_none(classifier: Classifier, points: list[CurvePoint] | None) -> str:
    if classifier.state in _UNFINISHED:
        return "The training has not ended yet."
    if classifier.state == "cancelled":
        return "The training was cancelled."
    if points is None and classifier.metrics is not None:
        return "It was trained by a version that did not measure the curve. Train again to see it."
    return "Nothing was measured: no label was held out. Label more queries and train again."


async def _traffic(services: Services) -> CurveTraffic:
    await add_new_logs(services.db)
    now_ms = services.now_ms()
    start = (now_ms - MONTH_DAYS * DAY) // HOUR * HOUR
    rows = await services.db.run(select_decisions(start, now_ms + 1))
    stages: dict[str, DecisionSums] = {}
    for row in rows:
        sums = DecisionSums(**{name: row[name] for name in DecisionSums.__dataclass_fields__})
        stages[row["stage"]] = stages.get(row["stage"], DecisionSums()) + sums
    first = min((row["day"] for row in rows), default=now_ms)
    return traffic_of(stages, max((now_ms - max(first, start)) / DAY, 1.0))
