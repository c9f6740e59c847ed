"""`npm run demo`: what it says, what it changes, and that it leaves nothing behind. The tutorial's
commands make the same requests to a running product (tests/worker/test_written_commands.py)."""

from pathlib import Path
from typing import Any

import pytest

from scripts.demo import DemoFailed, check
from scripts.demo_changes import Changes
from scripts.demo_measures import Measured, interval, is_right, table
from scripts.demo_samples import AGENTS, Sample
from scripts.http import Answers, HttpFailed

HERE = "http://localhost:8787"


class Installation(Answers):
    """Answers what the demonstration asks for, and has what it changes."""

    def __init__(self) -> None:
        super().__init__(HERE, "key")
        self.learning = {"value": "observe", "source": "default"}
        self.imports = ["imp_before"]
        self.classifiers = ["clf_before"]
        self.selected: str | None = "clf_before"
        self.agents = set(AGENTS)

    def state(self) -> Any:
        value = self.learning["value"] if self.learning["source"] == "stored" else None
        return (value, list(self.imports), list(self.classifiers), self.selected)

    def get(self, path: str) -> Any:
        match path.partition("?")[0]:
            case "/v1/config":
                return {"learning": self.learning}
            case "/v1/datasets/imports":
                return {"data": [{"id": each} for each in self.imports]}
            case "/v1/models/select":
                return {"classifier": self.selected}
            case "/v1/agents":
                return {"data": [{"id": each, "enabled": True} for each in self.agents]}
        raise AssertionError(path)

    def patch(self, path: str, body: Any) -> Any:
        value = body["learning"]
        source = "default" if value is None else "stored"
        self.learning = {"value": value or "observe", "source": source}

    def post_file(self, path: str, body: bytes) -> Any:
        self.imports.append("imp_demo")
        return {"id": "imp_demo"}

    def post(self, path: str, body: Any) -> Any:
        if path == "/v1/models/select":
            self.selected = body["model_id"]
            return {}
        if path.endswith("/cancel"):
            raise HttpFailed("It has ended.")
        self.classifiers.append("clf_demo")
        return {"id": "clf_demo"}

    def delete(self, path: str) -> Any:
        of, name = path.rsplit("/", 1)
        (self.imports if of.endswith("imports") else self.classifiers).remove(name)


def changed(installation: Installation, notes: Path) -> Changes:
    changes = Changes(installation, HERE, notes)
    changes.stop_learning()
    changes.import_labels(b"")
    changes.enable(changes.train()["id"])
    assert installation.state() == (
        "off",
        ["imp_before", "imp_demo"],
        ["clf_before", "clf_demo"],
        "clf_demo",
    )
    return changes


@pytest.mark.parametrize("learning", [None, "on", "off"])
def test_everything_is_undone(tmp_path: Path, learning: str | None) -> None:
    installation = Installation()
    installation.patch("/v1/config", {"learning": learning})
    before = installation.state()
    changed(installation, tmp_path / "demo.json").undo()
    assert installation.state() == before
    assert (tmp_path / "demo.json").read_text() == "{}"


def test_the_next_run_undoes_one_that_was_killed(tmp_path: Path) -> None:
    installation = Installation()
    before = installation.state()
    changed(installation, tmp_path / "demo.json")
    Changes(Installation(), "http://elsewhere", tmp_path / "demo.json").undo()
    Changes(installation, HERE, tmp_path / "demo.json").undo()
    assert installation.state() == before


def test_a_run_that_is_killed_while_it_imports_is_undone(tmp_path: Path) -> None:
    class Cut(Installation):
        def post_file(self, path: str, body: bytes) -> Any:
            super().post_file(path, body)
            raise KeyboardInterrupt

    installation = Cut()
    changes = Changes(installation, HERE, tmp_path / "demo.json")
    with pytest.raises(KeyboardInterrupt):
        changes.import_labels(b"")
    Changes(installation, HERE, tmp_path / "demo.json").undo()
    assert installation.imports == ["imp_before"]


def test_what_is_kept_can_be_undone_later(tmp_path: Path) -> None:
    installation = Installation()
    before = installation.state()
    changed(installation, tmp_path / "demo.json").keep()
    assert (installation.state()[0], installation.selected) == (None, "clf_demo")
    Changes(installation, HERE, tmp_path / "demo.json").undo()
    assert installation.state() == before


def test_it_needs_the_demonstration_agents() -> None:
    installation = Installation()
    check(installation)
    installation.agents = {"it_support", "hr", "mine"}
    with pytest.raises(DemoFailed, match=r"facilities, finance, general, legal are missing"):
        check(installation)


def decision(outcome: str, agent: str | None, *, called: bool = False) -> dict[str, Any]:
    attempts = [{"outcome": "ok"}] if called else []
    found = None if agent is None else {"id": agent}
    return {"outcome": outcome, "agent": found, "attempts": attempts, "latency_ms": 2.0}


@pytest.mark.parametrize(
    ("label", "outcome", "agent", "right"),
    [
        ("hr", "agent", "hr", True),
        ("hr", "agent", "legal", False),
        ("hr", "none", None, False),
        ("general", "fallback", "general", True),
        ("none", "fallback", "general", True),
        ("none", "none", None, True),
        ("none", "agent", "general", False),
    ],
)
def test_what_is_right(label: str, outcome: str, agent: str | None, right: bool) -> None:
    assert is_right(Sample(1, "q", label, 0, None), decision(outcome, agent)) is right


def test_the_table_counts_calls_and_states_intervals() -> None:
    before, after = Measured(), Measured()
    for number in range(10):
        sample = Sample(number, "q", "hr", 0, None)
        before.add(sample, decision("agent", "hr" if number else "legal", called=True))
        after.add(sample, decision("agent", "hr", called=number < 4))
    head, first, second, _, calls = table({"before": before, "after": after}).splitlines()
    assert head.split()[:2] == ["n", "right"]
    assert first.split() == ["before", "10", "90.0", "%", "59.6", "to", "98.2", "0.0", "%", "2.0"]
    assert second.split()[-3:] == ["60.0", "%", "2.0"]
    assert calls == "Model calls: 10 before, 4 after, of 10: 6 saved."
    assert interval(0, 10)[0] == 0 and interval(10, 10)[1] == pytest.approx(1)
