"""What a release consists of: one version everywhere, an archive, the licences, the audit."""

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import audit, release, third_party
from scripts.paths import ROOT
from scripts.steps import StepFailed
from tests.unit.documents import document

FILES = {
    "src/edgeneuro/__init__.py": '__version__ = "1.2.3"\n',
    "package.json": json.dumps(
        {
            "version": "1.2.3",
            "repository": {"url": "git+https://example.com/us/edgeneuro.git"},
            "devDependencies": {"uplot": "1.0.0"},
        }
    ),
    "package-lock.json": json.dumps({"version": "1.2.3", "packages": {"": {"version": "1.2.3"}}}),
    "pyproject.toml": '[project]\nversion = "1.2.3"\n',
    "CHANGELOG.md": "# Changelog\n\n## 1.2.3 - 2026-11-30\n\n- It works.\n",
    "scripts/word-vectors-requirements.txt": "words==1.0 --hash=sha256:0\n",
    ".gitignore": "/.build/\n/python_modules/\n/public/vendor/\n/src/word_vectors/\n",
}
MADE = ("python_modules/a.py", "public/vendor/b.js", "src/word_vectors/table.bin")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that can be released."""
    root = tmp_path / "checkout"
    for name, text in FILES.items():
        write(root / name, text)
    for name in (*MADE, *release.STAMPS, "python_modules/__pycache__/a.pyc"):
        write(root / name, name)
    write(root / third_party.PAGE, third_party.page(root))
    release.git(root, "init", "--quiet")
    commit(root)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def commit(root: Path) -> None:
    for name, value in (("user.name", "us"), ("user.email", "us@example.com")):
        release.git(root, "config", name, value)
    release.git(root, "add", "--all")
    release.git(root, "commit", "--quiet", "--message", "All")


def test_this_checkout_has_one_version() -> None:
    number = release.version(ROOT)
    assert set(release.versions(ROOT).values()) == {number}
    [newest, *_] = release.HEADING.findall(document("CHANGELOG.md").text)
    assert newest == "Unreleased" or newest.startswith(f"{number} - ")


def test_the_first_page_names_the_repository_of_the_package() -> None:
    url = json.loads((ROOT / "package.json").read_text())["repository"]["url"]
    address = url.removeprefix("git+").removesuffix(".git")
    readme = document("README.md").text
    assert f"git clone {address}\n" in readme
    assert f"https://deploy.workers.cloudflare.com/?url={address})" in readme
    templates = (ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text()
    assert f"{address}/security/advisories/new" in templates
    links = (ROOT / "public" / "parts" / "docs.js").read_text()
    assert f'const REPOSITORY = "{address}";' in links
    for page in re.findall(r'^  \w+: "([\w-]+)",$', links, re.M):
        assert (ROOT / "docs" / f"{page}.md").exists(), page


def test_the_licences_are_listed() -> None:
    assert (ROOT / third_party.PAGE).read_text() == third_party.page(ROOT), "npm run third-party"
    for row in document(third_party.PAGE).table("# Third-party software"):
        assert row[2] and row[3], row
        for file in re.findall("`([^`]+)`", row[3]):
            assert (ROOT / file).stat().st_size > 100


def test_a_release_is_an_archive_and_a_tag(checkout: Path, tmp_path: Path) -> None:
    release.release(checkout, tmp_path / "out", dry_run=False)
    assert release.git(checkout, "tag") == "v1.2.3"
    archive = tmp_path / "out" / "edgeneuro-1.2.3.tar.gz"
    with tarfile.open(archive) as files:
        names = files.getnames()
    expected = {*FILES, *MADE, *release.STAMPS, third_party.PAGE}
    assert names == sorted(f"edgeneuro-1.2.3/{name}" for name in expected)
    digest = archive.with_name(f"{archive.name}.sha256")
    subprocess.run(["sha256sum", "--check", "--quiet", digest], cwd=archive.parent, check=True)
    assert archive.with_name("notes.md").read_text() == "- It works.\n"
    first = archive.read_bytes()
    assert release.make_archive(checkout, tmp_path / "again").read_bytes() == first
    with pytest.raises(StepFailed, match=r"the tag v1\.2\.3 exists already"):
        release.release(checkout, tmp_path / "out", dry_run=False)


@pytest.mark.parametrize(
    ("name", "before", "after", "fault"),
    [
        ("package.json", "1.2.3", "1.2.4", "package.json states version 1.2.4, the Worker 1.2.3"),
        ("pyproject.toml", "1.2.3", "1.0.0", "pyproject.toml states version 1.0.0"),
        ("CHANGELOG.md", "1.2.3 - 2026-11-30", "Unreleased", "the first heading of CHANGELOG.md"),
        ("package.json", "/us/", "/OWNER/", "do not name the repository"),
        ("THIRD_PARTY.md", "MIT", "GPL", "THIRD_PARTY.md is not current"),
    ],
)
def test_what_is_missing_is_said(
    checkout: Path, tmp_path: Path, name: str, before: str, after: str, fault: str
) -> None:
    file = checkout / name
    file.write_text(file.read_text().replace(before, after))
    assert "not committed" in " ".join(release.problems(checkout))
    commit(checkout)
    with pytest.raises(StepFailed, match=re.escape(fault)):
        release.release(checkout, tmp_path / "out", dry_run=False)
    assert release.git(checkout, "tag") == ""


def test_a_dry_run_sets_no_tag_and_says_what_is_missing(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(checkout / "new.txt", "new")
    release.release(checkout, tmp_path / "out", dry_run=True)
    assert release.git(checkout, "tag") == ""
    assert "- missing: the checkout has changes" in capsys.readouterr().out


NPM = {
    "vulnerabilities": {"ws": {"severity": "high"}},
    "metadata": {"dependencies": {"total": 40}},
}
PIP = {
    "dependencies": [
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]},
        {"name": "b", "skip_reason": "not on the index"},
    ]
}


def test_reports_of_vulnerabilities_are_read() -> None:
    assert audit.read_npm(NPM) == audit.Audit(40, ["ws: high"])
    assert audit.read_pip(PIP) == audit.Audit(1, ["a 1: PYSEC-1"])


@pytest.mark.parametrize(
    "result",
    [
        audit.read_npm({"message": "405 Method Not Allowed - POST https://r", "error": {}}),
        audit.read_npm({"error": {"code": "ENOTFOUND", "summary": "no network"}}),
        audit.read_pip({"dependencies": [{"name": "b", "skip_reason": "not on the index"}]}),
    ],
)
def test_a_registry_without_a_list_is_no_failure(result: audit.Audit) -> None:
    assert result.checked == 0 and result.found == [] and result.reason


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name
)
def test_workflows_and_templates_are_readable(path: Path) -> None:
    """And the commands of workflows are scripts of package.json."""
    content: Any = yaml.safe_load(path.read_text())
    assert content
    scripts = json.loads((ROOT / "package.json").read_text())["scripts"]
    assert set(re.findall(r"npm run ([\w-]+)", path.read_text())) <= set(scripts)
