"""HTTP routes: a row of the table, and the look-up of a path in it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from edgeneuro.errors import MethodNotAllowedError, NotFoundError
from edgeneuro.web.auth import Access
from edgeneuro.web.handler import Handler


@dataclass(frozen=True)
class Route:
    """`{name}` in the path takes one segment, `{name:path}` all that is left, slashes too.
    `status` is that of a success."""

    method: str
    path: str
    handler: Callable[..., Any]
    access: Access
    status: int = 200
    max_body_bytes: int = 64 * 1024


@dataclass(frozen=True)
class Found:
    route: Route
    handler: Handler
    path_values: dict[str, str]


class RouteTable:
    """Paths without parameters are found by a dictionary, the others by their patterns in order."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.all: list[Found] = []
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
        """Raises NotFoundError, or MethodNotAllowedError with the methods that the path has."""
        methods, values = self._methods(path)
        found = methods.get("GET" if method == "HEAD" else method)
        if found is None:
            allow = ", ".join(methods)
            raise MethodNotAllowedError(
                f"{method} is not possible here; this path has {allow}.", headers={"allow": allow}
            )
        return Found(found.route, found.handler, values) if values else found

    def methods_of(self, path: str) -> str:
        """For a preflight: the path's methods, as a header lists them. Raises NotFoundError."""
        return ", ".join(self._methods(path)[0])

    def _methods(self, path: str) -> tuple[dict[str, Found], dict[str, str]]:
        if path in self._literal:
            return self._literal[path], {}
        for pattern, methods in self._patterns.values():
            match = pattern.fullmatch(path)
            if match is not None:
                return methods, {name: unquote(value) for name, value in match.groupdict().items()}
        raise NotFoundError(
            "There is nothing at this path. GET /openapi.json lists what there is.",
            code="unknown_path",
        )


def _regex(template: str) -> str:
    parts = re.split(r"\{(\w+)(:path)?\}", template)
    pattern = re.escape(parts[0])
    for name, whole, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if whole else '[^/]+'})" + re.escape(literal)
    return pattern
