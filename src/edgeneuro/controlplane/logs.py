"""Logs in the control plane: what was asked and what was answered, newest first."""

from edgeneuro.call import Call
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.page import Page, PageQuery, page_of
from edgeneuro.store import logs as store


async def list_logs(call: Call, query: PageQuery) -> Page[LogEntry]:
    """List log entries, newest first; go on with `after` = the page's `last_id`."""
    found = await store.list_logs(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of(found, limit=query.limit)
