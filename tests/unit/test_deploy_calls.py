"""What `npm run deploy` makes of the answers of Cloudflare, of wrangler and of the deployment."""

import http.server
import json
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgeneuro.domain.costs import SUBSCRIPTION_USD
from scripts import deploy, upload_ready, wrangler_command
from scripts.deployment import verify
from scripts.deployment.api import Cloudflare, CloudflareError
from scripts.deployment.config import base_config, config_file
from scripts.deployment.context import Context
from scripts.deployment.options import read_options
from scripts.deployment.record import Record
from scripts.deployment.wrangler_calls import NotLoggedIn, run_wrangler, token_in
from scripts.paths import PACKAGE_JSON, ROOT, WRANGLER_CONFIG
from scripts.steps import StepFailed
from tests.unit.fake_account import FakeCloudflare, FakeTerminal

VERSION = json.loads(PACKAGE_JSON.read_text())["version"]
Reply = tuple[int, bytes]


class Server:
    """Gives these replies in turn, the last for ever; an empty one closes the connection."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.asked: list[tuple[str, str, bytes]] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                server.asked.append((self.command, self.path, self.rfile.read(size)))
                replies = server.replies
                status, body = replies.pop(0) if len(replies) > 1 else replies[0]
                if not status:
                    self.connection.close()
                    return
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *words: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def server(running: Server) -> Server:
    running.replies, running.asked = [], []
    return running


def reply(body: object, status: int = 200) -> Reply:
    return status, json.dumps(body).encode()


def result(content: object) -> Reply:
    return reply({"result": content, "success": True, "errors": []})


def refusal(status: int, code: int) -> Reply:
    errors = [{"code": code, "message": "Something is wrong"}]
    return reply({"result": None, "success": False, "errors": errors}, status)


# The API


def api_of(server: Server) -> Cloudflare:
    return Cloudflare("token", server.url, sleep=lambda seconds: None)


@pytest.mark.parametrize(
    "replies, advice",
    [
        ([(0, b"")], "check the connection"),
        ([(200, b"<html>a proxy</html>")], "proxy"),
        ([reply([])], "proxy"),
        ([refusal(403, 10000)], "permission"),
        ([refusal(400, 9109)], "permission"),
        ([refusal(429, 971)], "wait a minute"),
        ([(503, b"no JSON")], "wait a minute"),
        ([refusal(400, 7003)], "message above"),
    ],
)
def test_each_failure_of_the_api_says_what_to_do(
    replies: list[Reply], advice: str, server: Server
) -> None:
    server.replies = replies
    with pytest.raises(CloudflareError) as failed:
        api_of(server).call("POST", "/accounts/a/d1/database", {})
    assert advice in failed.value.advice and "run the same command again" in failed.value.advice
    assert "/accounts/a/d1/database" in failed.value.why
    assert len(server.asked) == 1  # whether a write had an effect is not known


def test_a_read_is_tried_three_times(server: Server) -> None:
    server.replies = [(0, b""), refusal(500, 1), result(["found"])]
    assert api_of(server).get("/x") == ["found"]
    server.replies = [refusal(404, 7404)]
    assert api_of(server).find("/x") is None
    server.replies, server.asked = [(0, b"")], []
    with pytest.raises(CloudflareError):
        api_of(server).get("/x")
    assert len(server.asked) == 3


def test_a_list_ends_where_the_api_does_not_page(server: Server) -> None:
    page = [{"id": str(number)} for number in range(50)]
    server.replies = [result(page)]
    assert api_of(server).list("/x?name=a") == page
    assert [path for _, path, _ in server.asked] == [
        f"/x?name=a&page={number}&per_page=50" for number in (1, 2)
    ]


def test_a_token_that_could_not_be_one_is_not_sent() -> None:
    with pytest.raises(StepFailed, match="characters"):
        Cloudflare("to ken\n", "http://127.0.0.1:1")


# wrangler


def test_the_login_of_wrangler() -> None:
    assert token_in(0, '{"type": "oauth", "token": "abc"}', "") == "abc"
    with pytest.raises(StepFailed, match="Not logged in") as out:
        token_in(1, "", "\x1b[31mNot logged in. Please run it.\x1b[0m\n")
    assert (
        "npm run wrangler -- login" in out.value.advice
        and "CLOUDFLARE_API_TOKEN" in out.value.advice
    )
    for output in ("", "abc", "[]", "{}", '{"token": "abc"}'):
        with pytest.raises(StepFailed, match="JSON that is known"):
            token_in(0, output, "")
    with pytest.raises(StepFailed, match="api_key"):
        token_in(0, '{"type": "api_key", "key": "k", "email": "e"}', "")


def test_a_terminal_can_log_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logins: list[str] = []

    def token() -> str:
        if not logins:
            raise NotLoggedIn("Not logged in", "log in.")
        return logins[-1]

    monkeypatch.setattr(deploy, "login_token", token)
    monkeypatch.setattr(deploy, "log_in", lambda: logins.append("abc"))
    for terminal in (FakeTerminal(), FakeTerminal("n")):
        with pytest.raises(NotLoggedIn):
            deploy.logged_in(terminal)
    assert deploy.logged_in(FakeTerminal("y")) == "abc"


def test_wrangler_works_on_the_deployment_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        wrangler_command, "config_file", lambda environment: config_file(environment, tmp_path)
    )
    words = wrangler_command.on_deployment
    assert words(["login"]) == ["login"]
    with pytest.raises(StepFailed, match="staging"):
        words(["tail", "--env", "staging"])
    for name in ("production", "staging"):
        (tmp_path / f"wrangler.{name}.json").touch()
    production = ["--config", str(tmp_path / "wrangler.production.json")]
    staging = ["--config", str(tmp_path / "wrangler.staging.json")]
    assert words(["tail"]) == ["tail", *production]
    assert words(["secret", "put", "A", "--env", "staging"]) == ["secret", "put", "A", *staging]
    assert words(["--env=staging", "tail"]) == ["tail", *staging]
    assert words(["tail", "-c", "own.toml"]) == ["tail", "-c", "own.toml"]


class FakeRun:
    """A wrangler that writes this report, prints this and may fail."""

    def __init__(self, report: str, printed: str = "", why: str = "") -> None:
        self.report, self.printed, self.why = report, printed, why
        self.words: list[str] = []
        self.environment: Mapping[str, str] = {}

    def __call__(self, words: Sequence[str], environment: Mapping[str, str]) -> str:
        self.words, self.environment = list(words), environment
        Path(environment["WRANGLER_OUTPUT_FILE_PATH"]).write_text(self.report)
        if self.why:
            raise StepFailed(self.why)
        return self.printed


def test_the_report_of_wrangler_is_read_and_not_what_it_prints() -> None:
    run = FakeRun('{"type": "deploy"}\nno JSON\n[1]\n', "▲ \x1b[33m[WARNING]\x1b[0m Odd field\n")
    warnings: list[str] = []
    found = run_wrangler(
        ["deploy"], Path("/x/w.json"), "acc", warn=warnings.append, run_command=run
    )
    assert found == [{"type": "deploy"}]
    assert [each.strip() for each in warnings] == ["wrangler warns: Odd field"]
    assert run.words[-3:] == ["deploy", "--config", "/x/w.json"]
    assert run.environment["CLOUDFLARE_ACCOUNT_ID"] == "acc"


@pytest.mark.parametrize(
    "report, why, advice",
    [
        ('{"type": "command-failed", "code": 100328}', "failed", "Workers Paid"),
        ("", "CPU limits are not supported [code: 100328]", "Workers Paid"),
        ('{"type": "command-failed", "code": 10000}', "failed", "permission"),
        ('{"type": "command-failed", "message": "odd"}', "\x1b[31modd\x1b[0m", "message above"),
    ],
)
def test_a_failure_of_wrangler_says_what_to_do(report: str, why: str, advice: str) -> None:
    with pytest.raises(StepFailed) as failed:
        run_wrangler(["deploy"], Path("/x/w.json"), "acc", run_command=FakeRun(report, why=why))
    assert advice in failed.value.advice
    assert "\x1b" not in failed.value.why


def test_wrangler_itself_uploads_nothing_from_a_fresh_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs the command in the folder of wrangler.toml, and ends with the command's failure."""
    monkeypatch.setattr(upload_ready, "uploaded", lambda: [])
    upload_ready.main()  # all is done
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    config = tomllib.loads(WRANGLER_CONFIG.read_text())
    command = config["build"]["command"]
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "npm run deploy" in done.stderr
    assert "installing the Worker's packages" in done.stderr
    assert config["env"]["local"]["build"] == {}  # `npm start` runs it at no change
    assert "database_id" not in base_config()["d1_databases"][0]


# The deployment


def context_at(server: Server, token: str = "t" * 24) -> Context:
    options = read_options(["--address", server.url])
    record = Record("production", address="https://edgeneuro.example.workers.dev")
    context = Context(options, record, FakeCloudflare(), FakeTerminal(), lambda words: [])
    context.admin_token = token
    context.sleep = lambda seconds: None
    return context


HEALTHY = reply({"status": "ok", "version": VERSION})
DECISION = {"agent": {"id": "hr"}, "outcome": "agent", "latency_ms": 31.4}


def test_the_deployment_is_asked_until_the_new_version_answers(server: Server) -> None:
    old = reply({"status": "ok", "version": "0.0.1"})
    older = reply({"status": "ok", "version": VERSION, "schema": {"state": "older"}})
    server.replies = [(0, b""), (404, b"x"), (200, b"x"), reply([]), old, older, HEALTHY]
    server.replies.append(reply(DECISION))
    assert verify.check(context_at(server)).endswith("goes to hr in 31 ms")
    assert [path for _, path, _ in server.asked] == [*["/healthz"] * 7, "/v1/route"]
    server.replies = [old]
    with pytest.raises(StepFailed, match=f"0.0.1 answers, not {VERSION}") as failed:
        verify.check(context_at(server))
    assert "run the same command again" in failed.value.advice


@pytest.mark.parametrize(
    "answer, shown",
    [
        (reply({"agent": None, "outcome": "none"}), "no agent"),
        (reply({"error": {"code": "not_configured", "message": "m"}}, 409), "as soon as there are"),
    ],
)
def test_a_query_that_goes_to_nobody_is_no_failure(
    answer: Reply, shown: str, server: Server
) -> None:
    server.replies = [HEALTHY, answer]
    assert shown in verify.check(context_at(server))


@pytest.mark.parametrize("status, advice", [(401, "--new-admin-token"), (503, "in place")])
def test_a_query_that_is_refused_is_one(status: int, advice: str, server: Server) -> None:
    server.replies = [HEALTHY, reply({"error": {"code": "x", "message": "Not today"}}, status)]
    with pytest.raises(StepFailed, match="Not today") as failed:
        verify.check(context_at(server))
    assert advice in failed.value.advice


def test_the_cost_is_the_deployments_own_estimate_or_the_subscription(server: Server) -> None:
    server.replies = [reply({"costs": {"total_usd": 25.97}, "model": "m"})]
    assert "$25.97 a month for 1,000,000 answers with m" in verify.costs(context_at(server))
    for each in (reply({"costs": {"total_usd": None}, "model": "m"}), reply({}), (0, b"")):
        server.replies = [each]
        assert verify.costs(context_at(server)).startswith("Workers Paid costs $5 a month")
    assert verify.costs(context_at(server, "")).startswith("Workers Paid costs $5 a month")
    assert verify.SUBSCRIPTION_USD == SUBSCRIPTION_USD


# The command line


@pytest.mark.parametrize(
    "words",
    [
        *(["--env", name] for name in ("local", "dev", "Prod", "a/b", "")),
        *(["--account", "abc"], ["--name", "Edge_Neuro"], ["--domain", "localhost"]),
        *(["--var", "NAME"], ["--var", "lower=1"], ["--var", f"A={'x' * 5_001}"]),
        *(["--location", "mars"], ["--address", "ftp://x"], ["--unknown"], ["production"]),
    ],
)
def test_a_word_that_is_not_valid_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_options(words)
    assert "error: " in capsys.readouterr().err


def test_the_help_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        read_options(["--help"])
    shown = capsys.readouterr().out
    assert "CLOUDFLARE_API_TOKEN" in shown and "--env staging" in shown
