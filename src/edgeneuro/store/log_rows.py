"""Rows of the table `logs`: how an entry is written, and how it is read again."""

import json
from collections.abc import Sequence
from typing import Any

from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.decision import GatewayTrace, RankedAgent, StageRecord, Usage
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.query import near_hash, query_hash
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Row
from edgeneuro.store.log_filters import CONFIDENCE_SOURCE
from edgeneuro.store.sql import LOG_KIND, LOG_OUTCOME, rfc3339, unix_ms

_COLUMNS = (
    "id",
    "created_at",
    "request_id",
    "trace_id",
    "key_id",
    "query",
    "query_hash",
    "context",
    "user",
    "session",
    "metadata",
    "candidates",
    "router",
    "rerouted_from",
    "status",
    "agent_id",
    "confidence",
    "threshold",
    "layer",
    "reason",
    "alternatives",
    "model",
    "adapter",
    "cache",
    "attempts",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "routing_cost_usd",
    "latency_ms",
    "upstream_ms",
    "gateway_log_id",
    "gateway_cache_status",
    "prompt_version",
    "agents_revision",
    "kind",
    "ending",
    "classifier",
    "outcome",
    "confidence_source",
)
# In the column `confidence_source`: there was an answer, and its confidence is unknown. The column
# `confidence` cannot be null.
_UNKNOWN = "none"
# What the column `kind` has for kinds that its CHECK does not know: `other_kind` says which.
_CHECKED_KIND = {"questions": "chat"}
# The same for the column `outcome`, and `other_outcome`.
_CHECKED_OUTCOME = {"agents": "agent", "clarify": "none"}
_WRITTEN = (
    *_COLUMNS,
    "near_hash",
    "previous_hash",
    "stages",
    "other_kind",
    "other_outcome",
)
# Columns that another one goes before.
_READ = {
    "kind": f"{LOG_KIND} AS kind",
    "outcome": f"{LOG_OUTCOME} AS outcome",
    "confidence_source": f"{CONFIDENCE_SOURCE} AS confidence_source",
}
# For entry_from_row.
ENTRY = ", ".join(_READ.get(name, f"logs.{name}") for name in _COLUMNS)
_JSON_COLUMNS = ("metadata", "candidates", "alternatives", "attempts", "classifier")
_OTHERWISE = {"object", "usage", "gateway", "context", "stated_confidence"}
# ?1 is a JSON array of rows, as `log_row` gives them. A row that is there already stays as it is.
# The numbers are higher than that of any row before, also of one that was deleted: what is added to
# the sums is found by them.
_AS_JSON = {*_JSON_COLUMNS, "context", "stages"}
_GIVEN = ", ".join(
    f"given.value {'->' if name in _AS_JSON else '->>'} '{name}'" for name in _WRITTEN
)
INSERT_LOGS = (
    f"INSERT INTO logs (seq, counted_later, {', '.join(_WRITTEN)}) SELECT"
    " (SELECT max(seq, coalesce((SELECT max(seq) FROM logs), 0)) + 1 FROM summed_logs) + given.key,"
    f" 1, {_GIVEN}"
    " FROM json_each(?1) AS given WHERE true ON CONFLICT (id) DO NOTHING"
)


def log_row(entry: LogEntry, stages: Sequence[StageRecord] | None = None) -> dict[str, Any]:
    """The row for INSERT_LOGS: columns that are null are left out. `stages` are those that ran;
    None where nothing was routed."""
    previous = PreviousTurn.of(entry.context)
    context = previous.shown()
    values: dict[str, Any] = {
        **entry.model_dump(exclude=_OTHERWISE),
        "context": None if context is None else context.model_dump(exclude_none=True),
        "created_at": unix_ms(entry.created_at),
        "kind": _CHECKED_KIND.get(entry.kind, entry.kind),
        "other_kind": entry.kind if entry.kind in _CHECKED_KIND else None,
        "outcome": _CHECKED_OUTCOME.get(entry.outcome or "", entry.outcome),
        "other_outcome": entry.outcome if entry.outcome in _CHECKED_OUTCOME else None,
        "confidence": entry.stated_confidence or 0.0,
        "confidence_source": _UNKNOWN
        if entry.stated_confidence is None
        else entry.confidence_source,
        "prompt_tokens": entry.usage.prompt_tokens,
        "completion_tokens": entry.usage.completion_tokens,
        "gateway_log_id": entry.gateway.log_id,
        "gateway_cache_status": entry.gateway.cache_status,
        # Computed once here, so that the label queue never computes it for a whole window.
        # A row for which nothing was decided has no query hash: an erasure finds it by this one.
        "near_hash": near_hash(entry.query, previous.identity) if entry.query else None,
        "previous_hash": None if previous.user is None else query_hash(previous.user),
        "stages": None if stages is None else [_stage(each) for each in stages],
    }
    return {name: value for name, value in values.items() if value is not None}


def entry_from_row(row: Row) -> LogEntry:
    """`row` has the columns of ENTRY."""
    return LogEntry.model_validate(entry_fields(row))


def stages_from_row(row: Row) -> list[StageRecord]:
    """The stages that ran; none in older rows."""
    stages = json.loads(row["stages"] or "[]")
    return [
        StageRecord(**{**each, "scores": [RankedAgent(**score) for score in each["scores"]]})
        for each in stages
    ]


def entry_fields(row: Row) -> dict[str, object]:
    """Those of a LogEntry."""
    fields = {name: row[name] for name in _COLUMNS}
    for name in _JSON_COLUMNS:
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    prompt, completion = fields.pop("prompt_tokens"), fields.pop("completion_tokens")
    return {
        **fields,
        **_outcome(row),
        "context": context_from_json(row["context"]).shown(),
        "created_at": rfc3339(row["created_at"]),
        "usage": Usage(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        ),
        "gateway": GatewayTrace(
            log_id=fields.pop("gateway_log_id"), cache_status=fields.pop("gateway_cache_status")
        ),
    }


def _outcome(row: Row) -> dict[str, object]:
    """What was decided, and the confidences: the table has what was stated. Rows from before the
    column `outcome` have null there, though they answered."""
    outcome, source = row["outcome"], row["confidence_source"]
    stated = None if source == _UNKNOWN else row["confidence"]
    if outcome is None and row["status"] == 200 and row["agent_id"] is not None:
        outcome = "fallback" if row["layer"] == "fallback" else "agent"
    decided = outcome in ("agent", "agents") or row["layer"] == "direct"
    return {
        "outcome": outcome,
        "confidence": stated if decided else None,
        "stated_confidence": stated,
        "confidence_source": None if source == _UNKNOWN else source,
    }


def _stage(stage: StageRecord) -> dict[str, Any]:
    """Spelled out: dataclasses.asdict takes ten times as long."""
    return {
        "name": stage.name,
        "outcome": stage.outcome,
        "reason": stage.reason,
        "ms": stage.ms,
        "scores": [
            {"agent_id": score.agent_id, "probability": score.probability} for score in stage.scores
        ],
        "none_probability": stage.none_probability,
        "calibrated": stage.calibrated,
        **_of_some_stages(stage),
    }


def _of_some_stages(stage: StageRecord) -> dict[str, float | list[str]]:
    """Few stages have these fields, so a null is not written."""
    fields = {
        "clarify_probability": stage.clarify_probability,
        "several_probability": stage.several_probability,
        "follow_up_probability": stage.follow_up_probability,
        "agents_left_out": stage.agents_left_out,
        "agents_cut": stage.agents_cut,
        "state_cut": stage.state_cut,
        "rules": stage.rules,
        "offered": stage.offered,
    }
    return {name: value for name, value in fields.items() if value is not None}
