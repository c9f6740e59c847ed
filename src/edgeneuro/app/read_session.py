"""Requests of the control plane over D1's read replicas.

A caller that sends the header `x-edgeneuro-bookmark` reads in a session: from the nearest replica
that has seen what the bookmark stands for. The response has the bookmark of what was read or
written, for the next request, so a caller always sees its own changes. Without the header every
request reads the primary database, and so does routing, whose configuration must be the newest."""

import re

from edgeneuro.errors import InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store.database import SessionDatabase
from edgeneuro.web.auth import Access
from edgeneuro.web.request import Request
from edgeneuro.web.routing import Route

BOOKMARK = "x-edgeneuro-bookmark"
FIRST = "first-unconstrained"  # any replica will do
_BOOKMARK = re.compile(r"first-(?:unconstrained|primary)|[0-9a-f-]{8,100}")
_NOT_OF_CONTROL_PLANE = (Access.PUBLIC, Access.ROUTE)


def session_of(services: Services, route: Route, request: Request) -> SessionDatabase | None:
    """Raises InvalidRequestError if the header is no bookmark."""
    bookmark = request.header(BOOKMARK)
    if bookmark is None or services.open_session is None or route.access in _NOT_OF_CONTROL_PLANE:
        return None
    if _BOOKMARK.fullmatch(bookmark) is None:
        raise InvalidRequestError(
            f"{BOOKMARK}: must be the bookmark of an earlier response, or {FIRST!r}.",
            param=BOOKMARK,
        )
    return services.open_session(bookmark)
