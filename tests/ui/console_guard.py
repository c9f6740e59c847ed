"""Collects console errors, uncaught exceptions, files that do not load, and requests to other
hosts."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

# The browser logs this for every response with an error status.
_FAILED_LOAD = "Failed to load resource"
_API = ("/v1/", "/metrics", "/healthz", "/openapi.json")


class ConsoleGuard:
    """Watches all pages of all contexts. A failed API call is allowed, a failed file is not."""

    def __init__(self) -> None:
        self._faults: list[str] = []
        self._allowed: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        context.on("weberror", self._exception)
        context.on("console", self._message)
        context.on("requestfailed", self._failed)  # as all to other hosts do

    def allow(self, text: str) -> None:
        """Ignore faults with this text until the next `take`."""
        self._allowed.append(text)

    def take(self) -> list[str]:
        """The faults since the last call."""
        faults = [
            fault for fault in self._faults if not any(text in fault for text in self._allowed)
        ]
        self._faults.clear()
        self._allowed.clear()
        return faults

    def _exception(self, error: WebError) -> None:
        self._faults.append(f"exception: {error.error}")

    def _message(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        address = message.location["url"]
        if _FAILED_LOAD in message.text and urlsplit(address).path.startswith(_API):
            return
        self._faults.append(f"console: {message.text} ({address})")

    def _failed(self, request: Request) -> None:
        target = urlsplit(request.url)
        if target.scheme in ("http", "https") and target.hostname != "localhost":
            self._faults.append(f"third party: {request.url}")
