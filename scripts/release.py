"""`npm run release`: checks that the checkout can be released, makes its archive, and tags it.

The archive has what git has, and the packages that the Worker needs as the set-up has placed them,
so that it is deployed without Python's package index. Nothing is pushed or published.
"""

import argparse
import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from scripts import paths
from scripts.setup import prepare_upload, uploaded
from scripts.steps import StepFailed, give_up
from scripts.third_party import PAGE, page

# Not in git: made by the set-up, and uploaded with the Worker. The stamps say that it is done.
MADE = ("python_modules", "public/vendor", "src/word_vectors")
STAMPS = tuple(str(step.stamp.relative_to(paths.ROOT)) for step in uploaded())
PLACEHOLDER = "OWNER"
HEADING = re.compile(r"^## (.+)$", re.M)


def main() -> None:
    parser = argparse.ArgumentParser(prog="npm run release --", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="check and make the archive only")
    dry_run = parser.parse_args().dry_run
    try:
        prepare_upload()
        release(paths.ROOT, paths.BUILD / "release", dry_run=dry_run)
    except StepFailed as failure:
        give_up("The release", failure)


def release(root: Path, folder: Path, *, dry_run: bool) -> None:
    """Check, make the archive in the folder, tag. Raises StepFailed with all that is missing."""
    number = version(root)
    faults = [*problems(root)]
    if faults and not dry_run:
        raise StepFailed("\n".join(f"- {each}" for each in faults), "correct it, then try again.")
    archive = make_archive(root, folder)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_name(f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n")
    (folder / "notes.md").write_text(notes(root), encoding="utf-8")
    print(f"{archive}\nsha256 {digest}")
    if dry_run:
        print("\n".join(["A dry run: no tag was set.", *(f"- missing: {each}" for each in faults)]))
        return
    git(root, "tag", "--annotate", f"v{number}", "--message", f"EdgeNeuro {number}")
    print(f"Tagged v{number}. To publish it: git push origin v{number}")


def notes(root: Path) -> str:
    """The newest section of the changelog."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    return text.split("\n## ")[1].partition("\n")[2].strip() + "\n"


def version(root: Path) -> str:
    """The one that the Worker states: the other files follow it."""
    source = (root / "src" / "edgeneuro" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', source, re.M)
    if found is None:
        raise StepFailed("src/edgeneuro/__init__.py states no version.")
    return found[1]


def versions(root: Path) -> dict[str, str]:
    """What each file states that repeats the version."""
    package = json.loads((root / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        "package.json": package["version"],
        "package-lock.json": lock["version"],
        "package-lock.json, packages": lock["packages"][""]["version"],
        "pyproject.toml": project["project"]["version"],
    }


def problems(root: Path) -> Iterator[str]:
    """All that keeps the checkout from being released."""
    number = version(root)
    for name, stated in versions(root).items():
        if stated != number:
            yield f"{name} states version {stated}, the Worker {number}"
    if git(root, "status", "--porcelain"):
        yield "the checkout has changes that are not committed"
    if git(root, "tag", "--list", f"v{number}"):
        yield f"the tag v{number} exists already"
    headings = HEADING.findall((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    if not headings or not re.fullmatch(rf"{re.escape(number)} - \d{{4}}-\d\d-\d\d", headings[0]):
        yield f'the first heading of CHANGELOG.md is not "## {number} - YYYY-MM-DD"'
    package = json.loads((root / "package.json").read_text(encoding="utf-8"))
    if PLACEHOLDER in package["repository"]["url"]:
        yield "package.json and README.md do not name the repository: replace OWNER"
    if (root / PAGE).read_text(encoding="utf-8") != page(root):
        yield f"{PAGE} is not current: npm run third-party"


def make_archive(root: Path, folder: Path) -> Path:
    """The same bytes for the same commit and packages."""
    missing = [name for name in (*MADE, *STAMPS) if not (root / name).exists()]
    if missing:
        raise StepFailed(f"the set-up has not made {', '.join(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"edgeneuro-{version(root)}"
    committed = int(git(root, "log", "-1", "--format=%ct"))
    tracked = git(root, "ls-files", "-z").split("\0")
    made = (str(path.relative_to(root)) for each in MADE for path in (root / each).rglob("*"))
    files = {each for each in (*tracked, *made, *STAMPS) if each and "__pycache__" not in each}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in sorted(files):
            path = root / each
            if not path.is_file():
                continue
            entry = tarfile.TarInfo(f"{name}/{each}")
            entry.size, entry.mtime = path.stat().st_size, committed
            entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
    target = folder / f"{name}.tar.gz"
    target.write_bytes(gzip.compress(content.getvalue(), mtime=committed))
    return target


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(done.stderr.strip() or f"git {words[0]} failed")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
