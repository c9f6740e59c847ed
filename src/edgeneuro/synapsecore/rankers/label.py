"""The label of the same question, if one is in force: a person has said which agent is right."""

from collections.abc import Mapping

from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.cache import CurrentLabel
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.labels import select_current
from edgeneuro.synapsecore.ranking import Ranking, Skip, Source
from edgeneuro.synapsecore.turn import Turn

_LABEL_TTL_MS = 3_600_000
# Reasons of a log row whose caller wanted a model's own decision.
WITHOUT_CACHE = "not looked for: the request has `cache` false"
MODEL_NAMED = "not looked for: the request has `model`"
_NONE_IN_FORCE = Skip("none is in force for this question")


class LabelRanker:
    """Labels come from this isolate's memory while the revision of the labels is the same. After a
    change, and for a question that is new to the isolate, one batch reads the label together with
    the cached decision; as long as there never was a label, nothing is read at all."""

    name = "label"
    layer = "label"

    async def rank(self, turn: Turn) -> Ranking | Skip:
        if not turn.cache:
            return Skip(WITHOUT_CACHE)
        label = await self._current(turn)
        if turn.model_named:
            return Skip(MODEL_NAMED)
        if label is None or not label.is_there:
            return _NONE_IN_FORCE
        return _certain(label.agent_id)

    async def _current(self, turn: Turn) -> CurrentLabel | None:
        """While D1 fails, the label in memory is used."""
        services, lookup = turn.services, turn.lookup
        revision = lookup.labels_revision = (await services.routing.revisions()).labels
        if not revision:
            return None
        label = services.recent_labels.get(turn.query_hash, now_ms=services.now_ms())
        if label is not None and label.labels == revision:
            return label
        try:
            return await self._read(turn, revision)
        except DatabaseError as error:
            services.failures.note("label_read", error)
            lookup.label_failed = True
            return label

    async def _read(self, turn: Turn, revision: int) -> CurrentLabel:
        services, now_ms = turn.services, turn.services.now_ms()
        found, turn.lookup.cached_rows = await services.db.batch(
            [
                select_current(turn.query_hash),
                DECISIONS.select_of(turn.query_hash, turn.cache_key, now_ms=now_ms),
            ]
        )
        label = CurrentLabel(revision, bool(found), found[0]["agent_id"] if found else None)
        services.recent_labels.put(turn.query_hash, label, expires_at_ms=now_ms + _LABEL_TTL_MS)
        return label


class KnownLabels:
    """Labels that were read for many turns at once: the agents by query hash (None: no agent
    fits)."""

    name = "label"
    layer = "label"

    def __init__(self, labels: Mapping[str, str | None]) -> None:
        self._labels = labels

    async def rank(self, turn: Turn) -> Ranking | Skip:
        if turn.model_named:  # by a rule
            return Skip(MODEL_NAMED)
        if turn.query_hash not in self._labels:
            return _NONE_IN_FORCE
        return _certain(self._labels[turn.query_hash])


def _certain(agent_id: str | None) -> Ranking:
    return Ranking(
        agent_id,
        {} if agent_id is None else {agent_id: 1.0},
        Source("label"),
        none=1.0 if agent_id is None else 0.0,
        confidence_source="label",
    )
