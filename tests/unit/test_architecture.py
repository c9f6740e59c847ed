"""The drawing in ARCHITECTURE.md, held: imports go to the right, the platform is one room."""

import ast
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
PACKAGE = SRC / "edgeneuro"
PLATFORM = {"workers", "js", "pyodide", "asgi"}
# Each room, and the rooms that it may import from.
HANDLERS = {
    "adapter",
    "bounded_json",
    "metrics",
    "gateway_feedback",
    "call",
    "services",
    "identity",
    "gateway",
    "store",
    "domain",
    "errors",
    "settings",
    "web",
}
ARROWS = {
    "entry": {"edge"},
    "edge": {"app", "controlplane", *HANDLERS},
    "app": {"routes", "idempotency", "limits", "request_log", *HANDLERS},
    "request_log": {"call", "services", "domain", "web"},
    "idempotency": {"call", "store", "errors", "web"},
    "routes": {"adapter", "controlplane", "domain", "synapsecore", "web"},
    "controlplane": {"classifier", "synapsecore", *HANDLERS},
    "synapsecore": {"classifier", "kept_classifier", "limits", *HANDLERS},
    "classifier": {"bounded_json", "domain", "errors"},
    "limits": {"services", "store", "domain", "errors", "web"},
    "gateway_feedback": {"call", "services", "store", "errors"},
    "call": {"services", "domain", "web"},
    "kept_classifier": {"classifier", "store", "errors"},
    "services": {
        "classifier",
        "kept_classifier",
        "identity",
        "metrics",
        "gateway",
        "store",
        "domain",
        "errors",
        "settings",
    },
    "identity": {"store", "domain", "errors", "settings", "web"},
    "gateway": {"adapter", "bounded_json", "domain", "errors", "settings"},
    "store": {"classifier", "domain", "errors", "settings"},
    "domain": {"errors", "settings"},
    "web": {"bounded_json", "domain", "errors", "settings"},
    "adapter": {"bounded_json"},
    "bounded_json": set(),
    "errors": set(),
    "settings": set(),
    "metrics": set(),
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


def room(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return parts[1] if parts[0] == "edgeneuro" else parts[0]


def test_imports_follow_the_arrows() -> None:
    wrong = {}
    for path in FILES:
        here = room(path)
        rooms = {name.split(".")[1] for name in imports(path) if name.startswith("edgeneuro.")}
        wrong[name_of(path)] = rooms - {here, "__version__"} - ARROWS.get(here, set())
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}


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
        name_of(path) for path in FILES if room(path) != "store" and "SELECT " in path.read_text()
    ]
    assert wrong == []
