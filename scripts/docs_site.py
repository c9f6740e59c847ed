"""`npm run docs`: builds the documentation site out of docs/ and serves it on port 8000 or PORT.

`npm run docs -- build` only builds it, into .build/site/html. The navigation is the list of
docs/README.md. Besides docs/ the site has some files of other folders; links are rewritten for it.
The site has no source code, and loads no picture from elsewhere: such links become plain text.
"""

import argparse
import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

from scripts import paths
from scripts.setup import prepare_site
from scripts.signals import Stopped, stop_on_signals
from scripts.steps import StepFailed, give_up, tail

DOCS = paths.ROOT / "docs"
INDEX = "docs/README.md"
SITE_FOLDER = "html"
DEFAULT_PORT = 8000
# Files of other folders, and their names on the site.
OTHER_PAGES = {
    "ARCHITECTURE.md": "internals.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "README.md": "first-page.md",
    "local/README.md": "emulator.md",
}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_REMOTE_IMAGE = re.compile(r"!\[([^\]]*)\]\(https?://[^)\s]+\)")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.M | re.S)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="npm run docs --", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("only", nargs="?", choices=["build"], help="only build the site")
    only_build = parser.parse_args(words).only is not None
    stop_on_signals()
    title = "Building the documentation site"
    try:
        port = _port(os.environ.get("PORT") or str(DEFAULT_PORT))
        prepare_site()
        site = build(paths.SITE)
        print(f"Built the documentation site: {site}")
        if not only_build:
            title = "Serving the documentation site"
            serve(site, port)
    except StepFailed as failure:
        give_up(title, failure)
    except Stopped:
        print("\nStopped.")


def build(folder: Path) -> Path:
    """Build the site within the folder and return where its pages are. Raises StepFailed with the
    generator's words if a link leads nowhere, or the generator warns of anything else."""
    shutil.rmtree(folder, ignore_errors=True)
    write_sources(folder / "docs")
    # JSON is YAML, too.
    (folder / "mkdocs.yml").write_text(json.dumps(config()), encoding="utf-8")
    command = [str(paths.PYTHON), "-m", "zensical", "build", "--strict"]
    environment = {**os.environ, "PYTHONPATH": str(paths.SITE_GENERATOR), "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = tail(_COLOUR.sub("", done.stdout)) or tail(done.stderr)
        raise StepFailed(words, "correct the link that it names.")
    return folder / SITE_FOLDER


def write_sources(folder: Path) -> None:
    """Write the pages as the generator reads them, with what they show."""
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("*.md"))
    for name, page in site_pages().items():
        text = (paths.ROOT / name).read_text(encoding="utf-8")
        (folder / page).write_text(with_site_links(text, name), encoding="utf-8")


def site_pages() -> dict[str, str]:
    """The files of the checkout that are pages, each with its name on the site."""
    pages = {f"docs/{path.name}": path.name for path in sorted(DOCS.glob("*.md"))}
    return pages | {
        name: page for name, page in OTHER_PAGES.items() if (paths.ROOT / name).exists()
    }


def with_site_links(text: str, name: str) -> str:
    """Replace the links of a file by those of the site, where all pages lie in one folder."""
    pages = site_pages()

    def link(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        path, mark, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return found[0]
        absolute = os.path.normpath(PurePosixPath(name).parent / path)
        if absolute in pages:
            return f"{image}[{words}]({pages[absolute]}{mark}{anchor})"
        if absolute.startswith("docs/"):
            return f"{image}[{words}]({absolute.removeprefix('docs/')})"
        return words

    def prose(part: str) -> str:
        return _LINK.sub(link, _REMOTE_IMAGE.sub(r"\1", part))

    parts = _FENCE.split(text)
    return "".join(part if _FENCE.fullmatch(part) else prose(part) for part in parts)


def navigation() -> list[dict[str, object]]:
    """The sections of the index with their pages: [{title: [{title: page}, …]}, …]."""
    sections: list[dict[str, object]] = [{"Overview": "README.md"}]
    text = with_site_links((paths.ROOT / INDEX).read_text(encoding="utf-8"), INDEX)
    for section in text.split("\n## ")[1:]:
        title, _, entries = section.partition("\n")
        pages = re.findall(r"^- \[([^\]]+)\]\(([\w.-]+\.md)\)", entries, re.M)
        sections.append({title: [{words: page} for words, page in pages]})
    return sections


def config() -> dict[str, object]:
    """The generator's settings, those of Material for MkDocs."""
    schemes = (("default", "light", "moon", "Dark"), ("slate", "dark", "sun", "Light"))
    return {
        "site_name": "EdgeNeuro",
        "site_description": "An intent router at the edge",
        "site_dir": SITE_FOLDER,
        "use_directory_urls": False,  # so that the site also works from a folder
        "nav": navigation(),
        "theme": {
            "name": "material",
            "font": False,  # none from elsewhere
            "features": ["navigation.footer", "navigation.top", "content.code.copy"],
            "palette": [
                {
                    "scheme": scheme,
                    "media": f"(prefers-color-scheme: {preferred})",
                    "toggle": {"icon": f"lucide/{icon}", "name": f"{other} colours"},
                }
                for scheme, preferred, icon, other in schemes
            ],
        },
    }


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StepFailed(f"PORT is {text!r}.", "set PORT to a number from 1 to 65535.")
    return int(text)


def serve(site: Path, port: int) -> None:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        advice = (
            f"choose another one: PORT={port + 1 if port < 65535 else DEFAULT_PORT} npm run docs"
        )
        raise StepFailed(f"Port {port} cannot be used: {error.strerror}.", advice) from error
    with server:
        print(f"Ready on http://localhost:{port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
