"""The label queue: of the recent questions without a label the most worthwhile first, without
near-duplicates, and some that are drawn at random among them."""

import hashlib
from collections.abc import Mapping, Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.labels.queue_page import compose
from edgeneuro.controlplane.labels.queue_reading import read_window
from edgeneuro.controlplane.labels.ranking import MIN_LABELS, Question, rank
from edgeneuro.domain.fields import Page
from edgeneuro.domain.label_queue import QueueItem, QueueQuery
from edgeneuro.store.database import Row, Rows
from edgeneuro.store.logs import read_texts
from edgeneuro.store.queue import read_signals, read_unlabelled, read_unsampled

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
    feedback, audit_samples, labels = await read_signals(services.db, ids, most_labels=MIN_LABELS)
    counts = {row["agent_id"]: int(row["labels"]) for row in labels}
    readings = await read_window(services, answers)
    ranked = rank(answers, feedback, audit_samples, counts, readings)
    if query.agent is not None:
        ranked = [one for one in ranked if one.shown["agent_id"] == query.agent]
    different = without_near_duplicates(ranked)
    drawn: Rows = []
    if query.agent is None:
        most = int(RANDOM_SHARE * min(query.limit, len(different)))
        drawn = sorted(await read_unsampled(services.db), key=_lot)[:most]
        different = without_near_duplicates(different, drawn)
    page = compose(different, query.limit - len(drawn))
    texts = await read_texts(
        services.db, [*(one.shown["id"] for one in page), *(row["id"] for row in drawn)]
    )
    # A row that was deleted since the window was read has no text.
    items = [_item(one, text) for one in page if (text := texts.get(one.shown["id"]))]
    return Page(data=_mixed(items, _blind(drawn, texts)), has_more=len(different) > len(page))


async def _random_page(call: Call, limit: int) -> Page[QueueItem]:
    """In the order of a hash over the log row's id. Its random part is ours, so that nobody can
    write a question that is drawn, and the answer has no part in it."""
    db = call.services.db
    drawn = sorted(await read_unsampled(db), key=_lot)
    page = drawn[:limit]
    texts = await read_texts(db, [row["id"] for row in page])
    return Page(data=_blind(page, texts), has_more=len(drawn) > limit)


def _lot(row: Row) -> bytes:
    return hashlib.sha256(row["id"].encode()).digest()


def _blind(rows: Rows, texts: Mapping[str, str]) -> list[QueueItem]:
    return [
        QueueItem(stream="random", log_id=row["id"], query=text)
        for row in rows
        if (text := texts.get(row["id"]))
    ]


def _mixed(items: Sequence[QueueItem], drawn: Sequence[QueueItem]) -> list[QueueItem]:
    """The drawn ones evenly among the others, so that whoever labels a part of the page labels a
    part of them too."""
    page = list(items)
    every = round(1 / RANDOM_SHARE)
    for number, item in enumerate(drawn, 1):
        page.insert(number * every - 1, item)
    return page


def without_near_duplicates(ranked: Sequence[Question], drawn: Rows = ()) -> list[Question]:
    """The best of each kind; none of a kind that is drawn."""
    first: dict[str, Question] = {}
    for question in ranked:
        first.setdefault(question.shown["near_hash"], question)
    for row in drawn:
        first.pop(row["near_hash"], None)
    return list(first.values())


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
