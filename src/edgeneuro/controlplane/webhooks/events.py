"""Events that the cron finds. No request looks for them: ends of jobs are written by a trigger, and
a budget that refuses writes its event where it refuses (access/limits.py)."""

from edgeneuro.controlplane.learning.drift import compare_windows
from edgeneuro.controlplane.webhooks.delivery import deliver_due
from edgeneuro.domain.webhook import Event
from edgeneuro.services import Services
from edgeneuro.store.classifiers import find_classifier
from edgeneuro.store.drift import read_windows
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.usage import DAY, HOUR
from edgeneuro.store.webhook_deliveries import insert_event, insert_event_of
from edgeneuro.store.webhooks import count_low_confidence, enabled_events, move_seen

# A webhook gets one event of low confidence in this time, with the number of the decisions.
LOW_CONFIDENCE_MS = 15 * 60_000
_LOW_CONFIDENCE: Event = "decision.low_confidence"
_DRIFT: Event = "classifier.drift"


async def run_webhooks(services: Services) -> None:
    """Every minute: counts decisions of low confidence, then delivers what is due. One query where
    there are no webhooks."""
    events = await enabled_events(services.db)
    if not events:
        return
    if _LOW_CONFIDENCE in events:
        await _report_low_confidence(services)
    await deliver_due(services)


async def report_drift(services: Services) -> None:
    """Every hour. The same figures of a classifier are one event a day."""
    if _DRIFT not in await enabled_events(services.db):
        return
    selected = (await services.routing.fresh()).classifier
    classifier = None if selected is None else await find_classifier(services.db, selected)
    if classifier is None:
        return
    now_ms = services.now_ms()
    stop = now_ms - now_ms % HOUR + HOUR
    drift = compare_windows(classifier, await read_windows(services.db, classifier.id, stop=stop))
    if not drift.alerts:
        return
    figures = sorted({alert.figure for alert in drift.alerts})
    data = {
        "classifier_id": classifier.id,
        "alerts": [alert.model_dump() for alert in drift.alerts],
    }
    once = f"{_DRIFT} {classifier.id} {now_ms // DAY} {' '.join(figures)}"
    await services.db.run(insert_event(_DRIFT, data, now_ms=now_ms, once=once))


async def _report_low_confidence(services: Services) -> None:
    """The count and the mark are written together: each decision is in one count."""
    now_ms = services.now_ms()
    for row in await count_low_confidence(services.db, before_ms=now_ms - LOW_CONFIDENCE_MS):
        moved = move_seen(row, now_ms=now_ms)
        data = {
            "decisions": row["decisions"],
            "from": rfc3339(row["seen_at"]),
            "to": rfc3339(now_ms),
        }
        event = insert_event_of(row, _LOW_CONFIDENCE, data, now_ms=now_ms)
        await services.db.batch([event, moved] if row["decisions"] else [moved])
