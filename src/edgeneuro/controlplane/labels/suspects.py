"""Labels that are probably wrong."""

from edgeneuro.call import Call
from edgeneuro.domain.fields import Page
from edgeneuro.domain.label_queue import LabelSuspect, SuspectsQuery
from edgeneuro.store import suspects as store


async def list_suspects(call: Call, query: SuspectsQuery) -> Page[LabelSuspect]:
    """List the labels that are probably wrong, the most certain first: the newest training held
    them out and was certain of another agent. Label the question again, changed or not, to remove
    it from the list."""
    found = await store.list_suspects(call.services.db, limit=query.limit + 1)
    return Page(data=found[: query.limit], has_more=len(found) > query.limit)
