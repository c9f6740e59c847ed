"""Dead letters: answers whose log rows D1 refused. They are listed, written again, or deleted."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.dead_letter import (
    DeadLetter,
    DeadLettersDeleted,
    DeadLettersQuery,
    DeadLettersRetried,
)
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.store import dead_letters as store
from edgeneuro.store.database import Row
from edgeneuro.store.log_messages import read_message
from edgeneuro.store.log_writes import Entry, write_entries
from edgeneuro.store.sql import rfc3339

_RETRIED = 100  # in a call


async def list_dead_letters(call: Call, query: DeadLettersQuery) -> Page[DeadLetter]:
    """List the answers that are missing in the logs because D1 refused their rows, newest first."""
    rows = await store.list_dead_letters(call.services.db, after=query.after, limit=query.limit + 1)
    return page_of([_shown(row) for row in rows], limit=query.limit)


async def retry_dead_letters(call: Call) -> DeadLettersRetried:
    """Write the newest 100 dead letters to the logs again. What is refused again stays."""
    services = call.services
    rows = await store.list_dead_letters(services.db, after=None, limit=_RETRIED)
    entries = [entry for row in rows if (entry := _entry(row)) is not None]
    refused = await write_entries(services.db, entries)
    failed = {str(each.entry["row"]["id"]): each.error.message for each in refused}
    written = [each["row"]["id"] for each in entries if each["row"]["id"] not in failed]
    if failed:
        await services.db.run(store.note_again(failed, now_ms=services.now_ms()))
    if written:
        await commit(
            call,
            [store.delete_dead_letters(written)],
            action="retry",
            resource="dead_letters",
            resource_id=written[0] if len(written) == 1 else f"{len(written)} letters",
        )
    left = await store.count_dead_letters(services.db)
    return DeadLettersRetried(written=len(written), failed=len(rows) - len(written), left=left)


async def delete_dead_letters(call: Call) -> DeadLettersDeleted:
    """Delete all dead letters. Their answers will be in no log and no sum."""
    deleted = await commit(
        call,
        [store.delete_dead_letters()],
        action="delete",
        resource="dead_letters",
        resource_id="all",
    )
    return DeadLettersDeleted(deleted=len(deleted))


def _entry(row: Row) -> Entry | None:
    """None of what cannot be read."""
    try:
        [entry] = read_message(f"[{row['entry']}]")
    except (ValueError, TypeError, LookupError):
        return None
    return entry


def _shown(row: Row) -> DeadLetter:
    entry = _entry(row)
    return DeadLetter(
        id=row["id"],
        failed_at=rfc3339(row["failed_at"]),
        error=row["error"],
        row=None if entry is None else entry["row"],
    )
