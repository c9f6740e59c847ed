"""Uses the pages with the keyboard alone."""

from playwright.sync_api import Locator, Page, expect

from tests.ui.conftest import settled

_MAX_TABS = 60  # from one control of a page to another
_LOOKED_AT = 3
_FOCUSABLE_BETWEEN = """(target) => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, [tabindex]")]
    .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility());
  const from = all.indexOf(document.activeElement);
  return from < 0 ? 0 : Math.abs(all.indexOf(target) - from);
}"""


class Keyboard:
    """The keys that a person presses on `page`."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self._page.keyboard.press(key)

    def write(self, text: str) -> None:
        """In place of what the focused field holds."""
        self.press("Control+A")
        self._page.keyboard.type(text)

    def reach(self, target: Locator, *, back: bool = False) -> None:
        """Moves the focus there, forward or back, control by control."""
        expect(target).to_be_visible()
        key = "Shift+Tab" if back else "Tab"
        # To look after each key makes the browser draw each control with the focus.
        self.press(*[key] * max(0, target.evaluate(_FOCUSABLE_BETWEEN) - _LOOKED_AT))
        for _ in range(_MAX_TABS):
            if target.evaluate("one => one === document.activeElement"):
                return
            self.press(key)
        raise AssertionError(f"{target} is not reached with {_MAX_TABS} tabs")

    def use(self, role: str, name: str, *, inside: Locator | None = None) -> None:
        """Presses Enter on the control with this role and name."""
        place = inside or self._page
        self.reach(place.get_by_role(role, name=name, exact=True).first)  # type: ignore[arg-type]
        self.press("Enter")

    def open(self, screen: str) -> None:
        """Opens a screen from the navigation, which comes before the content."""
        link = self._page.get_by_role("navigation", name="Screens").get_by_role("link", name=screen)
        self.reach(link, back=True)
        self.press("Enter")
        expect(self._page.locator("#main")).to_be_focused()
        settled(self._page)
