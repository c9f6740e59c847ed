"""Labels that are probably wrong."""

from edgeneuro.call import Call
from edgeneuro.domain.fields import Page
from edgeneuro.domain.label_queue import LabelSuspect, SuspectsQuery
from edgeneuro.store import suspects as store


async def list_suspects(call: Call, query: SuspectsQuery) -> Page[LabelSuspect]:
    """List the labels that are probably wrong, the surest first: those that the newest training
    held out and was sure of another agent. Label the question again, as it was or otherwise, and it
    is no longer listed."""
    found = await store.list_suspects(call.services.db, limit=query.limit + 1)
    return Page(data=found[: query.limit], has_more=len(found) > query.limit)
