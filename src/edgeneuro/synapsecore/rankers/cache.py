"""Rankings of the active model that were cached for the same query: in this isolate's memory, which
costs nothing, and in D1, which costs a round trip, so it comes after the classifier."""

from pydantic import ValidationError

from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.cache import CachedAnswer
from edgeneuro.store.additions import Addition
from edgeneuro.store.answer_cache import DECISIONS, add_decision
from edgeneuro.synapsecore.rankers.classifier import classifier_identity
from edgeneuro.synapsecore.ranking import Ranking, Skip, cached_ranking, ranking_from_cache
from edgeneuro.synapsecore.turn import Turn

_NO_CACHE = Skip("not looked for: the request has `cache` false")
_NO_ENTRY = Skip("no entry for this query")


class MemoryCacheRanker:
    """An entry is used while the revision of the labels is the same, or the label could not be
    read."""

    name = "memory_cache"
    layer = "cache"

    async def rank(self, turn: Turn) -> Ranking | Skip:
        if not turn.cache:
            return _NO_CACHE
        services, lookup = turn.services, turn.lookup
        cached = services.recent_answers.get(turn.cache_key, now_ms=services.now_ms())
        if cached is None:
            return _NO_ENTRY
        if cached.labels != lookup.labels_revision and not lookup.label_failed:
            return Skip("labels have changed since")
        classifier = classifier_identity(turn)
        if classifier not in (None, cached.classifier):
            return Skip("the classifier has not seen this query yet, and may decide it")
        if turn.clarify and classifier is not None and cached.answer.probabilities is None:
            return Skip("the model named one agent, and the classifier may have another close one")
        return ranking_from_cache(cached.answer, turn.models[0].id)


class StoredCacheRanker:
    """A cache that fails, or holds damaged rows, has no entry."""

    name = "stored_cache"
    layer = "cache"

    async def rank(self, turn: Turn) -> Ranking | Skip:
        if not turn.cache:
            return _NO_CACHE
        services, lookup = turn.services, turn.lookup
        rows, now_ms = lookup.cached_rows, services.now_ms()
        try:
            if rows is None:
                rows = await services.db.run(
                    DECISIONS.select_of(turn.query_hash, turn.cache_key, now_ms=now_ms)
                )
            if rows and rows[0]["dropped"]:
                lookup.dropped = True
                return Skip("the entry was dropped after feedback")
            found = DECISIONS.answer_from_rows(rows)
        except (DatabaseError, ValidationError) as error:
            services.failures.note("cache_read", error)
            return Skip("the cache could not be read")
        if found is None:
            return _NO_ENTRY
        answer, expires_at_ms = found
        cached = CachedAnswer(answer, lookup.labels_revision, classifier_identity(turn))
        services.recent_answers.put(turn.cache_key, cached, expires_at_ms=expires_at_ms)
        return ranking_from_cache(answer, turn.models[0].id)


def cache_put(turn: Turn, ranking: Ranking) -> Addition:
    """Caches the ranking in the isolate; returns the write that caches it in D1 if the question
    has come before."""
    services, config = turn.services, turn.config
    answer, ttl_ms = cached_ranking(ranking), config.cache_ttl_seconds * 1000
    expires_at_ms = services.now_ms() + ttl_ms
    cached = CachedAnswer(answer, turn.lookup.labels_revision, classifier_identity(turn))
    services.recent_answers.put(turn.cache_key, cached, expires_at_ms=expires_at_ms)
    return add_decision(
        turn.cache_key,
        answer.model_dump_json(exclude_defaults=True),
        expires_at_ms=expires_at_ms,
        query_hash=turn.query_hash if config.log_queries else None,
        since_ms=turn.created_ms - ttl_ms,
    )
