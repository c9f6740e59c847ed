"""The page that one test hands to the next. To load the pages takes ten times the CPU of opening a
screen in them.

Sharing is safe since the pages keep nothing in memory but who is signed in: a screen is made again
when it is opened, and leaving it ends its dialogs, listeners and requests. What else a test can
leave behind is taken away here, and a page that cannot be cleaned is closed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Error, Page

# A screen that does not exist shows a heading and asks the API nothing.
_NOWHERE = "/#/nowhere"
_CLEAN = """(key) => {
  document.getElementById("notices").replaceChildren();
  localStorage.removeItem("edgeneuro.first_steps");
  localStorage.removeItem("edgeneuro.playground");
  localStorage.removeItem("edgeneuro.recent");
  return document.querySelector("#main h1")?.textContent === "Page not found"
    && document.querySelectorAll("dialog").length === 0
    && localStorage.length === 0
    && sessionStorage.length === 1
    && sessionStorage.getItem("edgeneuro.key") === key;
}"""


class Tab:
    """`load` opens a new page in a context of its own, signed in with the key."""

    def __init__(self, load: Callable[[], Page], key: str) -> None:
        self._load = load
        self._key = key
        self._page: Page | None = None

    @contextmanager
    def use(self) -> Iterator[Page]:
        """The page, signed in, with no screen open."""
        if self._page is None:
            self._page = self._load()
            self._page.goto(_NOWHERE)
        self._page.bring_to_front()  # or a key may be lost that comes after another test's page
        yield self._page
        if not self._clean(self._page):
            self.close()

    def close(self) -> None:
        if self._page is not None:
            self._page.context.close()
            self._page = None

    def _clean(self, page: Page) -> bool:
        try:
            page.unroute_all(behavior="ignoreErrors")
            page.context.set_offline(False)
            page.goto(_NOWHERE)
            clean: bool = page.evaluate(_CLEAN, self._key)
        except Error:
            return False
        return clean and len(page.context.pages) == 1
