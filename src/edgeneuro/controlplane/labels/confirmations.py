"""Confirming confident decisions for one agent in one step, and taking labels back.

The labels are of the stream "hard": their questions were chosen, by the router's own confidence, so
they are learned from and measure nothing. What the random stream shows next is left out."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.labels.random_stream import blind_kinds
from edgeneuro.domain.confirmation import (
    ConfirmableDecisions,
    ConfirmableItem,
    ConfirmableQuery,
    ConfirmDecisions,
    DecisionsConfirmed,
    LabelsRemoved,
    RemoveLabels,
)
from edgeneuro.domain.label import LabelEvent, LabelsWritten
from edgeneuro.errors import InvalidRequestError
from edgeneuro.store import confirmations as store
from edgeneuro.store.agents import list_agent_ids
from edgeneuro.store.confirmations import ConfidentDecision
from edgeneuro.store.label_queue import read_unsampled
from edgeneuro.store.labels import record_labels
from edgeneuro.store.logs import read_questions
from edgeneuro.synapsecore.gateway_feedback import push_labels


async def list_confirmable(call: Call, query: ConfirmableQuery) -> ConfirmableDecisions:
    """Count the confident decisions for one agent that wait for a label, with those that it is
    least confident of. It reads the newest 8,000 log rows. Decisions of rules, those among some
    agents only, and what the random stream shows next are left out."""
    db = call.services.db
    found = await store.find_confident(
        db, query.agent, least=query.min_confidence, newest_log_id=None
    )
    kinds = blind_kinds(await read_unsampled(db))
    chosen = _confirmable(found, kinds)
    sample = sorted(chosen, key=lambda one: one.confidence)[: query.limit]
    texts = await read_questions(db, [one.log_id for one in sample])
    return ConfirmableDecisions(
        agent_id=query.agent,
        min_confidence=query.min_confidence,
        questions=len(chosen),
        requests=sum(one.requests for one in chosen),
        blind=sum(one.near_hash in kinds for one in found),
        contradicted=sum(one.contradicted and one.near_hash not in kinds for one in found),
        newest_log_id=chosen[0].log_id if chosen else None,
        sample=[
            ConfirmableItem(
                log_id=one.log_id,
                query=texts[one.log_id].query,
                context=texts[one.log_id].previous.shown(),
                confidence=one.confidence,
                layer=one.layer,
                requests=one.requests,
            )
            for one in sample
            if one.log_id in texts
        ],
    )


async def confirm_decisions(call: Call, body: ConfirmDecisions) -> DecisionsConfirmed:
    """Label the questions of confident decisions for one agent with that agent, as
    GET /v1/labels/confirmable counts them, at most 500. The labels train the classifier; they are
    no measure of accuracy."""
    services = call.services
    if body.agent_id not in await list_agent_ids(services.db):
        raise InvalidRequestError(
            f"There is no agent {body.agent_id!r}. GET /v1/agents lists them.",
            code="unknown_agent",
            param="agent_id",
        )
    found = await store.find_confident(
        services.db,
        body.agent_id,
        least=body.min_confidence,
        newest_log_id=body.newest_log_id,
    )
    chosen = _confirmable(found, blind_kinds(await read_unsampled(services.db)))
    questions = await read_questions(services.db, [one.log_id for one in chosen[: body.limit]])
    events = [
        LabelEvent(
            id=services.new_id("lab"),
            query=question.query,
            previous=question.previous,
            agent_id=body.agent_id,
            labeler=call.credential.key_id,
            source="bulk",
            created_ms=services.now_ms(),
            log_id=log_id,
            note=f"confirmed with all decisions of confidence {body.min_confidence} or more",
            stream="hard",
        )
        for log_id, question in questions.items()
        if question.query
    ]
    if events:
        written = len({event.hashes.question for event in events})
        await commit(
            call,
            record_labels(events),
            action="label_bulk",
            resource="label",
            resource_id=events[0].id,
            after=LabelsWritten(labels=len(events), questions=written),
        )
        push_labels(call, dict.fromkeys(questions, body.agent_id))
    return DecisionsConfirmed(
        agent_id=body.agent_id,
        label_ids=[event.id for event in events],
        remaining=max(0, len(chosen) - body.limit),
    )


async def remove_labels(call: Call, body: RemoveLabels) -> LabelsRemoved:
    """Remove up to 1,000 of your own labels by their ids, for example those of
    POST /v1/labels/confirm. Your label before each counts again, if there is one. The history keeps
    both, and the labels of others stay. Repeating it changes nothing."""
    labeler = call.credential.key_id
    ids = list(dict.fromkeys(body.label_ids))
    removed = LabelsRemoved(removed=await store.count_votes_of(call.services.db, ids, labeler))
    if removed.removed:
        await commit(
            call,
            store.withdraw_labels(ids, labeler),
            action="unlabel_bulk",
            resource="label",
            resource_id=ids[0],
            after=removed,
        )
    return removed


def _confirmable(found: list[ConfidentDecision], blind: set[str]) -> list[ConfidentDecision]:
    return [one for one in found if not one.contradicted and one.near_hash not in blind]
