"""What README.md and docs/ contain: headings, links, code, and the requests of their commands."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
GENERATED = ("docs/api.md", "docs/faults.md")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HTML_COMMENT = re.compile(r"<!--.*?-->", re.S)
_NOT_RUN = re.compile(r"<!-- not run: ([^\n]*?) -->\s*\Z")


@dataclass(frozen=True)
class Request:
    """A request of a `curl` command, as it is written. `body` is None where it is a file or a
    form."""

    method: str
    path: str
    query: str
    body: bytes | None


@dataclass(frozen=True)
class Commands:
    """A block of commands, and the line that it begins in. `not_run` is why no test runs it, as the
    comment before it says: <!-- not run: it needs an account -->."""

    line: int
    text: str
    not_run: str | None


@dataclass(frozen=True)
class Document:
    """A Markdown file of the checkout; `name` is its path from the root."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without blocks of code."""
        return _FENCE.sub("", self.text)

    @cached_property
    def anchors(self) -> set[str]:
        """Those that GitHub gives to the headings."""
        seen: dict[str, int] = {}
        anchors = set()
        for heading in re.findall(r"^#+ +(.+?) *$", self.prose, re.M):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
            anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            times = seen[anchor] = seen.get(anchor, -1) + 1
            anchors.add(f"{anchor}-{times}" if times else anchor)
        return anchors

    @property
    def links(self) -> list[str]:
        """The targets within the checkout."""
        targets = _LINK.findall(_HTML_COMMENT.sub("", re.sub(r"`[^`\n]*`", "", self.prose)))
        return [target for target in targets if not urlsplit(target).scheme]

    @property
    def spans(self) -> set[str]:
        """Code within sentences and tables."""
        return {" ".join(each.split()) for each in re.findall(r"`([^`]+)`", self.prose)}

    @property
    def commands(self) -> Iterator[Commands]:
        for found in _FENCE.finditer(self.text):
            indent, language, text = found.groups()
            if language != "sh":
                continue
            before = self.text[: found.start()]
            reason = _NOT_RUN.search(before)
            text = re.sub(f"^{indent}", "", text, flags=re.M)
            yield Commands(before.count("\n") + 2, text, reason and reason[1])

    def code(self, language: str) -> list[str]:
        """The blocks in this language, without the indentation of a list around them."""
        return [
            re.sub(f"^{indent}", "", text, flags=re.M)
            for indent, found, text in _FENCE.findall(self.text)
            if found == language
        ]

    def table(self, heading: str) -> list[list[str]]:
        """The rows of the first table under this heading, without its head."""
        section = f"\n{self.text}".split(f"\n{heading}\n", 1)[1]
        rows = re.findall(r"^\| (.*) \|$", re.split(r"^#", section, flags=re.M)[0], re.M)
        return [[cell.strip() for cell in re.split(r" \|(?= )", row)] for row in rows[2:]]

    @property
    def requests(self) -> Iterator[Request]:
        for block in self.code("sh"):
            # A line that is indented continues the command before it.
            for command in re.split(r"\n(?! )", re.sub(r"\\\n *", "", block)):
                if command.startswith("curl "):
                    yield _request(shlex.split(command, comments=True))


@lru_cache
def document(name: str) -> Document:
    return Document(name)


def documents() -> list[Document]:
    """Those that are written by hand."""
    pages = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
    return [document(name) for name in ("README.md", *pages) if name not in GENERATED]


def _request(words: list[str]) -> Request:
    method, url, data, is_file, is_query = "", "", [], False, False
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "-X":
            method = following
        elif word == "-d":
            data.append(following)
        elif word in ("-F", "--form-string", "--data-binary"):
            is_file = True
        elif word == "-G":
            is_query = True
        elif word.startswith("http"):
            url = word
    parts = urlsplit(url)
    query = "&".join([parts.query, *data]) if is_query else parts.query
    sends = bool(data or is_file) and not is_query
    body = data[0].encode() if data and not is_query else None
    return Request(method or ("POST" if sends else "GET"), parts.path, query.strip("&"), body)
