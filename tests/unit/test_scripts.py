"""The set-up: steps that run when they must, and a packer that notices a new Pyodide."""

from pathlib import Path

import pytest

from scripts.children import write_secrets
from scripts.options import Options
from scripts.product import is_shown
from scripts.pyodide_bundle import (
    SUBSTITUTIONS,
    BundleError,
    Substitution,
    adapt,
    check_versions,
)
from scripts.steps import Step, StepFailed, run, run_steps


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
            raise StepFailed("the registry is away")
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
    assert all(part in said for part in ("Making it", "the registry is away", "plug it in."))
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
        ("TypeError: not ours", True),
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
    )
    assert written.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["ADMIN_TOKEN", "AGENT_SIGNING_SECRET"])
def test_a_secret_that_would_mean_something_in_an_env_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "a\nOTHER=b")
    with pytest.raises(StepFailed, match=name):
        Options.from_environment()
