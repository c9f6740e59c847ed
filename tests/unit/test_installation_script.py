"""`npm run apply`: what it shows, asks and sends, over real sockets; and its files."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scripts.apply import main
from scripts.documents import UnreadableDocument, document_text, read_document
from tests.unit.conftest import ADMIN_TOKEN, Product
from tests.unit.http_server import serving
from tests.unit.test_installation import PATH

YAML = """\
agents:
  - id: it_support
    name: IT Support
    description: Laptops, VPN, passwords.
    default: true
rules:
  - {id: vpn, when: {words: [vpn, on, 2026-01-01]}, then: {agent_id: it_support}}
settings:
  learning: on
"""


def nobody(question: str) -> str:
    raise AssertionError(f"it asked {question!r}")


class Command:
    def __init__(self, product: Product, url: str, folder: Path) -> None:
        self.product = product
        self.url = url
        self.file = folder / "installation.yaml"

    async def run(self, *words: str, ask: Callable[[str], str] = nobody) -> int:
        def call() -> int:
            with pytest.raises(SystemExit) as ended:
                main([str(self.file), "--url", self.url, *words], ask)
            assert isinstance(ended.value.code, int)
            return ended.value.code

        return await asyncio.to_thread(call)

    async def document(self) -> Any:
        return (await self.product.call("GET", PATH)).json()


@pytest.fixture
async def command(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Command]:
    monkeypatch.setenv("ADMIN_TOKEN", ADMIN_TOKEN)
    async with serving(product) as url:
        yield Command(product, url, tmp_path)


async def test_a_file_is_shown_then_applied(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command.file.write_text(YAML)
    before = await command.document()
    assert await command.run("--dry-run") == 0
    shown = capsys.readouterr().out
    assert "~ agent it_support\n    examples: [" in shown
    assert "+ rule vpn\n" in shown and '+ setting learning\n    value: "on"' in shown
    assert "- agent general" in shown and "2 to create, 1 to update, 2 to delete." in shown
    assert await command.run("--check") == 1
    assert await command.run("--yes") == 2
    assert "add --delete" in capsys.readouterr().err
    assert await command.run("--delete", ask=lambda question: "n") == 0
    assert await command.document() == before
    assert await command.run("--delete", ask=lambda question: "y") == 0
    assert "Applied.\n" in capsys.readouterr().out
    after = await command.document()
    assert [each["id"] for each in after["agents"]] == ["it_support"]
    assert after["rules"][0]["when"] == {"words": ["vpn", "on", "2026-01-01"]}
    assert await command.run("--check") == 0


@pytest.mark.parametrize("ending", ["yaml", "json"])
async def test_an_export_applies_without_a_change(
    command: Command, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    command.file = command.file.with_suffix(f".{ending}")
    assert await command.run("--export") == 0
    assert "3 agents, 0 rules, 0 routers, 0 providers, 0 settings" in capsys.readouterr().out
    assert "null" not in command.file.read_text()
    assert await command.run("--export") == 2
    assert await command.run("--export", "--force") == 0
    assert await command.run("--check") == 0


async def test_a_change_after_the_plan_was_shown_is_not_overwritten(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command.file.write_text("settings: {max_retries: 2}")
    loop = asyncio.get_running_loop()

    def meanwhile(question: str) -> str:
        change = command.product.call("PATCH", "/v1/config", {"max_retries": 3})
        assert asyncio.run_coroutine_threadsafe(change, loop).result().status == 200
        return "y"

    assert await command.run(ask=meanwhile) == 2
    assert "412" in capsys.readouterr().err
    assert (await command.document())["settings"] == {"max_retries": 3}


async def test_what_is_wrong_with_a_file(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command.file.write_text("agents: [{id: A, colour: red}]\nrules: [{}]\n")
    assert await command.run() == 2
    shown = capsys.readouterr().err
    for path in ("agents[0].id", "agents[0].colour", "agents[0].name", "rules[0].id"):
        assert f"{path}: " in shown
    for text in ("agents: [", "agents: []\nagents: []\n", "a: {b: 1, b: 2}"):
        command.file.write_text(text)
        assert await command.run() == 2
        assert "is not YAML" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_texts_come_back_as_they_were(tmp_path: Path, ending: str) -> None:
    texts = [
        "on",
        "no",
        "1e5",
        "012",
        "0o7",
        "1:30",
        "2026-01-01",
        "true",
        "~",
        "",
        "a: b",
        "#",
        "é",
    ]
    document = {
        "texts": [*texts, "two\nlines\n", " blank ", "tab\t"],
        "numbers": [1, 0.5, 1e-7, 1e20],
    }
    document["flags"] = [True, False]
    path = tmp_path / f"file.{ending}"
    path.write_text(document_text(path, document), encoding="utf-8")
    assert read_document(path) == document
    path.write_text("[", encoding="utf-8")
    with pytest.raises(UnreadableDocument):
        read_document(path)


def test_yaml_is_of_version_1_2(tmp_path: Path) -> None:
    path = tmp_path / "file.yml"
    path.write_text("[on, off, yes, 012, 1e3, 1_000, 12:30:45, true, 0.50, -3]")
    assert json.dumps(read_document(path)) == (
        '["on", "off", "yes", 12, 1000.0, "1_000", "12:30:45", true, 0.5, -3]'
    )


TIMES_TEN = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefghi"))
MERGED = "".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 10)}]}}\n" for a, b in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.yaml", "a: &a [1]\n" + TIMES_TEN, "too large"),
        ("a.yaml", "a: &a {x: 1, y: 2}\n" + MERGED, "more than 10,000 keys"),
        ("a.yaml", "agents: &a [*a]", "nested more than"),
        ("a.yaml", "agents: !!binary aGVsbG8=", "holds a bytes"),
        ("a.yaml", "agents: !!set {a, b}", "holds a set"),
        ("a.yaml", "agents: !!timestamp 2026-01-01", "holds a date"),
        ("a.yaml", "1: a", "the key 1 is no text"),
        ("a.yaml", "? [a, b]\n: c", "unhashable key"),
        ("a.yaml", "a: !!python/object/apply:os.getcwd []", "constructor for the tag"),
        ("a.yaml", "[" * 700, "nested too deep"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", "[" * 900 + "]" * 900, "nested more than"),
        ("a.json", '{"rules": [{"id": "a", "id": "b"}]}', "'id' is there twice"),
        ("a.json", b'{"rules": "\xff"}', "not UTF-8"),
    ],
)
def test_a_file_that_json_cannot_say_is_refused(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableDocument, match=says):
        read_document(path)
