"""An account of Cloudflare as `npm run deploy` meets it: its API, wrangler and a terminal, in
memory, which lose connections on request."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from local.account.database import Database, QueryError
from scripts.deploy import STEPS
from scripts.deployment.api import Cloudflare, CloudflareError
from scripts.deployment.context import Context, Entry, Terminal, run_deployment
from scripts.deployment.options import read_options
from scripts.deployment.record import read_record
from scripts.paths import MIGRATIONS
from scripts.steps import StepFailed

ACCOUNT = "a" * 32
OTHER = "b" * 32
CUT = StepFailed("the network is down", "run the same command again.")


class FakeCloudflare(Cloudflare):
    """`cut` fails the next call whose method and path match: before it has an effect, or, with
    `after`, when it has had it. `refuse` answers with this status and code each time."""

    def __init__(self) -> None:
        super().__init__("token", sleep=lambda seconds: None)
        self.accounts = {ACCOUNT: "Example"}
        self.subdomain = "example"
        self.databases: list[Database] = []
        self.workers: dict[str, dict[str, Any]] = {}
        self.gateways: list[str] = []
        self.domains: dict[str, str] = {}
        self.zones = ["example.com"]
        self.plan = "workers_paid"
        self.changes: list[str] = []
        self._cuts: dict[str, bool] = {}
        self._refusals: dict[str, tuple[int, int]] = {}
        self._others: dict[str, object] = {}

    def cut(self, pattern: str, *, after: bool) -> None:
        self._cuts[pattern] = after

    def refuse(self, pattern: str, status: int, code: int) -> None:
        self._refusals[pattern] = (status, code)

    def answer_otherwise(self, pattern: str, result: object) -> None:
        self._others[pattern] = result

    def allow_all(self) -> None:
        self._refusals.clear()

    def call(self, method: str, path: str, body: object = None) -> Any:
        asked = f"{method} {path}"
        for pattern, (status, code) in self._refusals.items():
            if re.search(pattern, asked):
                raise CloudflareError(f"{asked}: {status}", "", status, code)
        cut = next((each for each in self._cuts if re.search(each, asked)), None)
        after = cut is not None and self._cuts.pop(cut)
        if cut is not None and not after:
            raise CloudflareError(f"{asked}: no answer", CUT.advice)
        other = next((each for each in self._others if re.search(each, asked)), None)
        answer = self._others[other] if other else self._answer(method, path, body)
        if cut is not None:
            raise CloudflareError(f"{asked}: no answer", CUT.advice)
        return answer

    def _answer(self, method: str, path: str, body: Any) -> Any:
        url = urlsplit(path)
        place = re.sub(r"^/accounts/[^/]+", "", url.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if method != "GET" and not place.endswith("/query"):
            self.changes.append(f"{method} {place}")
        match method, *place.strip("/").split("/"):
            case "GET", "accounts":
                return [{"id": each, "name": name} for each, name in self.accounts.items()]
            case "GET", "":
                return [{"id": each, "name": name} for each, name in self.accounts.items()]
            case "GET", "subscriptions":
                return [{"rate_plan": {"id": self.plan}}]
            case "GET", "workers", "scripts", name, "settings" if name in self.workers:
                return {"bindings": self.workers[name]["bindings"]}
            case "GET", "workers", "scripts", name, "secrets" if name in self.workers:
                return [{"name": each} for each in self.workers[name]["secrets"]]
            case "GET", "workers", "scripts", name, "subdomain" if name in self.workers:
                return {"enabled": self.workers[name].get("workers_dev", True)}
            case "GET", "workers", "subdomain" if self.subdomain:
                return {"subdomain": self.subdomain}
            case "GET", "workers", "subdomain":
                raise CloudflareError("no subdomain", "", 404, 10007)
            case "PUT", "workers", "subdomain":
                self.subdomain = body["subdomain"]
                return body
            case "GET", "workers", "domains":
                return [{"hostname": host, "service": who} for host, who in self.domains.items()]
            case "PUT", "workers", "domains":
                self.domains[body["hostname"]] = body["service"]
                return body
            case "GET", "zones":
                return [
                    {"id": "zone", "name": each} for each in self.zones if each == asked["name"]
                ]
            case "GET", "ai-gateway", "gateways":
                return [{"id": each} for each in self.gateways]
            case "POST", "ai-gateway", "gateways":
                self.gateways.append(body["id"])
                return body
            case "GET", "d1", "database":
                return [each.as_dict() for each in self.databases]
            case "POST", "d1", "database":
                return self.add_database(body["name"]).as_dict()
            case "GET", "d1", "database", wanted if found := self._database(wanted):
                return found.as_dict()
            case "POST", "d1", "database", wanted, "query" if found := self._database(wanted):
                return self._query(found, body["sql"])
        raise CloudflareError(f"{method} {path}: 404", "", 404, 7003)

    def _query(self, database: Database, sql: str) -> object:
        try:
            return database.query(sql)
        except QueryError as error:
            raise CloudflareError(str(error), "", 400, 7500) from error

    def _database(self, wanted: str) -> Database | None:
        return next((each for each in self.databases if each.id == wanted), None)

    def add_database(self, name: str) -> Database:
        if any(each.name == name for each in self.databases):
            raise CloudflareError("the name is taken", "", 400, 7502)
        self.databases.append(Database(name))
        return self.databases[-1]


class FakeTerminal(Terminal):
    """Gives these answers; without any there is no terminal."""

    def __init__(self, *answers: str) -> None:
        self.is_there = bool(answers)
        self.said = ""
        self._answers = list(answers)

    def say(self, text: str, end: str = "\n") -> None:
        self.said += text + end

    def ask(self, question: str) -> str:
        self.say(question)
        return self._answers.pop(0)

    def ask_secret(self, question: str) -> str:
        return self.ask(question)


class FakeWrangler:
    """Applies the migrations and keeps the Worker. `cut` fails the next call of a word: with
    `after` when it was done, for migrations after the first ten."""

    def __init__(self, api: FakeCloudflare) -> None:
        self._api = api
        self._cuts: dict[str, bool] = {}
        self.context: Context | None = None
        self.whole = False  # whether migrations are run, which takes a tenth of a second
        self.report: list[Entry] = [
            {"type": "deploy", "version_id": "v1", "bundle_size": {"gzip_bytes": 5_900_000}}
        ]
        self.uploads = 0

    def cut(self, word: str, *, after: bool) -> None:
        self._cuts[word] = after

    def __call__(self, words: Sequence[str]) -> list[Entry]:
        assert self.context is not None
        after = self._cuts.pop(words[0], None)
        if after is False:
            raise CUT
        record = self.context.record
        if words[0] == "d1":
            database = next(each for each in self._api.databases if each.id == record.database_id)
            apply_migrations(database, count=10 if after else None, whole=self.whole)
        else:
            self._upload(words, record.name, record.database_id)
        if after:
            raise CUT
        return self.report

    def _upload(self, words: Sequence[str], name: str, database: str) -> None:
        self.uploads += 1
        worker = self._api.workers.setdefault(name, {"secrets": {}})
        worker["bindings"] = bindings(database)
        if "--secrets-file" in words:
            text = Path(words[-1]).read_text(encoding="utf-8")
            worker["secrets"]["ADMIN_TOKEN"] = text


def bindings(database: str) -> list[dict[str, str]]:
    """Those by which a Worker of this project is recognised."""
    return [
        {"name": "DB", "type": "d1", "id": database},
        {"name": "AI", "type": "ai"},
        {"name": "RATE_LIMITER", "type": "ratelimit"},
    ]


def apply_migrations(database: Database, *, count: int | None = None, whole: bool = False) -> None:
    """As wrangler does it: each with its row in d1_migrations. Of those that are not run, the table
    of agents alone is there."""
    database.query("CREATE TABLE IF NOT EXISTS d1_migrations (name TEXT UNIQUE)")
    if not whole:
        database.query("CREATE TABLE IF NOT EXISTS agents (id TEXT)")
    done = {row["name"] for row in database.rows("SELECT name FROM d1_migrations")}
    for path in [each for each in sorted(MIGRATIONS.glob("*.sql")) if each.name not in done][
        :count
    ]:
        content = path.read_text(encoding="utf-8") if whole else ""
        database.query(f"{content}\n;INSERT INTO d1_migrations (name) VALUES ('{path.name}');")


def context_of(
    api: FakeCloudflare, folder: Path, *words: str, terminal: FakeTerminal | None = None
) -> Context:
    """A new run of the command in the checkout `folder`, which remembers the runs before."""
    options = read_options(["--no-check", *words])
    wrangler = FakeWrangler(api)
    deployments = folder / "deployments"
    record = read_record(options.environment, deployments)
    context = Context(
        options, record, api, terminal or FakeTerminal(), wrangler, deployments, folder
    )
    wrangler.context = context
    return context


def failed(context: Context) -> str:
    """What the run ends with; whoever reads it is told what to do."""
    with pytest.raises(SystemExit) as ended:
        run_deployment(context, STEPS)
    text = str(ended.value)
    assert "What to do: " in text
    return text


def wrangler_of(context: Context) -> FakeWrangler:
    assert isinstance(context.wrangler, FakeWrangler)
    return context.wrangler


def said(context: Context) -> str:
    assert isinstance(context.terminal, FakeTerminal)
    return context.terminal.said


def forget_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine of the tests says about its own deployments."""
    names = (
        "ADMIN_TOKEN",
        "CLOUDFLARE_ACCOUNT_ID",
        "CI",
        "WORKERS_CI",
        "WRANGLER_CI_OVERRIDE_NAME",
    )
    for name in names:
        monkeypatch.delenv(name, raising=False)
