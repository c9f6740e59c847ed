"""The export of log rows: JSON Lines, read part by part and sent as they are read, so that memory
does not grow with their number."""

from collections.abc import AsyncGenerator

from edgeneuro.call import Call
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.observe.logs import require_layer
from edgeneuro.domain.log import LogsExportEnd, LogsExportQuery
from edgeneuro.errors import NotFoundError
from edgeneuro.store import logs as store
from edgeneuro.store.database import CountedDatabase
from edgeneuro.store.log_filters import LogPosition
from edgeneuro.web.response import Response

# Of a part, the rows that are looked at, and of its lines the bytes that are aimed at: the next
# part is as large as the rows of this one allow.
_FIRST_ROWS, _MIN_ROWS, _MAX_ROWS = 100, 20, 500
_PART_BYTES = 1024 * 1024
# An invocation may make 1,000 queries of D1; a part takes three at most.
_MAX_QUERIES = 900


async def export_logs(call: Call, query: LogsExportQuery) -> Response:
    """Export log entries as JSON Lines, newest first: each line is an item of GET /v1/logs, with
    the same filters. The last line has the `object` "log_export_end": an export without it was cut,
    and is continued with `after` = the `id` of its last line. One request sends at most 100,000
    lines and looks at no more than 900 queries of D1 can read: if `has_more` of the last line is
    true, the next request continues with `after` = `last_id`."""
    require_layer(query)
    after = None
    if query.after is not None:
        after = await store.find_position(call.services.db, query.after)
        if after is None:
            raise NotFoundError(
                f"There is no log entry {query.after[:100]!r} to continue after. If its time is"
                " over, there are no older ones; if it was erased, continue after the one before.",
                code="unknown_log",
                param="after",
            )
    headers = {
        "content-type": "application/jsonl",
        "content-disposition": 'attachment; filename="edgeneuro-logs.jsonl"',
    }
    return Response(200, _lines(call, query, after), headers)


async def _lines(
    call: Call, query: LogsExportQuery, after: LogPosition | None
) -> AsyncGenerator[bytes, None]:
    db, pacer = CountedDatabase(call.services.db), Pacer(call.services.sleep)
    sent, rows = 0, _FIRST_ROWS
    last_id = query.after
    while True:
        looked_at = min(rows, query.limit - sent)
        part = await store.read_part(db, query, after=after, rows=looked_at)
        size = 0
        lines: list[str] = []
        for item in part.items:
            lines.append(item.model_dump_json())
            size += len(lines[-1])
            await pacer.spend(len(lines[-1]))
        if lines:
            yield ("\n".join(lines) + "\n").encode()
        sent += len(lines)
        after = part.reached
        last_id = after.id if after else part.items[-1].id if part.items else last_id
        if after is None or sent >= query.limit or db.queries >= _MAX_QUERIES:
            end = LogsExportEnd(rows=sent, has_more=after is not None, last_id=last_id)
            yield end.model_dump_json().encode() + b"\n"
            return
        rows = min(_MAX_ROWS, 2 * rows, max(_MIN_ROWS, _rows_for(size, len(lines))))


def _rows_for(size: int, lines: int) -> int:
    return _MAX_ROWS if lines == 0 else _PART_BYTES * lines // max(1, size)
