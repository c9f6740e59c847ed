"""`npm run routing-tests`: its words, its exit codes, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.routing_tests import main
from tests.unit.conftest import ADMIN_TOKEN, Product
from tests.unit.http_server import serving
from tests.unit.test_evaluations import OTHER, made
from tests.unit.test_routing_tests import LEAVE, PATH, RUNS, TESTS, VPN, knows, lines
from tests.unit.trainings import minute


class Command:
    """The command in a thread, beside the product; while it sleeps the cron fires."""

    def __init__(self, product: Product, url: str, file: Path) -> None:
        self.product = product
        self.url = url
        self.file = file

    async def run(self, *words: str) -> int:
        loop = asyncio.get_running_loop()

        def sleep(seconds: float) -> None:
            asyncio.run_coroutine_threadsafe(minute(self.product), loop).result()

        def call() -> int:
            with pytest.raises(SystemExit) as ended:
                main([str(self.file), "--url", self.url, *words], sleep)
            assert isinstance(ended.value.code, int)
            return ended.value.code

        return await asyncio.to_thread(call)


@pytest.fixture
async def command(
    database: SqliteDatabase, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Command]:
    monkeypatch.setenv("ADMIN_TOKEN", ADMIN_TOKEN)
    product = await made(database, settings, knows)
    file = tmp_path / "routing_tests.jsonl"
    file.write_bytes(lines(TESTS))
    async with serving(product) as url:
        yield Command(product, url, file)


async def test_all_pass_then_a_model_breaks_one(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command.run() == 0
    assert "4 of 4 tests passed" in capsys.readouterr().out
    assert await command.run("--model", OTHER) == 1
    shown = capsys.readouterr().out
    assert 'failed   "hr leave 10"' in shown
    assert "expected hr; must not be it_support; decided it_support (llm)" in shown
    assert "1 broken, 0 fixed, 0 changed, 0 new" in shown
    assert 'broken   "hr leave 10": hr -> it_support' in shown
    assert "3 of 4 tests passed" in shown
    assert await command.run() == 0
    assert "0 broken, 1 fixed" in capsys.readouterr().out


async def test_proposed_agents_come_from_a_file(command: Command, tmp_path: Path) -> None:
    command.file.write_bytes(lines([{**VPN, "expect": "legal"}]))
    assert await command.run() == 1
    agents = tmp_path / "agents.json"
    agents.write_text('[{"id": "it_support", "enabled": false}]')
    assert await command.run("--agents", str(agents)) == 1
    assert (await last(command))["changes"]["agents"] == json.loads(agents.read_text())
    agents.write_text("[")
    assert await command.run("--agents", str(agents)) == 2


async def last(command: Command) -> dict[str, Any]:
    found: dict[str, Any] = (await command.product.call("GET", RUNS)).json()["data"][0]
    return found


async def test_what_is_tried_follows_the_words(command: Command) -> None:
    words = ("--threshold", "0.95", "--classifier", "none", "--without-labels")
    assert await command.run(*words) == 1
    run = await last(command)
    assert (run["changes"], run["labels"], run["threshold"]) == (
        {"confidence_threshold": 0.95, "classifier_id": None},
        False,
        0.95,
    )


async def test_what_cannot_be_run_ends_with_2(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await command.run("--model", "no-such-model") == 2
    assert "no-such-model" in capsys.readouterr().err
    assert await command.run("--timeout", "0") == 2
    assert "has not ended" in capsys.readouterr().err
    command.file.write_bytes(lines([VPN, {"query": "a"}]))
    assert await command.run() == 2
    assert "line 2: expect: this field is missing" in capsys.readouterr().err
    command.file.unlink()
    assert await command.run() == 2
    command.file.write_bytes(lines([LEAVE]))
    monkeypatch.setenv("ADMIN_TOKEN", "wrong")
    assert await command.run() == 2
    assert "401" in capsys.readouterr().err
    for url in ("router", "http://127.0.0.1:1", f"{command.url}/icon.svg#"):
        command.url = url
        assert await command.run() == 2
    command.url = "http://192.0.2.1:9"
    monkeypatch.delenv("ADMIN_TOKEN")
    assert await command.run() == 2
    assert "There is no key" in capsys.readouterr().err


async def test_it_waits_for_the_run_of_somebody_else(command: Command) -> None:
    await command.product.call("PUT", PATH, lines([LEAVE]))
    assert (await command.product.call("POST", RUNS, {})).status == 202
    assert await command.run() == 0
    assert len((await command.product.call("GET", RUNS)).json()["data"]) == 2


def test_a_key_is_no_word_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["file", "--key", "secret"])
    assert ended.value.code == 2
    assert "secret" not in capsys.readouterr().err
