"""The drawing in ARCHITECTURE.md, held: imports go one way, and one room imports the platform."""

import ast
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
PACKAGE = SRC / "edgeneuro"
PLATFORM = {"workers", "js", "pyodide", "asgi"}
HANDLERS = {
    "adapter",
    "bounded_json",
    "isolate.metrics",
    "isolate.cache",
    "call",
    "access.identity",
    "services",
    "gateway",
    "store",
    "domain",
    "errors",
    "settings",
    "web",
}
# Each room, and the rooms that it may import from: all of them stand below it. A room is a folder
# or a module; a module that is named here is no part of its folder's room.
ARROWS = {
    "entry": {"edge"},
    "edge": {"app.application", "access", "controlplane", "isolate", *HANDLERS},
    "app.application": {
        "app.routes",
        "app.durable_log",
        "app.idempotency",
        "app.read_session",
        "app.refusals",
        "app.request_log",
        "access.admission",
        "access.limits",
        *HANDLERS,
    },
    "app.read_session": {"errors", "services", "store", "web"},
    "app.refusals": {"domain", "errors", "web"},
    "app.request_log": {"call", "services", "domain", "web"},
    "app.durable_log": {"call", "settings"},
    "app.idempotency": {"call", "store", "errors", "web"},
    "app.routes": {"adapter", "controlplane", "domain", "synapsecore", "web"},
    "controlplane": {"classifier", "synapsecore", *HANDLERS},
    "synapsecore": {
        "classifier",
        "isolate.classifier_cache",
        "isolate.classifier_examples",
        "isolate.embedding_cache",
        "access.limits",
        *HANDLERS,
    },
    "access.admission": {"access.identity", "services", "errors"},
    "access.limits": {"services", "store", "domain", "errors", "web"},
    "call": {"services", "domain", "web"},
    "services": {
        "access.identity",
        "classifier",
        "isolate",
        "isolate.cache",
        "isolate.classifier_cache",
        "isolate.classifier_examples",
        "isolate.embedding_cache",
        "isolate.metrics",
        "gateway",
        "store",
        "domain",
        "settings",
    },
    "access.identity": {
        "access",
        "isolate.cache",
        "store",
        "domain",
        "errors",
        "settings",
        "web",
    },
    "access": {"bounded_json", "errors", "settings", "web"},
    "isolate": {"isolate.metrics", "store", "domain", "errors", "settings"},
    "isolate.classifier_cache": {"classifier", "store", "domain", "errors"},
    "isolate.classifier_examples": {"classifier", "store", "errors"},
    "isolate.embedding_cache": {"classifier", "domain", "store", "errors"},
    "isolate.cache": {"domain"},
    "isolate.metrics": set(),
    "gateway": {"adapter", "bounded_json", "domain", "errors", "settings"},
    "store": {"bounded_json", "classifier", "domain", "errors", "settings"},
    "classifier": {"bounded_json", "domain", "errors"},
    "adapter": {"bounded_json"},
    "web": {"bounded_json", "domain", "errors", "settings"},
    "domain": {"errors", "settings"},
    "bounded_json": set(),
    "errors": set(),
    "settings": set(),
}
FILES = sorted(SRC.rglob("*.py"))
MAX_LINES = 350


def name_of(path: Path) -> str:
    return str(path.relative_to(SRC))


@cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(name: str) -> str:
    """The room of a module, or of what is imported from it, by its dotted name."""
    parts = name.removeprefix("edgeneuro.").split(".")
    longest = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((each for each in longest if each in ARROWS), parts[0])


def room_of(path: Path) -> str:
    return room(".".join(path.relative_to(SRC).with_suffix("").parts))


def test_imports_follow_the_arrows() -> None:
    wrong = {}
    for path in FILES:
        here = room_of(path)
        rooms = {room(name) for name in imports(path) if name.startswith("edgeneuro.")}
        wrong[name_of(path)] = rooms - {here, "__version__"} - ARROWS.get(here, set())
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}


def test_arrows_point_downwards() -> None:
    order = list(ARROWS)
    upwards = {
        (here, there)
        for here, allowed in ARROWS.items()
        for there in allowed
        if order.index(there) <= order.index(here)
    }
    assert upwards == set()


def test_the_platform_is_imported_in_one_room() -> None:
    roots = {
        name_of(path): {name.split(".")[0] for name in imports(path)} & PLATFORM
        for path in FILES
        if not path.is_relative_to(PACKAGE / "edge")
    }
    assert {path: found for path, found in roots.items() if found} == {}


def test_files_are_small_and_say_what_they_are() -> None:
    texts = {name_of(path): path.read_text() for path in FILES}
    long = {path for path, text in texts.items() if len(text.splitlines()) > MAX_LINES}
    silent = {path for path, text in texts.items() if not ast.get_docstring(ast.parse(text))}
    assert (long, silent) == (set(), set())


def test_sql_is_written_in_the_store_alone() -> None:
    wrong = [
        name_of(path)
        for path in FILES
        if room_of(path) != "store" and "SELECT " in path.read_text()
    ]
    assert wrong == []
