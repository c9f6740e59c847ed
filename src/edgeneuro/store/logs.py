"""The table `logs`: one row an answer, read newest first by keyset pages on the id."""

import json

from pydantic import BaseModel

from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.log import LogEntry
from edgeneuro.store.database import Database, Row, Statement, Value, statement
from edgeneuro.store.times import rfc3339, unix_ms

_COLUMNS = (
    "id",
    "created_at",
    "request_id",
    "key_id",
    "query",
    "user",
    "session",
    "metadata",
    "candidates",
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
    "latency_ms",
    "gateway_log_id",
    "gateway_cache_status",
    "prompt_version",
    "agents_revision",
)
_NAMES = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO logs ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_JSON_COLUMNS = ("metadata", "candidates", "alternatives", "attempts")


def insert_log(entry: LogEntry) -> Statement:
    fields = entry.model_dump(exclude={"object", "usage", "gateway"})
    values: dict[str, Value] = {
        **fields,
        **{name: _json_or_null(fields[name]) for name in _JSON_COLUMNS},
        "created_at": unix_ms(entry.created_at),
        "prompt_tokens": entry.usage.prompt_tokens,
        "completion_tokens": entry.usage.completion_tokens,
        "gateway_log_id": entry.gateway.log_id,
        "gateway_cache_status": entry.gateway.cache_status,
    }
    return Statement(_INSERT, tuple(values[name] for name in _COLUMNS))


async def list_logs(db: Database, *, limit: int, after: str | None) -> list[LogEntry]:
    """Newest first; `after` is the id of the last entry seen."""
    rows = await db.run(
        statement(
            f"SELECT {_NAMES} FROM logs WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_entry_from_row(row) for row in rows]


def _entry_from_row(row: Row) -> LogEntry:
    fields = {name: row[name] for name in _COLUMNS}
    for name in _JSON_COLUMNS:
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    prompt, completion = fields.pop("prompt_tokens"), fields.pop("completion_tokens")
    return LogEntry.model_validate(
        {
            **fields,
            "created_at": rfc3339(row["created_at"]),
            "usage": Usage(
                prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
            ),
            "gateway": GatewayTrace(
                log_id=fields.pop("gateway_log_id"), cache_status=fields.pop("gateway_cache_status")
            ),
        }
    )


def _json_or_null(value: BaseModel | dict[str, object] | list[object] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
