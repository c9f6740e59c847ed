"""The label queue: of the recent questions without a label the most worthwhile first, without
near-duplicates."""

from collections.abc import Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.ranking import ENOUGH_LABELS, Question, rank
from edgeneuro.domain.page import Page
from edgeneuro.domain.query import near_hash
from edgeneuro.domain.queue import QueueItem, QueueQuery
from edgeneuro.store.logs import read_texts
from edgeneuro.store.queue import find_labelled, read_signals, read_unlabelled

_TEXTS_AT_ONCE = 250


async def list_queue(call: Call, query: QueueQuery) -> Page[QueueItem]:
    """List what is most worth labelling first, with the reasons. It looks at the last 2,000 answers
    and the decisions of the last 500 feedbacks; near-duplicates of each other and of what is
    labelled are left out."""
    db = call.services.db
    answers = await read_unlabelled(db)
    ids = [row["id"] for row in answers]
    feedback, shadows, labels = await read_signals(db, ids, most_labels=ENOUGH_LABELS)
    counts = {row["agent_id"]: int(row["labels"]) for row in labels}
    ranked = rank(answers, feedback, shadows, counts)
    if query.agent is not None:
        ranked = [one for one in ranked if one.shown["agent_id"] == query.agent]
    items = await _first_different(call, ranked, most=query.limit + 1)
    return Page(data=items[: query.limit], has_more=len(items) > query.limit)


async def _first_different(call: Call, ranked: Sequence[Question], *, most: int) -> list[QueueItem]:
    """The first questions of which no better one and no label is a near-duplicate."""
    db = call.services.db
    items: list[QueueItem] = []
    taken: set[str] = set()
    for at in range(0, len(ranked), _TEXTS_AT_ONCE):
        part = ranked[at : at + _TEXTS_AT_ONCE]
        texts = await read_texts(db, [one.shown["id"] for one in part])
        near = {log_id: near_hash(text) for log_id, text in texts.items()}
        taken |= await find_labelled(db, near.values())
        for question in part:
            log_id = question.shown["id"]
            if log_id in near and near[log_id] not in taken:
                taken.add(near[log_id])
                items.append(_item(question, texts[log_id]))
                if len(items) == most:
                    return items
    return items


def _item(question: Question, query: str) -> QueueItem:
    shown = question.shown
    return QueueItem(
        log_id=shown["id"],
        query=query,
        agent_id=shown["agent_id"],
        confidence=shown["confidence"],
        layer=shown["layer"],
        score=question.score,
        reasons=question.reasons,
        seen=question.seen,
    )
