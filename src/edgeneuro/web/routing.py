"""HTTP routes: a row of the table, and the lookup of a path."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel

from edgeneuro.errors import MethodNotAllowedError, NotFoundError
from edgeneuro.web.auth import Access
from edgeneuro.web.handler import Handler

_REPEATED_SLASHES = re.compile(r"/{2,}")
_REPEATED_PREFIX = re.compile(r"^(?:/v1)+(?=/v1(?:/|$))")
_MAX_COMPARED = 80  # comparing costs more than a lookup, and the caller needs no key for it


class Idempotency(Enum):
    """How a POST's response is stored for its Idempotency-Key: the whole response, or only that
    there was one, because it contained a secret that is shown once. A repeatable POST may be done
    twice and accepts no key."""

    STORED = "stored"
    SHOWN_ONCE = "shown_once"
    REPEATABLE = "repeatable"


@dataclass(frozen=True)
class Described:
    """What /openapi.json says about a route in addition to its handler's signature. `statuses` are
    the responses that no rule adds (web/openapi.py), `media` the types of a response that is not
    JSON, `file_media` those of a body that is a file. `events` is the model of a streamed
    response's events. `form` is the model of a form's fields and `files` names its files; with
    `or_json` the fields may be sent as JSON without the files. With `takes_if_match` it reads the
    header If-Match."""

    statuses: tuple[int, ...] = ()
    media: tuple[str, ...] = ()
    file_media: tuple[str, ...] = ()
    events: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    files: tuple[str, ...] = ()
    or_json: bool = False
    takes_if_match: bool = False


@dataclass(frozen=True)
class Route:
    """`{name}` in the path matches one segment, `{name:path}` the rest, with slashes. `status` is
    that of a success. Calls of a public route with `limited` count for the caller's address. With
    `awaits_limit` the handler runs beside the rate limiter, and waits for it itself."""

    method: str
    path: str
    handler: Callable[..., Any]
    access: Access
    status: int = 200
    idempotency: Idempotency = Idempotency.STORED
    max_body_bytes: int = 64 * 1024
    limited: bool = False
    awaits_limit: bool = False
    described: Described = Described()

    @property
    def takes_idempotency_key(self) -> bool:
        return self.method == "POST" and self.idempotency is not Idempotency.REPEATABLE


@dataclass(frozen=True)
class Found:
    route: Route
    handler: Handler
    path_values: dict[str, str]


class RouteTable:
    """Paths without parameters are found in a dictionary, the others by their patterns in order.
    `absent` has a sentence for each path that clients expect but that does not exist."""

    def __init__(self, routes: Sequence[Route], *, absent: Mapping[str, str] | None = None) -> None:
        self.all: list[Found] = []
        self._absent = absent or {}
        self._literal: dict[str, dict[str, Found]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Found]]] = {}
        for route in routes:
            found = Found(route, Handler(route.handler), {})
            self.all.append(found)
            if "{" in route.path:
                pattern = re.compile(_regex(route.path))
                _, methods = self._patterns.setdefault(route.path, (pattern, {}))
                methods[route.method] = found
            else:
                self._literal.setdefault(route.path, {})[route.method] = found

    def find(self, method: str, path: str) -> Found:
        """Raises NotFoundError, or MethodNotAllowedError with the methods of the path."""
        methods, values = self._methods(path)
        found = methods.get("GET" if method == "HEAD" else method)
        if found is None:
            allow = ", ".join(methods)
            raise MethodNotAllowedError(
                f"{method} is not possible here; this path has {allow}.", headers={"allow": allow}
            )
        return Found(found.route, found.handler, values) if values else found

    def methods_of(self, path: str) -> str:
        """The path's methods as a header value, for a preflight. Raises NotFoundError."""
        return ", ".join(self._methods(path)[0])

    def _methods(self, path: str) -> tuple[dict[str, Found], dict[str, str]]:
        if path in self._literal:
            return self._literal[path], {}
        for pattern, methods in self._patterns.values():
            match = pattern.fullmatch(path)
            if match is not None:
                return methods, {name: unquote(value) for name, value in match.groupdict().items()}
        raise NotFoundError(self._explain_absence(path), code="unknown_path")

    def _explain_absence(self, path: str) -> str:
        if path in self._absent:
            return self._absent[path]
        paths = [] if len(path) > _MAX_COMPARED else [*self._literal, *self._patterns]
        nearest = get_close_matches(path.lower(), paths, n=1, cutoff=0.6)
        hint = f" The nearest path is {nearest[0].replace(':path}', '}')}." if nearest else ""
        return f"There is nothing at this path.{hint} GET /openapi.json lists all paths."


def canonical_path(path: str) -> str:
    """The path without what clients add when they join a base URL and a path: doubled and trailing
    slashes, and the prefix /v1 twice. A model's id with such slashes is sent percent-encoded."""
    path = _REPEATED_SLASHES.sub("/", path)
    return _REPEATED_PREFIX.sub("", path).rstrip("/") or "/"


def _regex(template: str) -> str:
    parts = re.split(r"\{(\w+)(:path)?\}", template)
    pattern = re.escape(parts[0])
    for name, whole, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if whole else '[^/]+'})" + re.escape(literal)
    return pattern
