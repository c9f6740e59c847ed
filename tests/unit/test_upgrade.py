"""`npm run upgrade` and the backup of a deployment, in memory: what wrangler is asked for, in which
order, and what is left where it was cut off."""

import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from local.account.database import Database
from local.account.transfers import dump_rows
from scripts.backups.databases import DeployedDatabase
from scripts.backups.restoring import restore
from scripts.backups.schema import migrations
from scripts.backups.taking import take_backup
from scripts.deploy import deploy
from scripts.deployment.context import Context, Entry, run_deployment
from scripts.steps import StepFailed
from scripts.upgrade import BACKUP, steps
from tests.unit.fake_account import (
    ACCOUNT,
    CUT,
    FakeCloudflare,
    FakeTerminal,
    FakeWrangler,
    apply_migrations,
    context_of,
    forget_variables,
)

NEWEST = migrations()[-1].name
AGENT = (
    "INSERT INTO agents (id, name, description, examples, enabled, is_default, created_at,"
    " updated_at, protocol) VALUES ('hr', 'HR', 'Leave;\nand \\n', '[]', 1, 1, 1, 1, 'openai')"
)


class Wrangler(FakeWrangler):
    """Exports and executes too; `calls` are its commands."""

    def __init__(self, api: FakeCloudflare, context: Context) -> None:
        super().__init__(api)
        self.context = context
        self.whole = True
        self.calls: list[str] = []

    def __call__(self, words: Sequence[str]) -> list[Entry]:
        assert self.context is not None
        self.calls.append(" ".join(words[:2]) if words[0] == "d1" else words[0])
        option = {"export": "--output", "execute": "--file"}.get(words[1] if words[1:] else "")
        if option is None:
            return super().__call__(words)
        file = Path(words[words.index(option) + 1])
        if self._cuts.pop(words[1], None) is not None:
            raise CUT
        database = database_of(self.context, self._api)
        if words[1] == "export":
            tables = [words[at + 1] for at, each in enumerate(words) if each == "--table"]
            file.write_text("\n".join(dump_rows(database.connection, tables)) + "\n")
        else:
            database.query(file.read_text())
        return self.report


def database_of(context: Context, api: FakeCloudflare) -> Database:
    return next(each for each in api.databases if each.id == context.record.database_id)


def prepared(api: FakeCloudflare, folder: Path, *words: str) -> tuple[Context, Wrangler]:
    context = context_of(api, folder, *words)
    wrangler = Wrangler(api, context)
    context.wrangler = wrangler
    return context, wrangler


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeCloudflare:
    forget_variables(monkeypatch)
    return FakeCloudflare()


@cache
def before_the_newest() -> sqlite3.Connection:
    database = Database("older")
    apply_migrations(database, count=len(migrations()) - 1, whole=True)
    database.query(AGENT)
    return database.connection


@pytest.fixture
def older(api: FakeCloudflare, tmp_path: Path) -> Database:
    """What is deployed lacks the newest migration, and has an agent."""
    context, _ = prepared(api, tmp_path)
    made = api.add_database(context.record.name or "edgeneuro")
    before_the_newest().backup(made.connection)
    record = context.record
    record.name, record.database_name, record.database_id = "edgeneuro", made.name, made.id
    record.account_id, record.upload = ACCOUNT, "done"
    api.workers["edgeneuro"] = {"secrets": {}, "bindings": []}
    record.save(context.folder)
    return made


def said(context: Context) -> str:
    assert isinstance(context.terminal, FakeTerminal)
    return context.terminal.said


def backups(folder: Path) -> list[Path]:
    return sorted((folder / "backups").glob("*"))


def test_an_upgrade_backs_up_then_migrates_then_uploads(
    api: FakeCloudflare, older: Database, tmp_path: Path
) -> None:
    context, wrangler = prepared(api, tmp_path)
    deploy(context, steps())
    assert wrangler.calls == ["d1 export", "d1 migrations", "deploy"]
    [backup] = backups(tmp_path)
    assert NEWEST not in backup.read_text()
    assert older.rows("SELECT max(name) AS name FROM d1_migrations") == [{"name": NEWEST}]
    assert f"Backup: write all rows into a file in backups/ … {backup}" in said(context)
    again, wrangler = prepared(api, tmp_path)
    deploy(again, steps())
    assert wrangler.calls == ["deploy"] and len(backups(tmp_path)) == 1


@pytest.mark.parametrize("step", ["export", "migrations"])
def test_an_upgrade_that_is_cut_off_continues(
    api: FakeCloudflare, older: Database, tmp_path: Path, step: str
) -> None:
    context, wrangler = prepared(api, tmp_path)
    wrangler.cut("d1" if step == "migrations" else step, after=False)
    with pytest.raises(SystemExit):
        deploy(context, steps())
    assert wrangler.uploads == 0
    assert len(backups(tmp_path)) == (0 if step == "export" else 1)
    context, wrangler = prepared(api, tmp_path)
    deploy(context, steps())
    assert wrangler.calls[-2:] == ["d1 migrations", "deploy"]


def test_a_dry_run_changes_nothing(api: FakeCloudflare, older: Database, tmp_path: Path) -> None:
    context, wrangler = prepared(api, tmp_path, "--dry-run")
    deploy(context, steps())
    assert "Backup: would write all rows" in said(context)
    assert (wrangler.calls, backups(tmp_path)) == ([], [])


def test_without_a_backup_the_rest_is_the_same(
    api: FakeCloudflare, older: Database, tmp_path: Path
) -> None:
    context, wrangler = prepared(api, tmp_path)
    deploy(context, steps(backup=False))
    assert wrangler.calls == ["d1 migrations", "deploy"]


def test_there_must_be_a_deployment(api: FakeCloudflare, tmp_path: Path) -> None:
    context, wrangler = prepared(api, tmp_path)
    with pytest.raises(SystemExit, match="npm run deploy -- --env production"):
        deploy(context, steps())
    assert (wrangler.calls, api.changes) == ([], [])


def test_an_older_checkout_upgrades_nothing(
    api: FakeCloudflare, older: Database, tmp_path: Path
) -> None:
    older.query("INSERT INTO d1_migrations (name) VALUES ('9999_newer.sql')")
    context, wrangler = prepared(api, tmp_path)
    with pytest.raises(SystemExit, match="git pull"):
        deploy(context, steps())
    assert wrangler.calls == []


def test_a_deployment_is_restored_and_migrated(
    api: FakeCloudflare, older: Database, tmp_path: Path
) -> None:
    context, _wrangler = prepared(api, tmp_path)
    run_deployment(context, [BACKUP])
    [backup] = backups(tmp_path)
    older.query("DELETE FROM agents")
    older.query("INSERT INTO config (key, value, updated_at) VALUES ('learning', '1', 1)")
    database = DeployedDatabase(context)
    with pytest.raises(StepFailed, match="1 settings"):
        restore(backup, database, replace=False)
    restore(backup, database, replace=True, folder=tmp_path / "safe", say=lambda text: None)
    assert older.rows("SELECT id FROM agents") == [{"id": "hr"}]
    assert older.rows("SELECT * FROM config") == []
    assert older.rows("SELECT max(name) AS name FROM d1_migrations") == [{"name": NEWEST}]
    assert len(list((tmp_path / "safe").iterdir())) == 1


def test_an_export_of_another_form_is_no_backup(
    api: FakeCloudflare, older: Database, tmp_path: Path
) -> None:
    context, wrangler = prepared(api, tmp_path)

    def other_form(words: Sequence[str]) -> list[Entry]:
        Path(words[words.index("--output") + 1]).write_text("COPY agents FROM stdin;\nhr\tHR\n")
        return wrangler.report

    context.wrangler = other_form
    with pytest.raises(StepFailed, match="no row"):
        take_backup(DeployedDatabase(context), tmp_path / "backup.sql")
    assert not (tmp_path / "backup.sql").exists()


def test_an_export_that_d1_refuses_is_explained(
    api: FakeCloudflare, older: Database, tmp_path: Path
) -> None:
    context, _wrangler = prepared(api, tmp_path)

    def refuse(words: Sequence[str]) -> list[Entry]:
        raise StepFailed("D1 Export error: cannot export databases with Virtual Tables (fts5)")

    context.wrangler = refuse
    with pytest.raises(StepFailed, match="Virtual Tables") as refused:
        take_backup(DeployedDatabase(context), tmp_path / "backup.sql")
    assert "--no-backup" in refused.value.advice
