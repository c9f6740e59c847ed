"""The label queue: of the recent questions without a label the most worthwhile first, without
near-duplicates."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.ranking import ENOUGH_LABELS, Question, rank
from edgeneuro.domain.page import Page
from edgeneuro.domain.queue import QueueItem, QueueQuery
from edgeneuro.store.logs import read_texts
from edgeneuro.store.queue import read_signals, read_unlabelled, read_unsampled

_MAX_PAGE_SHARE_OF_A_KEY = 0.5


async def list_queue(call: Call, query: QueueQuery) -> Page[QueueItem]:
    """List what is most worth labelling first, with the reasons. It looks at 2,000 of the last
    8,000 answers and at the decisions of 500 recent feedbacks, each key in turn; near-duplicates of
    each other and of what is labelled are left out. While others have questions in the queue, one
    key fills at most half of a page: by its feedback, or else by its queries. With `stream=random`
    the questions of the last 8,000 answers in a random order that stays, without what was answered:
    give their labels with `"stream": "random"`, and they measure accuracy."""
    if query.stream == "random":
        return await _random_page(call, query.limit)
    db = call.services.db
    answers = await read_unlabelled(db)
    ids = [row["id"] for row in answers]
    feedback, shadows, labels = await read_signals(db, ids, most_labels=ENOUGH_LABELS)
    counts = {row["agent_id"]: int(row["labels"]) for row in labels}
    ranked = rank(answers, feedback, shadows, counts)
    if query.agent is not None:
        ranked = [one for one in ranked if one.shown["agent_id"] == query.agent]
    different = _without_near_duplicates(ranked)
    page = _shared_page(different, query.limit)
    texts = await read_texts(db, [question.shown["id"] for question in page])
    # A row that was deleted since the window was read has no text.
    items = [_item(one, text) for one in page if (text := texts.get(one.shown["id"]))]
    return Page(data=items, has_more=len(different) > len(page))


async def _random_page(call: Call, limit: int) -> Page[QueueItem]:
    """In the order of a hash over the log row's id. Its random part is ours, so that nobody can
    write a question that is drawn, and the answer has no part in it."""
    db = call.services.db
    drawn = sorted(await read_unsampled(db), key=_lot)
    page = drawn[:limit]
    texts = await read_texts(db, page)
    items = [
        QueueItem(stream="random", log_id=log_id, query=text)
        for log_id in page
        if (text := texts.get(log_id))
    ]
    return Page(data=items, has_more=len(drawn) > limit)


def _lot(log_id: str) -> bytes:
    return hashlib.sha256(log_id.encode()).digest()


def _without_near_duplicates(ranked: Sequence[Question]) -> list[Question]:
    first: dict[str, Question] = {}
    for question in ranked:
        first.setdefault(question.shown["near_hash"], question)
    return list(first.values())


def _shared_page(ranked: Sequence[Question], limit: int) -> list[Question]:
    """The first `limit` questions in their order, of one key at most its share unless the page
    would stay shorter."""
    most = max(1, int(limit * _MAX_PAGE_SHARE_OF_A_KEY))
    taken: Counter[str] = Counter()
    within: list[int] = []
    beyond: list[int] = []
    for place, question in enumerate(ranked):
        if len(within) == limit:
            break
        if taken[question.key_id] < most:
            taken[question.key_id] += 1
            within.append(place)
        else:
            beyond.append(place)
    places = sorted(within + beyond[: limit - len(within)])
    return [ranked[place] for place in places]


def _item(question: Question, query: str) -> QueueItem:
    shown = question.shown
    return QueueItem(
        log_id=shown["id"],
        query=query,
        key_id=shown["key_id"],
        agent_id=shown["agent_id"],
        confidence=shown["confidence"],
        layer=shown["layer"],
        score=question.score,
        reasons=question.reasons,
        seen=question.seen,
    )
