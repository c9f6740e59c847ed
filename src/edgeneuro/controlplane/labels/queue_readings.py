"""What the newest classifier makes of the questions in the label queue's window, in the request
that shows the queue. It need not be selected, and no threshold need have been found for it: the
order of its scores is worth something long before its answers are."""

from dataclasses import dataclass, replace

from edgeneuro.classifier.enabled_agents import scorer_among
from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.classifier.scorer import Reading, Scorer, read_query, scorer_of
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.classifiers import newest_model
from edgeneuro.store.contexts import StoredQuestion, question_from_row
from edgeneuro.store.database import Rows
from edgeneuro.store.label_queue import read_beginnings
from edgeneuro.store.parts import CLASSIFIER_PARTS
from edgeneuro.synapsecore.rankers.classifier import judge

_TEXTS_A_READ = 500
# Some 0.2 ms a text of 50 characters in workerd, so a page takes half a second at most.
_MAX_CHARACTERS = 200_000
_TEXTS_A_STEP, _PAUSE_SECONDS = 100, 0.01
_BEFORE_CHARACTERS = 200  # of each text of the turn before, for what makes questions alike
_KEPT_MS = 3_600_000


@dataclass(frozen=True)
class NewestClassifier:
    """The newest classifier; `scorer` is None where there is none that can be read."""

    classifier_id: str | None
    scorer: Scorer | None


async def read_newest(services: Services) -> NewestClassifier:
    newest = await newest_model(services.db)
    if newest is None:
        return NewestClassifier(None, None)
    return NewestClassifier(newest, await _load(services, newest, await services.routing.current()))


async def read_window(
    services: Services, answers: Rows, newest: NewestClassifier
) -> dict[str, Reading]:
    """By query hash. The newest answers first, up to a bound on the characters; what is beyond it
    has no reading until the next request: the isolate keeps those that it has."""
    config, scorer = await services.routing.current(), newest.scorer
    now_ms, reader = services.now_ms(), f"{newest.classifier_id}:{config.agents_revision}"
    kept: dict[str, Reading] = {}
    wanted: dict[str, str] = {}  # log ids by query hash
    for row in answers:
        key = row["query_hash"]
        reading = services.recent_readings.get(f"{reader}:{key}", now_ms=now_ms)
        if reading is not None:
            kept[key] = reading
        else:
            wanted.setdefault(key, row["id"])
    ids, characters = list(wanted.values()), 0
    for at in range(0, len(ids), _TEXTS_A_READ):
        texts = await read_beginnings(services.db, ids[at : at + _TEXTS_A_READ])
        for number, row in enumerate(texts):
            question = question_from_row(row)
            characters += len(row["query"]) + 2 * len(question.previous.identity)
            if characters > _MAX_CHARACTERS:
                return kept
            key = row["query_hash"]
            kept[key] = reading = await _read(services, question, scorer)
            services.recent_readings.put(
                f"{reader}:{key}", reading, expires_at_ms=now_ms + _KEPT_MS
            )
            if number % _TEXTS_A_STEP == 0:
                await services.sleep(_PAUSE_SECONDS)  # other requests have their turn
    return kept


async def _read(services: Services, question: StoredQuestion, scorer: Scorer | None) -> Reading:
    """In a conversation the message alone says little: the prediction is that of the whole turn,
    and what makes two questions alike is the turn before them too."""
    query, previous = question.query, question.previous
    if not previous:
        return read_query(query, scorer)
    before = previous.shortened(_BEFORE_CHARACTERS)
    texts = (before.user, before.assistant, query)
    reading = read_query(" ".join(text for text in texts if text), None)
    if scorer is None:
        return reading
    config = await services.routing.current()
    prediction = judge(scorer, query, previous, config).prediction
    # Kept against what the message alone says, the agent before has less than the other.
    return replace(reading, prediction=replace(prediction, margin=abs(prediction.margin)))


async def _load(services: Services, classifier_id: str, config: RoutingConfig) -> Scorer | None:
    """Among the agents that are enabled now."""
    loaded = services.classifier.find(classifier_id)
    if loaded is not None:
        return loaded.scorer_for(config)
    now_ms = services.now_ms()
    scorer = services.recent_scorers.get(classifier_id, now_ms=now_ms)
    if scorer is None:
        try:
            model = loads(await CLASSIFIER_PARTS.read(services.db, classifier_id, "model"))
            scorer = scorer_of(model, services.word_vectors)
        except InvalidModelError as error:
            services.failures.note("queue_classifier_load", error)
            return None
        services.recent_scorers.put(classifier_id, scorer, expires_at_ms=now_ms + _KEPT_MS)
    return scorer_among(scorer, (), config)
