"""The second classifier, which also sees what an embedding model makes of the query. It is asked if
the first one is not sure, and after the caches: a cached ranking of the model costs less than a
call of the embedding model.

It needs a call, but one that costs a hundredth of a decision. A failure of it is no failure of the
decision: the model is asked then, as without this stage."""

from dataclasses import replace

from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.embedding import SelectedEmbedding, vector_key
from edgeneuro.domain.model import Model
from edgeneuro.isolate.embedding_cache import LoadedEmbedding
from edgeneuro.synapsecore.embedding_call import embed
from edgeneuro.synapsecore.ranking import NO_CALL, ModelCallResult, Ranking, Skip, Source
from edgeneuro.synapsecore.stored_text import stored_text
from edgeneuro.synapsecore.turn import Turn

_LAYER = "embedding"
# Of the time for the decision; the model needs the rest.
_MAX_MS, _SHARE_OF_TIME = 1_000, 0.25
MAX_CHARACTERS = 2_000  # of a text; the models read some 512 tokens


class EmbeddingRanker:
    name = _LAYER
    layer = _LAYER

    async def rank(self, turn: Turn) -> Ranking | Skip:
        services = turn.services
        counter, gain = services.metrics.embedding_verdicts, services.embedding_gain
        if turn.model_named or not turn.cache:
            field = "`model`" if turn.model_named else "`cache` false"
            return Skip(f"not asked: the request has {field}")
        if turn.previous:
            return Skip("not asked: it knows single messages, and this one follows another")
        found = _ready(turn)
        if isinstance(found, str):
            counter.add(1, "none")
            return Skip(found)
        model, selected, loaded = found
        gain.about(selected.id)
        if not gain.asks():
            counter.add(1, "off")
            return Skip("not asked: here it costs more than it saves")
        started = services.monotonic()
        vector, call = await _vector(turn, model, selected)
        ranking: Ranking | Skip
        if vector is None:
            why = "no vector" if call.failure is None else call.failure.reason
            ranking = Skip(f"the embedding model failed: {why}", replace(call, failure=None))
            counter.add(1, "failed")
        else:
            ranking = _rank(turn, loaded, vector, call)
            counter.add(1, "sure" if ranking.sure else "unsure")
        gain.note_stage(
            decided=isinstance(ranking, Ranking) and ranking.sure,
            ms=(services.monotonic() - started) * 1000,
            usd=call.cost_usd,
        )
        return ranking


def _ready(turn: Turn) -> tuple[Model, SelectedEmbedding, LoadedEmbedding] | str:
    """The embedding model and the second classifier, or why there is none."""
    config = turn.config
    first = turn.classifier
    model = find_model(config.models, config.embedding_model or "")
    if model is None or model.status != "available":
        if config.embedding_model in config.withheld:
            return "not asked: the key may not use the embedding model"
        return "not asked: the embedding model is not available"
    if first is None:
        return "not asked: no classifier is loaded"
    selected = config.embeddings.get(first.id)
    if selected is None:
        return "not asked: the classifier has no second one yet; its `embedding` says why"
    if selected.identity != config.identity_hash(model):
        return "not asked: the classifier was trained with another embedding model"
    loaded = turn.services.embeddings.current(selected, turn.caller.background)
    if loaded is None:
        return "not asked: it is not loaded yet"
    known = set(loaded.scorer.model.classes)
    new = next((agent_id for agent_id in config.agents if agent_id not in known), None)
    if new is not None:
        return f"not asked: agent {new!r} is new to it; train again"
    return model, selected, loaded


async def _vector(
    turn: Turn, model: Model, selected: SelectedEmbedding
) -> tuple[bytes | None, ModelCallResult]:
    """From this isolate's cache, else from the model. The text is the one that labels have, without
    personal data if the settings say so."""
    services, config = turn.services, turn.config
    text = stored_text(config, turn.query)[:MAX_CHARACTERS]
    key = vector_key(selected.identity, text)
    cached = services.recent_vectors.get(key, now_ms=services.now_ms())
    if cached is not None:
        return cached, NO_CALL
    vectors, call = await embed(
        services,
        config,
        model,
        [text],
        width=selected.width,
        budget_ms=min(_MAX_MS, round(turn.time_budget_ms * _SHARE_OF_TIME)),
        cache_key=key,
        metadata={
            "decision_id": turn.id,
            "key_id": turn.caller.credential.key_id,
            "purpose": _LAYER,
        },
        trace=turn.caller.trace,
    )
    if vectors is None:
        return None, call
    expires_at_ms = services.now_ms() + config.cache_ttl_seconds * 1000
    services.recent_vectors.put(key, vectors[0], expires_at_ms=expires_at_ms)
    return vectors[0], call


def _rank(turn: Turn, loaded: LoadedEmbedding, vector: bytes, call: ModelCallResult) -> Ranking:
    least = turn.config.confidence_threshold
    found = loaded.scorer.rank(turn.query, vector)
    own = found.prediction.threshold
    return Ranking(
        found.prediction.agent_id,
        found.probabilities,
        Source(_LAYER, loaded.id, version=loaded.version),
        none=found.none,
        confidence_source="classifier",
        calibrated=True,
        sure=found.prediction.sure_at(least),
        threshold=None if own is None else max(own, least),
        call=None if call is NO_CALL else call,
    )
