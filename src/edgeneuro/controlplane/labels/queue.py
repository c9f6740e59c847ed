"""The label queue: of the recent questions without a label the most worthwhile first, without
near-duplicates, and some that are drawn at random among them."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from edgeneuro.call import Call
from edgeneuro.classifier.scorer import likeness
from edgeneuro.controlplane.labels.queue_priority import MIN_LABELS, QueueEntry, rank
from edgeneuro.controlplane.labels.queue_readings import read_newest, read_window
from edgeneuro.controlplane.labels.random_stream import RANDOM_SHARE, in_drawn_order
from edgeneuro.controlplane.labels.suggestions import suggestions
from edgeneuro.domain.fields import Page
from edgeneuro.domain.label_queue import (
    DisagreementsQuery,
    LabelDisagreement,
    LabelQueueSize,
    LabelSuspect,
    QueueItem,
    QueueQuery,
    Suggestion,
    SuspectsQuery,
)
from edgeneuro.store import label_queue as store
from edgeneuro.store.database import Rows
from edgeneuro.store.disagreements import read_disagreements
from edgeneuro.store.label_queue import (
    ShownRow,
    count_unlabelled,
    read_shown,
    read_signals,
    read_unlabelled,
    read_unsampled,
)

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
    newest = await read_newest(services)
    readings = await read_window(services, answers, newest)
    agents = (await services.routing.current()).agents
    names = {agent_id: agent.name for agent_id, agent in agents.items()}
    ranked = rank(answers, feedback, audit_samples, counts, readings, signals, names=names)
    if query.agent is not None:
        ranked = [one for one in ranked if one.shown["agent_id"] == query.agent]
    different = without_near_duplicates(ranked)
    drawn: Rows = []
    if query.agent is None:
        most = int(RANDOM_SHARE * min(query.limit, len(different)))
        drawn = in_drawn_order(await read_unsampled(services.db))[:most]
        different = without_near_duplicates(different, drawn)
    page = compose(different, query.limit - len(drawn))
    found = await read_shown(
        services.db, [*(one.shown["id"] for one in page), *(row["id"] for row in drawn)]
    )
    config = await services.routing.current()
    # A row that was deleted since the window was read has no text.
    items = [
        _item(one, row, suggestions(row, newest.scorer, config))
        for one in page
        if (row := found.get(one.shown["id"])) is not None
    ]
    return Page(data=_mixed(items, _blind(drawn, found)), has_more=len(different) > len(page))


async def show_queue_size(call: Call) -> LabelQueueSize:
    """Count the questions that the label queue chooses from, without choosing."""
    return LabelQueueSize(questions=await count_unlabelled(call.services.db))


async def _random_page(call: Call, limit: int) -> Page[QueueItem]:
    db = call.services.db
    drawn = in_drawn_order(await read_unsampled(db))
    page = drawn[:limit]
    found = await read_shown(db, [row["id"] for row in page])
    return Page(data=_blind(page, found), has_more=len(drawn) > limit)


def _blind(rows: Rows, found: Mapping[str, ShownRow]) -> list[QueueItem]:
    """Nothing of what the router made of the question is in the item."""
    questions = ((row["id"], found[row["id"]]) for row in rows if row["id"] in found)
    return [
        QueueItem(
            stream="random",
            log_id=log_id,
            query=shown.question.query,
            context=shown.question.previous.shown(),
        )
        for log_id, shown in questions
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


def _item(entry: QueueEntry, row: ShownRow, suggested: list[Suggestion]) -> QueueItem:
    shown, question = entry.shown, row.question
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
        suggestions=suggested,
    )


# Labels that are probably wrong.


async def list_suspects(call: Call, query: SuspectsQuery) -> Page[LabelSuspect]:
    """List the labels that are probably wrong, the most certain first: the newest training held
    them out and was certain of another agent. Label the question again, changed or not, to remove
    it from the list."""
    found = await store.list_suspects(call.services.db, limit=query.limit + 1)
    return Page(data=found[: query.limit], has_more=len(found) > query.limit)


async def list_disagreements(call: Call, query: DisagreementsQuery) -> Page[LabelDisagreement]:
    """List the labels in force that differ from what the active model or classifier decided with a
    known confidence, the most confident first: in logged decisions on the newest 10,000 labels, in
    the newest evaluation, and held out in the newest training. Give a label again, or another one,
    to remove it from the list."""
    config = await call.services.routing.current()
    found = await read_disagreements(call.services.db, config, limit=query.limit + 1)
    return Page(data=found[: query.limit], has_more=len(found) > query.limit)
