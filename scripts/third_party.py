"""`npm run third-party`: writes THIRD_PARTY.md, the licences of what a deployment consists of
besides this project's own code. They are read from the packages, as the set-up has placed them."""

import email.parser
import json
from collections.abc import Iterator
from pathlib import Path

from scripts import paths

PAGE = "THIRD_PARTY.md"
_HEAD = """# Third-party software

Made by `npm run third-party`. Do not edit this page.

What is uploaded to Cloudflare, and is in a release's archive, besides this project's own code
(MIT). The file that is named has the text of the licence.

| component | version | licence | text |
| --- | --- | --- | --- |
"""
_TAIL = """
Downloaded by the set-up for development and tests, and never uploaded: wrangler and workerd,
Pyodide, the emulator's model all-MiniLM-L6-v2 (Apache-2.0), and the packages of `package.json` and
`pyproject.toml`.
"""


def main() -> None:
    (paths.ROOT / PAGE).write_text(page(paths.ROOT), encoding="utf-8")
    print(f"{PAGE} is written.")


def page(root: Path) -> str:
    rows = [*_python_packages(root / "python_modules"), _uplot(root), _word_vectors(root)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL


def _python_packages(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    for metadata in sorted(folder.glob("*.dist-info/METADATA")):
        facts = email.parser.Parser().parsestr(metadata.read_text(encoding="utf-8"))
        texts = sorted((metadata.parent / "licenses").rglob("*"))
        found = [f"`{text.relative_to(folder.parent)}`" for text in texts if text.is_file()]
        yield facts["Name"], facts["Version"], facts["License-Expression"], ", ".join(found)


def _uplot(root: Path) -> tuple[str, str, str, str]:
    package = json.loads((root / "package.json").read_text(encoding="utf-8"))
    version = package["devDependencies"]["uplot"]
    return "uPlot", version, "MIT", "`public/vendor/uPlot.LICENSE`"


def _word_vectors(root: Path) -> tuple[str, str, str, str]:
    """potion-base-8M, and the package that has it, both under MIT."""
    requirements = root / "scripts" / "word-vectors-requirements.txt"
    pin = next(
        line for line in requirements.read_text(encoding="utf-8").splitlines() if "==" in line
    )
    name, _, version = pin.split(" ")[0].partition("==")
    component = f"word vectors of potion-base-8M, out of the package {name}"
    return component, version, "MIT", "`src/word_vectors/NOTICE.txt`"


if __name__ == "__main__":
    main()
