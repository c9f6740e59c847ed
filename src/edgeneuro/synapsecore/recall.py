"""Recall: the answer to the same question. First of all from the isolate, which costs nothing; from
D1, which is a round trip, only where the classifier has not answered."""

from pydantic import ValidationError

from edgeneuro.domain.decision import Answer
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.ask import Asked
from edgeneuro.synapsecore.question import Question


def recall(services: Services, question: Question) -> Answer | None:
    """Stage 1; None is a miss."""
    return services.recent_answers.get(question.cache_key, now_ms=services.now_ms())


async def recall_stored(services: Services, question: Question) -> Answer | None:
    """Stage 3; None is a miss. A cache that fails or holds damaged rows is a miss too, and is
    counted."""
    try:
        found = await DECISIONS.read(services.db, question.cache_key, now_ms=services.now_ms())
    except (DatabaseError, ValidationError) as error:
        services.failures.note("cache_read", error)
        return None
    if found is None:
        return None
    answer, expires_at_ms = found
    services.recent_answers.put(question.cache_key, answer, expires_at_ms=expires_at_ms)
    return answer


def remember(
    services: Services, question: Question, config: RoutingConfig, asked: Asked
) -> Statement | None:
    """Keeps the active model's answer in the isolate; returns the write that keeps it in D1. A
    fallback model's answer is not kept: it would stand in for the active model long after that is
    well again."""
    if asked.answer is None or asked.failure is not None or asked.shared:
        return None
    answer = asked.answer.model_copy(update={"layer": "cache"})
    expires_at_ms = services.now_ms() + config.cache_ttl_seconds * 1000
    services.recent_answers.put(question.cache_key, answer, expires_at_ms=expires_at_ms)
    return DECISIONS.upsert(
        question.cache_key, answer.model_dump_json(), expires_at_ms=expires_at_ms
    )
