"""Recall: what is known of a question before a model is asked. A label in force decides at once.
Else the answer from this isolate's memory, which costs nothing; the one from D1, which is a round
trip, only after the classifier.

The revision of the labels tells whether what is in memory still holds. Where it has changed, or a
question is new to the isolate, one batch reads the label together with the cached answer; as long
as there never was a label, nothing is read before the classifier."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from edgeneuro.domain.decision import Answer, RouteRequest
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.cache import CachedAnswer, CurrentLabel
from edgeneuro.services import Services
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.database import Rows, Statement
from edgeneuro.store.labels import select_current
from edgeneuro.synapsecore.ask import Asked
from edgeneuro.synapsecore.classify import Classified, classifier_asked
from edgeneuro.synapsecore.question import Question

_LABEL_TTL_MS = 3_600_000


@dataclass(frozen=True)
class Recalled:
    """`answer` decides at once. `rows` is what D1's cache holds, if it was read. `labels` is the
    revision by which all this was found. `no_label` says why no label decided."""

    labels: int = 0
    answer: Answer | None = None
    rows: Rows | None = None
    no_label: str | None = None


@dataclass(frozen=True)
class Stored:
    """What D1's cache has: an answer, or that it was `dropped`, so that no cache may answer."""

    answer: Answer | None = None
    dropped: bool = False


async def recall(
    services: Services,
    request: RouteRequest,
    question: Question,
    config: RoutingConfig,
    background: Callable[[Coroutine[Any, Any, None]], None],
) -> Recalled:
    """Stage 1. While D1 fails, what is in memory decides."""
    labels = (await services.routing.revisions()).labels
    label, rows, failed = None, None, False
    if labels:
        label = services.recent_labels.get(question.query_hash, now_ms=services.now_ms())
        if label is None or label.labels != labels:
            try:
                label, rows = await _read(services, question, labels)
            except DatabaseError as error:
                services.failures.note("label_read", error)
                failed = True
    answer, no_label = _by_label(request, question, label)
    cached = services.recent_answers.get(question.cache_key, now_ms=services.now_ms())
    if answer is None and cached is not None and (failed or cached.labels == labels):
        loaded = services.classifier.current(config.classifier, background)
        asked = classifier_asked(loaded, request, config)
        # A classifier that has not seen the question yet may answer it itself.
        if asked is None or cached.classifier == asked:
            answer = cached.answer
    return Recalled(labels, answer, rows, no_label)


async def _read(services: Services, question: Question, labels: int) -> tuple[CurrentLabel, Rows]:
    now_ms = services.now_ms()
    found, rows = await services.db.batch(
        [select_current(question.query_hash), DECISIONS.select(question.cache_key, now_ms=now_ms)]
    )
    label = CurrentLabel(labels, bool(found), found[0]["agent_id"] if found else None)
    services.recent_labels.put(question.query_hash, label, expires_at_ms=now_ms + _LABEL_TTL_MS)
    return label, rows


def _by_label(
    request: RouteRequest, question: Question, label: CurrentLabel | None
) -> tuple[Answer | None, str | None]:
    """What the label decides, or why it does not."""
    if request.model is not None:
        return None, "not looked for: the request has `model`"
    if label is None or not label.is_there:
        return None, "none is in force for this question"
    answer = decides_by_label(question, label.agent_id)
    if answer is None:
        return None, f"its agent {label.agent_id!r} is not enabled, or not among the candidates"
    return answer, None


def decides_by_label(question: Question, agent_id: str | None) -> Answer | None:
    """The label's answer (null: no agent fits); None where its agent may not be chosen."""
    if agent_id is not None and not any(agent.id == agent_id for agent in question.agents):
        return None
    return Answer(
        agent_id=agent_id,
        confidence=1.0,
        confidence_source="label",
        layer="label",
        model=None,
        adapter=None,
    )


async def recall_stored(
    services: Services, question: Question, recalled: Recalled, classified: Classified
) -> Stored:
    """Stage 3. A cache that fails or holds damaged rows is a miss too, and is
    counted."""
    rows, now_ms = recalled.rows, services.now_ms()
    try:
        if rows is None:
            rows = await services.db.run(DECISIONS.select(question.cache_key, now_ms=now_ms))
        if rows and rows[0]["dropped"]:
            return Stored(dropped=True)
        found = DECISIONS.answer_from_rows(rows)
    except (DatabaseError, ValidationError) as error:
        services.failures.note("cache_read", error)
        return Stored()
    if found is None:
        return Stored()
    answer, expires_at_ms = found
    cached = CachedAnswer(answer, recalled.labels, classified.asked)
    services.recent_answers.put(question.cache_key, cached, expires_at_ms=expires_at_ms)
    return Stored(answer)


def remember(
    services: Services,
    question: Question,
    config: RoutingConfig,
    recalled: Recalled,
    classified: Classified,
    asked: Asked,
) -> Statement | None:
    """Caches the active model's answer in the isolate; returns the write that caches it in D1. A
    fallback model's answer is not cached: it would be given long after the active model is well
    again."""
    if asked.answer is None or asked.failure is not None or asked.shared:
        return None
    answer = asked.answer.model_copy(update={"layer": "cache"})
    expires_at_ms = services.now_ms() + config.cache_ttl_seconds * 1000
    cached = CachedAnswer(answer, recalled.labels, classified.asked)
    services.recent_answers.put(question.cache_key, cached, expires_at_ms=expires_at_ms)
    return DECISIONS.upsert_of(
        question.query_hash if config.log_queries else None,
        question.cache_key,
        answer.model_dump_json(),
        expires_at_ms=expires_at_ms,
    )
