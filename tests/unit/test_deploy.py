"""`npm run deploy`, step by step, against an account in memory: what is made once, what a cut
leaves, and what each failure tells to do."""

import json
import stat
from pathlib import Path

import pytest

from scripts.deploy import deploy
from scripts.deployment.record import read_record
from scripts.paths import MIGRATIONS
from tests.unit.fake_account import (
    ACCOUNT,
    OTHER,
    FakeCloudflare,
    FakeTerminal,
    bindings,
    context_of,
    failed,
    forget_variables,
    said,
    wrangler_of,
)

TOKEN = "an-admin-token-of-their-own"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_variables(monkeypatch)


@pytest.fixture
def api() -> FakeCloudflare:
    return FakeCloudflare()


def test_an_empty_account_gets_everything_once(api: FakeCloudflare, tmp_path: Path) -> None:
    context = context_of(api, tmp_path)
    deploy(context)
    [database] = api.databases
    token = (tmp_path / "deployments" / "production.admin-token").read_text().strip()
    assert api.workers["edgeneuro"]["bindings"] == bindings(database.id)
    assert json.loads(api.workers["edgeneuro"]["secrets"]["ADMIN_TOKEN"]) == {"ADMIN_TOKEN": token}
    assert token not in said(context)
    for file in ("production.json", "production.admin-token"):
        assert stat.S_IMODE((tmp_path / "deployments" / file).stat().st_mode) == 0o600
    config = json.loads((tmp_path / "wrangler.production.json").read_text())
    assert config["d1_databases"][0]["database_id"] == database.id
    assert config["account_id"] == config["vars"]["CLOUDFLARE_ACCOUNT_ID"] == ACCOUNT
    assert config["vars"]["AI_GATEWAY_URL"].endswith(f"/{ACCOUNT}/default")
    assert "https://edgeneuro.example.workers.dev" in said(context)

    made = list(api.changes)
    again = context_of(api, tmp_path)
    deploy(again)
    assert api.changes == made
    assert "all" in said(again) and wrangler_of(again).uploads == 1
    assert json.loads(api.workers["edgeneuro"]["secrets"]["ADMIN_TOKEN"]) == {"ADMIN_TOKEN": token}


def test_a_dry_run_changes_nothing(api: FakeCloudflare, tmp_path: Path) -> None:
    api.subdomain = ""
    context = context_of(api, tmp_path, "--dry-run", "--gateway", "own", "--demonstration")
    deploy(context)
    assert (api.changes, [*tmp_path.iterdir()], wrangler_of(context).uploads) == ([], [], 0)
    for step in ("create the D1", "create own", "register a", "write", "apply", "set the admin"):
        assert f"would {step}" in said(context)
    assert "would create the demonstration agents" in said(context)


CUTS = [
    "POST .*/database$",
    "POST .*/gateways",
    "PUT .*/subdomain",
    "PUT .*/domains",
    "d1",
    "deploy",
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("where", CUTS)
def test_a_run_that_is_cut_off_continues(
    where: str, after: bool, api: FakeCloudflare, tmp_path: Path
) -> None:
    words = ["--gateway", "own", "--subdomain", "mine"]
    words += ["--domain", "router.example.com"] if "domains" in where else []
    api.subdomain = ""
    first = context_of(api, tmp_path, *words)
    if " " in where:
        api.cut(where, after=after)
    else:
        wrangler_of(first).cut(where, after=after)
    assert "again" in failed(first)

    second = context_of(api, tmp_path, *words)
    deploy(second)
    [database] = api.databases
    assert (api.gateways, [*api.workers]) == (["own"], ["edgeneuro"])
    assert api.workers["edgeneuro"]["bindings"] == bindings(database.id)
    token = (tmp_path / "deployments" / "production.admin-token").read_text().strip()
    assert json.loads(api.workers["edgeneuro"]["secrets"]["ADMIN_TOKEN"]) == {"ADMIN_TOKEN": token}
    [row] = database.rows("SELECT count(*) AS applied FROM d1_migrations")
    assert row["applied"] == len([*MIGRATIONS.glob("*.sql")])
    assert sum("POST /d1/database" == each for each in api.changes) == 1
    assert read_record("production", tmp_path / "deployments").upload == "done"


def test_a_read_that_is_cut_off_is_tried_again(api: FakeCloudflare, tmp_path: Path) -> None:
    api.cut("GET .*/settings", after=False)
    deploy(context_of(api, tmp_path))
    assert [*api.workers] == ["edgeneuro"]


def test_another_environment_has_its_own_worker_and_database(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    deploy(context_of(api, tmp_path))
    deploy(context_of(api, tmp_path, "--env", "staging", "--var", "REQUEST_LOG=all"))
    assert [*api.workers] == ["edgeneuro", "edgeneuro-staging"]
    assert [each.name for each in api.databases] == ["edgeneuro", "edgeneuro-staging"]
    one, other = (
        json.loads((tmp_path / f"wrangler.{name}.json").read_text())
        for name in ("production", "staging")
    )
    assert one["ratelimits"][0]["namespace_id"] != other["ratelimits"][0]["namespace_id"]
    assert (one["vars"]["REQUEST_LOG"], other["vars"]["REQUEST_LOG"]) == ("errors", "all")
    deploy(context_of(api, tmp_path, "--env", "staging"))  # a variable stays
    text = (tmp_path / "wrangler.staging.json").read_text()
    assert json.loads(text)["vars"]["REQUEST_LOG"] == "all"


def test_several_accounts_are_a_question(api: FakeCloudflare, tmp_path: Path) -> None:
    api.accounts[OTHER] = "Another"
    text = failed(context_of(api, tmp_path))
    assert f"Another ({OTHER})" in text and "--account" in text
    asked = context_of(api, tmp_path, terminal=FakeTerminal("2", "n", TOKEN))
    deploy(asked)
    assert read_record("production", tmp_path / "deployments").account_id == OTHER
    assert f"is of the account {OTHER}" in failed(context_of(api, tmp_path, "--account", ACCOUNT))
    assert "none of them" in failed(
        context_of(api, tmp_path, "--env", "staging", terminal=FakeTerminal("3"))
    )
    no_access = context_of(api, tmp_path, "--env", "staging", "--account", "c" * 32)
    assert "no access" in failed(no_access)


def test_a_token_that_may_not_list_accounts_needs_the_id(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    api.refuse("GET /accounts.page", 403, 9109)
    assert "--account" in failed(context_of(api, tmp_path))
    deploy(context_of(api, tmp_path, "--account", ACCOUNT))


@pytest.mark.parametrize(
    "plan, status, shown",
    [("workers_paid", 0, "Workers Paid"), ("free", 0, "no sub"), ("", 403, "not known")],
)
def test_the_plan_is_told_where_it_can_be_known(
    plan: str, status: int, shown: str, api: FakeCloudflare, tmp_path: Path
) -> None:
    api.plan = plan
    if status:
        api.refuse("subscriptions", status, 10000)
    context = context_of(api, tmp_path)
    deploy(context)
    assert f"Plan: {shown}" in said(context)


def test_a_database_that_is_newer_or_gone_stops_the_deployment(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    deploy(context_of(api, tmp_path))
    api.databases[0].query("INSERT INTO d1_migrations (name) VALUES ('9999_newer.sql')")
    newer = context_of(api, tmp_path)
    assert "git pull" in failed(newer) and not wrangler_of(newer).uploads
    del api.databases[0]
    assert "database_id" in failed(context_of(api, tmp_path))


def test_a_gateway_that_may_not_be_made_is_explained(api: FakeCloudflare, tmp_path: Path) -> None:
    api.refuse("POST .*/gateways", 403, 10000)
    assert "in the dashboard" in failed(context_of(api, tmp_path, "--gateway", "own"))
    api.gateways.append("own")
    deploy(context_of(api, tmp_path, "--gateway", "own"))
    deploy(context_of(api, tmp_path, "--gateway", "none"))
    config = json.loads((tmp_path / "wrangler.production.json").read_text())
    assert config["vars"]["AI_GATEWAY_URL"] == ""


def test_a_domain_is_never_taken_from_another_worker(api: FakeCloudflare, tmp_path: Path) -> None:
    words = ("--domain", "router.example.com")
    api.domains["router.example.com"] = "shop"
    assert "the Worker shop" in failed(context_of(api, tmp_path, *words))
    api.domains.clear()
    api.zones.clear()
    assert "no zone" in failed(context_of(api, tmp_path, *words))
    api.zones.append("example.com")
    api.refuse("PUT .*/domains", 409, 100117)
    assert "DNS record" in failed(context_of(api, tmp_path, *words))
    api.allow_all()
    deploy(context_of(api, tmp_path))  # the domain is remembered
    assert api.domains == {"router.example.com": "edgeneuro"}
    config = json.loads((tmp_path / "wrangler.production.json").read_text())
    assert config["workers_dev"] is False and "routes" not in config
    deploy(context_of(api, tmp_path, "--domain", "none"))
    config = json.loads((tmp_path / "wrangler.production.json").read_text())
    assert config["workers_dev"] is True


def test_a_terminal_is_shown_the_token_once(api: FakeCloudflare, tmp_path: Path) -> None:
    context = context_of(api, tmp_path, terminal=FakeTerminal("n", ""))
    deploy(context)
    [shown] = [line.strip() for line in said(context).splitlines() if line.startswith("  ")]
    assert shown in api.workers["edgeneuro"]["secrets"]["ADMIN_TOKEN"] and len(shown) == 32
    assert not (tmp_path / "deployments" / "production.admin-token").exists()
    again = context_of(api, tmp_path, terminal=FakeTerminal("n"))
    deploy(again)
    assert shown not in said(again)
    deploy(context_of(api, tmp_path, "--new-admin-token"))
    assert shown not in api.workers["edgeneuro"]["secrets"]["ADMIN_TOKEN"]


def test_a_token_of_ones_own(
    api: FakeCloudflare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = failed(context_of(api, tmp_path, terminal=FakeTerminal("n", "too short")))
    assert "24 characters" in short
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    context = context_of(api, tmp_path)
    deploy(context)
    assert TOKEN in api.workers["edgeneuro"]["secrets"]["ADMIN_TOKEN"]
    assert TOKEN not in said(context)
    assert not (tmp_path / "deployments" / "production.admin-token").exists()


def test_demonstration_agents_are_made_in_a_deployment_without_agents(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    context = context_of(api, tmp_path, "--demonstration")
    wrangler_of(context).whole = True
    deploy(context)
    [row] = api.databases[0].rows("SELECT count(*) AS agents FROM agents")
    assert row["agents"] == 6
    again = context_of(api, tmp_path, "--demonstration")
    deploy(again)
    assert "Agents: 6 are there" in said(again)


def test_a_wrangler_that_reports_otherwise_is_a_failure(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    context = context_of(api, tmp_path)
    wrangler_of(context).report = [{"type": "deploy", "versions": ["of another form"]}]
    assert "package.json pins" in failed(context)


def test_an_api_that_answers_otherwise_is_a_failure(api: FakeCloudflare, tmp_path: Path) -> None:
    api.domains = {"router.example.com": "shop"}
    api.answer_otherwise("GET .*/domains", [{"hostname": "router.example.com", "worker": "shop"}])
    text = failed(context_of(api, tmp_path, "--domain", "router.example.com"))
    assert "otherwise than this version knows" in text and "service" in text


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"account": ""}', '{"name": 1}', '{"vars": {"A": 1}}']
)
def test_a_record_that_cannot_be_read_is_not_overwritten(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "deployments"
    folder.mkdir()
    (folder / "production.json").write_text(content)
    with pytest.raises(Exception, match=r"production\.json") as refused:
        read_record("production", folder)
    assert "repair" in getattr(refused.value, "advice", "")


def test_what_an_operator_adds_to_the_record_wins(api: FakeCloudflare, tmp_path: Path) -> None:
    deploy(context_of(api, tmp_path))
    path = tmp_path / "deployments" / "production.json"
    record = json.loads(path.read_text())
    record["config"] = {"limits": {"cpu_ms": 90_000}, "queues": {"producers": []}}
    path.write_text(json.dumps(record))
    deploy(context_of(api, tmp_path))
    config = json.loads((tmp_path / "wrangler.production.json").read_text())
    assert config["limits"] == {"cpu_ms": 90_000} and config["queues"] == {"producers": []}
    assert "env" not in config and "build" not in config
    assert "has no variable NO_SUCH" in failed(context_of(api, tmp_path, "--var", "NO_SUCH=1"))
