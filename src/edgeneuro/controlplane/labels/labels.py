"""Labels in the control plane: who says which agent is the right one for a question. Each labeler
has one vote, the history stays."""

from collections.abc import Mapping

from pydantic import BaseModel

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.observe.logs import get_log
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.label import (
    Label,
    LabelBatch,
    LabelChange,
    LabelDeleted,
    LabelEvent,
    LabelFacts,
    LabelItem,
    LabelSet,
    LabelsQuery,
    LabelsWritten,
    Stream,
    UnlabelQuery,
)
from edgeneuro.domain.log import LogRecord
from edgeneuro.errors import (
    ConflictError,
    InvalidItemsError,
    InvalidRequestError,
    ItemFault,
    NotFoundError,
    PermissionDeniedError,
)
from edgeneuro.store import label_reads as reads
from edgeneuro.store import labels as store
from edgeneuro.store.agents import list_agent_ids
from edgeneuro.store.contexts import StoredQuestion
from edgeneuro.store.logs import read_questions
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.gateway_feedback import push_labels
from edgeneuro.synapsecore.stored_text import stored_context, stored_text
from edgeneuro.web.auth import Access
from edgeneuro.web.handler import MAX_FAULTS, Checked


async def label_log(call: Call, log_id: str, body: LabelSet) -> Label:
    """Set the right agent for a logged query; null says that no agent fits. Returns the label in
    force, in which yours is one of the `votes`."""
    log = await get_log(call, log_id)
    if log.query_hash is None:
        raise ConflictError(_NO_TEXT, code="no_text", param="log_id")
    label = await _set_label(call, log.query_hash, _question_of(log), body, log_id=log_id)
    push_labels(call, {log_id: body.agent_id})
    return label


async def label_question(call: Call, query_hash: str, body: LabelSet) -> Label:
    """Set the right agent for a question that was labeled or logged. Returns the label in force, in
    which yours is one of the `votes`."""
    question = await reads.find_question(call.services.db, query_hash)
    if question is None:
        raise NotFoundError(_NO_QUESTION, code="unknown_question", param="query_hash")
    return await _set_label(call, query_hash, question, body, log_id=None)


async def unlabel_log(call: Call, log_id: str, query: UnlabelQuery) -> LabelDeleted:
    """Remove your last label of a logged query. Your label before it counts again, if there is one.
    The history keeps both, and the labels of others stay."""
    log = await get_log(call, log_id)
    if log.query_hash is None or log.label is None:
        raise NotFoundError(
            "The query of this log entry has no label.", code="not_labelled", param="log_id"
        )
    return await _take_back(
        call, log.query_hash, _question_of(log), everybody=query.all, log_id=log_id, param="log_id"
    )


async def unlabel_question(call: Call, query_hash: str, query: UnlabelQuery) -> LabelDeleted:
    """Remove your last label of a question, however it was given. Your label before it counts
    again, if there is one. The history keeps both, and the labels of others stay."""
    label = await reads.find_label(call.services.db, query_hash)
    if label is None:
        raise NotFoundError(
            "This question has no label. Logs and labels name questions by `query_hash`.",
            code="not_labelled",
            param="query_hash",
        )
    return await _take_back(
        call,
        query_hash,
        _question_of(label),
        everybody=query.all,
        log_id=None,
        param="query_hash",
    )


async def label_many(call: Call, body: Checked[LabelBatch]) -> LabelsWritten:
    """Label up to 1,000 questions, all or none: if items are wrong, `errors` lists the errors of
    all of them and nothing is written. Of several items for one question the last one is your
    vote."""
    services = call.services
    for index, item in body.items.items():
        _authorize_final(call, item, param=f"[{index}].final")
    log_ids = [item.log_id for item in body.items.values() if item.log_id is not None]
    logged = await read_questions(services.db, log_ids) if log_ids else {}
    agent_ids = await list_agent_ids(services.db)
    config = await services.routing.current()
    events: list[LabelEvent] = []
    faults = list(body.faults)
    for index, item in body.items.items():
        fault = _fault(index, item, logged, agent_ids)
        if fault is not None:
            faults.append(fault)
            continue
        # The text of a log row went through the door already, and its label has to find the row.
        if item.query is None:
            question = logged[item.log_id or ""]
        else:
            previous = stored_context(config, PreviousTurn.of(item.context))
            question = StoredQuestion(stored_text(config, item.query), previous)
        note = item.note and stored_text(config, item.note)
        events.append(
            _event(
                call,
                question,
                item.agent_id,
                log_id=item.log_id,
                note=note,
                stream=item.stream,
                final=item.final,
                bulk=True,
            )
        )
    if faults:
        raise InvalidItemsError(sorted(faults, key=lambda fault: fault.index)[:MAX_FAULTS])
    in_force = {event.hashes.question: event.agent_id for event in events}
    written = LabelsWritten(labels=len(events), questions=len(in_force))
    await _write(call, events, "label_bulk", events[0].id, after=written)
    labelled = {event.log_id: event.hashes.question for event in events if event.log_id}
    push_labels(call, {log_id: in_force[key] for log_id, key in labelled.items()})
    return written


async def list_labels(call: Call, query: LabelsQuery) -> Page[Label]:
    """List the labels in force, newest first, with the votes of their labelers."""
    found = await reads.list_labels(call.services.db, query, limit=query.limit + 1)
    return page_of(found, limit=query.limit)


async def list_history(call: Call, query_hash: str, query: PageQuery) -> Page[LabelChange]:
    """List all labels that a question ever had, newest first."""
    db = call.services.db
    rows = await db.run(reads.select_history(query_hash, limit=query.limit + 1, after=query.after))
    if not rows and query.after is None:
        raise NotFoundError(
            "This question was never labelled. Logs and labels name questions by `query_hash`.",
            code="unknown_question",
            param="query_hash",
        )
    return page_of([reads.change_from_row(row) for row in rows], limit=query.limit)


_NO_TEXT = (
    "This log row has no question to label: its text was not stored (the setting log_queries was"
    " off) or was erased, or nothing was decided, because the caller named who answers or a chat"
    " interface sent it, not a person."
)

_NO_QUESTION = (
    "There is no such question. Logs and labels name questions by `query_hash`; POST /v1/labels"
    " labels a text."
)


def _question_of(found: LogRecord | Label) -> StoredQuestion:
    return StoredQuestion(found.query, PreviousTurn.of(found.context))


async def _set_label(
    call: Call, query_hash: str, question: StoredQuestion, body: LabelSet, *, log_id: str | None
) -> Label:
    services = call.services
    _authorize_final(call, body, param="final")
    if body.agent_id is not None and body.agent_id not in await list_agent_ids(services.db):
        raise InvalidRequestError(
            _no_such_agent(body.agent_id), code="unknown_agent", param="agent_id"
        )
    config = await services.routing.current()
    event = _event(
        call,
        question,
        body.agent_id,
        log_id=log_id,
        note=body.note and stored_text(config, body.note),
        stream=body.stream,
        final=body.final,
    )
    before = await reads.find_facts(services.db, query_hash)
    await _write(call, [event], "label", query_hash, before=before, after=_facts(event))
    label = await reads.find_label(services.db, query_hash)
    assert label is not None
    return label


async def _take_back(
    call: Call,
    query_hash: str,
    question: StoredQuestion,
    *,
    everybody: bool,
    log_id: str | None,
    param: str,
) -> LabelDeleted:
    db = call.services.db
    if everybody and Access.ADMIN not in call.credential.scopes:
        raise PermissionDeniedError(
            "all: to take back the labels of others needs the scope 'admin'. Leave it out to take"
            " back your own last label.",
            param="all",
        )
    votes = await reads.find_votes(db, query_hash)
    if not everybody and all(vote.labeler != call.credential.key_id for vote in votes):
        raise NotFoundError(
            "No label of this question is yours. An admin takes back the labels of all labelers"
            " with ?all=true.",
            code="not_labelled",
            param=param,
        )
    event = _event(call, question, None, log_id=log_id, removed=True, all_labelers=everybody)
    before = await reads.find_facts(db, query_hash)
    await _write(call, [event], "unlabel", query_hash, before=before)
    return LabelDeleted(query_hash=query_hash, label=await reads.find_label(db, query_hash))


def _authorize_final(call: Call, label: LabelSet, *, param: str) -> None:
    if label.final and Access.ADMIN not in call.credential.scopes:
        raise PermissionDeniedError(
            f"{param}: a final label decides whatever other labelers say, which needs the scope"
            " 'admin'. Leave it out: your label is a vote then.",
            param=param,
        )


def _no_such_agent(agent_id: str) -> str:
    return f"There is no agent {agent_id!r}. GET /v1/agents lists them."


def _fault(
    index: int, item: LabelItem, logged: Mapping[str, StoredQuestion], agent_ids: set[str]
) -> ItemFault | None:
    if item.agent_id is not None and item.agent_id not in agent_ids:
        message = _no_such_agent(item.agent_id)
        return ItemFault(index, f"[{index}].agent_id", "unknown_agent", message)
    if item.log_id is not None and item.log_id not in logged:
        message = f"There is no log entry {item.log_id!r}. GET /v1/logs lists them."
        return ItemFault(index, f"[{index}].log_id", "unknown_log", message)
    if item.log_id is not None and not logged[item.log_id].query:
        return ItemFault(index, f"[{index}].log_id", "no_text", _NO_TEXT)
    return None


def _event(
    call: Call,
    question: StoredQuestion,
    agent_id: str | None,
    *,
    log_id: str | None,
    note: str | None = None,
    stream: Stream | None = None,
    final: bool = False,
    removed: bool = False,
    all_labelers: bool = False,
    bulk: bool = False,
) -> LabelEvent:
    return LabelEvent(
        id=call.services.new_id("lab"),
        query=question.query,
        previous=question.previous,
        agent_id=agent_id,
        labeler=call.credential.key_id,
        source="bulk" if bulk else "hand",
        created_ms=call.services.now_ms(),
        log_id=log_id,
        note=note,
        stream=stream,
        final=final,
        removed=removed,
        all_labelers=all_labelers,
    )


async def _write(
    call: Call,
    events: list[LabelEvent],
    action: str,
    resource_id: str,
    *,
    before: BaseModel | None = None,
    after: BaseModel | None = None,
) -> None:
    await commit(
        call,
        store.record_labels(events),
        action=action,
        resource="label",
        resource_id=resource_id,
        before=before,
        after=after,
    )


def _facts(event: LabelEvent) -> LabelFacts:
    # The audit can never be emptied, so no query's text may get into it.
    return LabelFacts(
        agent_id=event.agent_id, labeler=event.labeler, created_at=rfc3339(event.created_ms)
    )
