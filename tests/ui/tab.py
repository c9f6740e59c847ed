"""The page that one test hands to the next. To load the pages takes ten times the CPU of opening a
screen in them.

Sharing is safe since the pages keep nothing in memory but who is signed in: a screen is made again
when it is opened, and leaving it ends its dialogs, listeners and requests. What else a test can
leave behind is taken away here, who was signed out is signed in again, and a page that cannot be
cleaned is closed. A theme that a test has chosen stays until the page is loaded again: such a test
needs a page of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Error, Page, ViewportSize

WIDE: ViewportSize = {"width": 1440, "height": 900}
# A screen that does not exist shows a heading and asks the API nothing.
_NOWHERE = "/#/nowhere"
# Takes away the forms, since leaving unsaved input asks first, and says what else has changed.
_FORGET = """(key) => {
  for (const form of document.querySelectorAll("[data-watched]")) form.remove();
  return {
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    offline: !navigator.onLine,
    signedOut: document.getElementById("main") === null
      || sessionStorage.getItem("edgeneuro.key") !== key,
  };
}"""
# Labels that are not saved yet are on their way, which nothing here can end.
_CLEAN = """async (key) => {
  // A dialog goes soon after it was closed.
  for (let turn = 0; turn < 100 && document.querySelector("dialog"); turn += 1)
    await new Promise((done) => setTimeout(done, 10));
  const saved = localStorage.getItem("edgeneuro.unsaved_labels") === null;
  document.getElementById("notices").replaceChildren();
  localStorage.clear();
  sessionStorage.clear();
  sessionStorage.setItem("edgeneuro.key", key);
  return saved && document.querySelector("dialog") === null
    && document.querySelector("#main h1")?.textContent === "Page not found";
}"""


class Tab:
    """`load` opens a new page in a context of its own, signed in with the key; `enter` signs in a
    page that asks for a key."""

    def __init__(
        self, load: Callable[[], Page], key: str, enter: Callable[[Page, str], None]
    ) -> None:
        self._load = load
        self._key = key
        self._enter = enter
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
            for other in page.context.pages:
                if other != page:
                    other.close()
            if page.viewport_size != WIDE:
                page.set_viewport_size(WIDE)
            changed = page.evaluate(_FORGET, self._key)
            if changed["dark"]:
                page.emulate_media(color_scheme="light")
            if changed["offline"]:
                page.context.set_offline(False)
            page.goto(_NOWHERE)
            if changed["signedOut"]:
                self._sign_in(page)
            clean: bool = page.evaluate(_CLEAN, self._key)
        except Error:
            return False
        return clean

    def _sign_in(self, page: Page) -> None:
        sign_out = page.get_by_role("button", name="Sign out")
        if sign_out.count():
            sign_out.click()
        self._enter(page, self._key)
