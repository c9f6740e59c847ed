"""The label queue: of the recent questions without a label the most worthwhile first, without
near-duplicates, and some that are drawn at random among them."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edgeneuro.call import Call
from edgeneuro.classifier.enabled_agents import scorer_among
from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.classifier.scorer import Reading, Scorer, likeness, read_query, scorer_of
from edgeneuro.controlplane.labels.queue_priority import MIN_LABELS, QueueEntry, rank
from edgeneuro.domain.fields import Page
from edgeneuro.domain.label_queue import LabelSuspect, QueueItem, QueueQuery, SuspectsQuery
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store import label_queue as store
from edgeneuro.store.classifiers import newest_model
from edgeneuro.store.contexts import StoredQuestion, question_from_row
from edgeneuro.store.database import Row, Rows
from edgeneuro.store.label_queue import (
    read_beginnings,
    read_signals,
    read_unlabelled,
    read_unsampled,
)
from edgeneuro.store.logs import read_questions
from edgeneuro.store.parts import CLASSIFIER_PARTS
from edgeneuro.synapsecore.rankers.classifier import judge

# What the newest classifier makes of the questions in the label queue's window, in the request
# that shows the queue. It need not be selected, and no threshold need have been found for it: the
# order of its scores is worth something long before its answers are.

_TEXTS_A_READ = 500
# Some 0.2 ms a text of 50 characters in workerd, so a page takes half a second at most.
_MAX_CHARACTERS = 200_000
_TEXTS_A_STEP, _PAUSE_SECONDS = 100, 0.01
_BEFORE_CHARACTERS = 200  # of each text of the turn before, for what makes questions alike
_KEPT_MS = 3_600_000


async def read_window(services: Services, answers: Rows) -> dict[str, Reading]:
    """By query hash. The newest answers first, up to a bound on the characters; what is beyond it
    has no reading until the next request: the isolate keeps those that it has."""
    newest = await newest_model(services.db)
    config = await services.routing.current()
    scorer = None if newest is None else await _load(services, newest, config)
    now_ms, reader = services.now_ms(), f"{newest}:{config.agents_revision}"
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


# A page of the label queue: what feedback asks for first, then the questions that are worth most
# together. Ten questions of one kind teach hardly more than one, so each that is taken makes its
# like worth less.

_MAX_SHARE_OF_A_KEY = 0.5
_MAX_SHARE_OUT_OF_SCOPE = 0.2
# What a question loses of its score for each that is as good as the same on the page.
_SAME = 2.0
_CANDIDATES_A_PLACE = 6
_MIN_CANDIDATES = 300


def compose(ranked: Sequence[QueueEntry], limit: int) -> list[QueueEntry]:
    """At most `limit` of the ranked questions, near-duplicates left out already. While there are
    others, one key fills at most half of the page, and questions that no agent was found for fill
    at most a fifth."""
    page = _Page(limit)
    page.take_in_order(question for question in ranked if question.judged)
    page.take_spread([question for question in ranked if not question.judged])
    return page.questions()


class _Page:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._most_of_a_key = max(1, int(limit * _MAX_SHARE_OF_A_KEY))
        self._most_out_of_scope = max(1, int(limit * _MAX_SHARE_OUT_OF_SCOPE))
        self._of_a_key: Counter[str] = Counter()
        self._out_of_scope = 0
        self._taken: list[QueueEntry] = []
        self._beyond: list[QueueEntry] = []

    def questions(self) -> list[QueueEntry]:
        page = self._taken + self._beyond[: self._limit - len(self._taken)]
        return sorted(page, key=lambda question: not question.judged)

    @property
    def _full(self) -> bool:
        return len(self._taken) == self._limit

    def _take(self, question: QueueEntry) -> bool:
        """Takes it unless it is over a bound: then it waits for a place that stays free."""
        over = self._of_a_key[question.key_id] >= self._most_of_a_key
        if not question.judged and question.out_of_scope:
            over = over or self._out_of_scope >= self._most_out_of_scope
        if over:
            self._beyond.append(question)
            return False
        self._of_a_key[question.key_id] += 1
        self._out_of_scope += question.out_of_scope
        self._taken.append(question)
        return True

    def take_in_order(self, questions: Iterable[QueueEntry]) -> None:
        for question in questions:
            if self._full:
                return
            self._take(question)

    def take_spread(self, questions: Sequence[QueueEntry]) -> None:
        """Greedily: each time the one whose score, less what the page has of it, is highest; of
        several the first. A value only falls as the page grows, so one that was highest before and
        still is after a look at the page needs no look at the others."""
        most = max(_MIN_CANDIDATES, _CANDIDATES_A_PLACE * self._limit)
        left = [_Candidate(question, place) for place, question in enumerate(questions[:most])]
        while left and not self._full:
            best = left[0]
            if best.compare(self._taken):
                heapq.heapreplace(left, best)
            else:
                heapq.heappop(left)
                self._take(best.question)
        self.take_in_order(questions[most:])


class _Candidate:
    def __init__(self, question: QueueEntry, place: int) -> None:
        self.question = question
        self._score, self._place = question.score, place
        self._value = self._score
        self._likeness, self._compared = 0.0, 0

    def __lt__(self, other: "_Candidate") -> bool:
        return (-self._value, self._place) < (-other._value, other._place)

    def compare(self, taken: Sequence[QueueEntry]) -> bool:
        """With those that it was not compared with yet; whether it is worth less than before."""
        before = self._likeness
        for question in taken[self._compared :]:
            self._likeness = max(self._likeness, likeness(self.question.sketch, question.sketch))
        self._compared = len(taken)
        self._value = self._score - _SAME * self._likeness
        return self._likeness > before


# Of a page so many are drawn at random: without them there is nothing to measure a classifier by.
RANDOM_SHARE = 0.1


async def list_queue(call: Call, query: QueueQuery) -> Page[QueueItem]:
    """List the questions that are most worth labeling, with the reasons. It reads 2,000 of the last
    8,000 answers and the decisions of 500 recent feedbacks, each key in turn; near-duplicates of
    each other and of labeled questions are left out. Questions with feedback come first, then those
    on which layers disagreed and those that the newest classifier is least certain of. Each
    question reduces the score of similar ones. While others have questions in the queue, one key
    fills at most half of a page (by its feedback, otherwise by its queries), and questions that no
    agent was found for a fifth. Every tenth item is drawn at random and shown blind. With
    `stream=random` all are: the questions of the last 8,000 answers in a fixed random order,
    without their answers. Send the label of an item with its `stream`: only those of the stream
    "random" measure accuracy."""
    if query.stream == "random":
        return await _random_page(call, query.limit)
    services = call.services
    answers = await read_unlabelled(services.db)
    ids = [row["id"] for row in answers]
    feedback, audit_samples, labels, signals = await read_signals(
        services.db, ids, most_labels=MIN_LABELS
    )
    counts = {row["agent_id"]: int(row["labels"]) for row in labels}
    readings = await read_window(services, answers)
    ranked = rank(answers, feedback, audit_samples, counts, readings, signals)
    if query.agent is not None:
        ranked = [one for one in ranked if one.shown["agent_id"] == query.agent]
    different = without_near_duplicates(ranked)
    drawn: Rows = []
    if query.agent is None:
        most = int(RANDOM_SHARE * min(query.limit, len(different)))
        drawn = sorted(await read_unsampled(services.db), key=_lot)[:most]
        different = without_near_duplicates(different, drawn)
    page = compose(different, query.limit - len(drawn))
    found = await read_questions(
        services.db, [*(one.shown["id"] for one in page), *(row["id"] for row in drawn)]
    )
    # A row that was deleted since the window was read has no text.
    items = [_item(one, found[one.shown["id"]]) for one in page if one.shown["id"] in found]
    return Page(data=_mixed(items, _blind(drawn, found)), has_more=len(different) > len(page))


async def _random_page(call: Call, limit: int) -> Page[QueueItem]:
    """In the order of a hash over the log row's id. The server makes its random part, so that no
    caller can write a question that is drawn, and the answer has no part in it."""
    db = call.services.db
    drawn = sorted(await read_unsampled(db), key=_lot)
    page = drawn[:limit]
    found = await read_questions(db, [row["id"] for row in page])
    return Page(data=_blind(page, found), has_more=len(drawn) > limit)


def _lot(row: Row) -> bytes:
    return hashlib.sha256(row["id"].encode()).digest()


def _blind(rows: Rows, found: Mapping[str, StoredQuestion]) -> list[QueueItem]:
    return [
        QueueItem(
            stream="random",
            log_id=row["id"],
            query=question.query,
            context=question.previous.shown(),
        )
        for row in rows
        if (question := found.get(row["id"]))
    ]


def _mixed(items: Sequence[QueueItem], drawn: Sequence[QueueItem]) -> list[QueueItem]:
    """The drawn ones evenly among the others, so that whoever labels a part of the page labels a
    part of them too."""
    page = list(items)
    every = round(1 / RANDOM_SHARE)
    for number, item in enumerate(drawn, 1):
        page.insert(number * every - 1, item)
    return page


def without_near_duplicates(ranked: Sequence[QueueEntry], drawn: Rows = ()) -> list[QueueEntry]:
    """The best of each kind; none of a kind that is drawn."""
    first: dict[str, QueueEntry] = {}
    for question in ranked:
        first.setdefault(question.shown["near_hash"], question)
    for row in drawn:
        first.pop(row["near_hash"], None)
    return list(first.values())


def _item(entry: QueueEntry, question: StoredQuestion) -> QueueItem:
    shown = entry.shown
    return QueueItem(
        log_id=shown["id"],
        query=question.query,
        context=question.previous.shown(),
        key_id=shown["key_id"],
        agent_id=shown["agent_id"],
        confidence=shown["confidence"],
        layer=shown["layer"],
        reason=shown["reason"],
        unsure_agent=shown["unsure_agent"],
        score=entry.score,
        reasons=entry.reasons,
        seen=entry.seen,
    )


# Labels that are probably wrong.


async def list_suspects(call: Call, query: SuspectsQuery) -> Page[LabelSuspect]:
    """List the labels that are probably wrong, the most certain first: the newest training held
    them out and was certain of another agent. Label the question again, changed or not, to remove
    it from the list."""
    found = await store.list_suspects(call.services.db, limit=query.limit + 1)
    return Page(data=found[: query.limit], has_more=len(found) > query.limit)
