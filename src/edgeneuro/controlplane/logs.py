"""Logs in the control plane: what was asked and what was answered, newest first."""

from edgeneuro.call import Call
from edgeneuro.domain.log import LogItem, LogRecord, LogsQuery
from edgeneuro.domain.page import Page, page_of
from edgeneuro.errors import NotFoundError
from edgeneuro.store import logs as store


async def list_logs(call: Call, query: LogsQuery) -> Page[LogItem]:
    """List log entries, newest first; go on with `after` = the page's `last_id`. All filters given
    hold together; with `q` (words of the query, in any order) the order is that of writing."""
    found = await store.list_logs(call.services.db, query, limit=query.limit + 1)
    return page_of(found, limit=query.limit)


async def get_log(call: Call, log_id: str) -> LogRecord:
    """Read one answer's record: how the decision came about, and what people said of it since."""
    log = await store.get_log(call.services.db, log_id)
    if log is None:
        raise NotFoundError(
            f"There is no log entry {log_id[:100]!r}: its id is wrong, or its time is over."
            " GET /v1/logs lists what there is.",
            code="unknown_log",
            param="log_id",
        )
    return log
