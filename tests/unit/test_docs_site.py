"""The documentation site: built as `npm run docs` builds it, with every link checked."""

import json
import re
from pathlib import Path

import pytest

from scripts import docs_site
from scripts.paths import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generator refuses links and anchors that lead nowhere."""
    return docs_site.build(tmp_path_factory.mktemp("site") / "work")


def test_every_page_is_built_and_can_be_found_by_search(site: Path) -> None:
    pages = {page.removesuffix(".md") for page in docs_site.site_pages().values()} - {"README"}
    assert {path.stem for path in site.glob("*.html")} == {*pages, "index", "404"}
    found = {
        entry["location"].partition("#")[0].removesuffix(".html")
        for entry in json.loads((site / "search.json").read_text())["items"]
    }
    assert pages <= found


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r"""<(?:link|script|img|iframe)\b[^>]*?\b(?:href|src)=["']?((?:https?:)?//[^"' >]+)"""
    )
    for page in site.glob("*.html"):
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8"))


def test_the_navigation_has_every_page_of_the_docs() -> None:
    listed = re.findall(r"[\w.-]+\.md", json.dumps(docs_site.navigation()))
    assert len(listed) == len(set(listed))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= set(listed)


@pytest.mark.parametrize(
    ("written", "on_the_site"),
    [
        ("[A](agents.md#x)", "[A](agents.md#x)"),
        ("[`a`](../ARCHITECTURE.md#x)", "[`a`](internals.md#x)"),
        ("[E](../local/README.md)", "[E](emulator.md)"),
        ("![S](screenshots/overview.png)", "![S](screenshots/overview.png)"),
        ("[noise.py](../src/edgeneuro/classifier/noise.py)", "noise.py"),
        ("[W](https://example.com/a.md)", "[W](https://example.com/a.md)"),
        ("[![D](https://a.b/c)](https://example.com/)", "[D](https://example.com/)"),
        ("[T](#there)", "[T](#there)"),
        ("```sh\n[A](../src/a.py)\n```\n", "```sh\n[A](../src/a.py)\n```\n"),
    ],
)
def test_links_lead_to_the_pages_of_the_site(written: str, on_the_site: str) -> None:
    assert docs_site.with_site_links(written, "docs/concepts.md") == on_the_site


def test_links_of_files_outside_docs() -> None:
    text = "[L](docs/learning.md) ![O](docs/screenshots/overview.png)"
    expected = "[L](learning.md) ![O](screenshots/overview.png)"
    assert docs_site.with_site_links(text, "CHANGELOG.md") == expected
