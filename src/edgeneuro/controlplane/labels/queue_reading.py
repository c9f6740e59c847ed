"""What the newest classifier makes of the questions in the label queue's window, in the request
that shows the queue. It need not be selected, and no threshold need have been found for it: the
order of its scores is worth something long before its answers are."""

from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.classifier.reading import Reading, read_query
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.services import Services
from edgeneuro.store.classifiers import newest_model, read_parts
from edgeneuro.store.database import Rows
from edgeneuro.store.queue import read_beginnings

_TEXTS_A_READ = 500
# Some 0.2 ms a text of 50 characters in workerd, so a page takes half a second at most.
_MAX_CHARACTERS = 200_000
_TEXTS_A_STEP, _PAUSE_SECONDS = 100, 0.01
_KEPT_MS = 3_600_000


async def read_window(services: Services, answers: Rows) -> dict[str, Reading]:
    """By query hash. The newest answers first, up to a bound on the characters; what is beyond it
    has no reading until the next request: the isolate keeps those that it has."""
    newest = await newest_model(services.db)
    scorer = None if newest is None else await _load(services, newest)
    now_ms = services.now_ms()
    kept: dict[str, Reading] = {}
    wanted: dict[str, str] = {}  # log ids by query hash
    for row in answers:
        key = row["query_hash"]
        reading = services.recent_readings.get(f"{newest}:{key}", now_ms=now_ms)
        if reading is not None:
            kept[key] = reading
        else:
            wanted.setdefault(key, row["id"])
    ids, characters = list(wanted.values()), 0
    for at in range(0, len(ids), _TEXTS_A_READ):
        texts = await read_beginnings(services.db, ids[at : at + _TEXTS_A_READ])
        for number, row in enumerate(texts):
            characters += len(row["query"])
            if characters > _MAX_CHARACTERS:
                return kept
            key = row["query_hash"]
            kept[key] = reading = read_query(row["query"], scorer)
            services.recent_readings.put(
                f"{newest}:{key}", reading, expires_at_ms=now_ms + _KEPT_MS
            )
            if number % _TEXTS_A_STEP == 0:
                await services.sleep(_PAUSE_SECONDS)  # other requests have their turn
    return kept


async def _load(services: Services, classifier_id: str) -> Scorer | None:
    loaded = services.classifier.loaded
    if loaded is not None and loaded.id == classifier_id:
        return loaded.scorer
    now_ms = services.now_ms()
    scorer = services.recent_scorers.get(classifier_id, now_ms=now_ms)
    if scorer is None:
        try:
            scorer = Scorer(loads(await read_parts(services.db, classifier_id, "model")))
        except InvalidModelError as error:
            services.failures.note("queue_classifier_load", error)
            return None
        services.recent_scorers.put(classifier_id, scorer, expires_at_ms=now_ms + _KEPT_MS)
    return scorer
