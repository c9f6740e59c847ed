"""Cloudflare's REST API of this account: with its token, and what it wraps unwrapped."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from edgeneuro import bounded_json
from edgeneuro.errors import UpstreamError, UpstreamNotConfiguredError
from edgeneuro.gateway.http import Fetch, SizedBody, read_whole
from edgeneuro.gateway.upstream_errors import upstream_error
from edgeneuro.gateway.vendors import CLOUDFLARE_TOKEN, require_secret
from edgeneuro.settings import Settings

_API = "https://api.cloudflare.com/client/v4/accounts"
_MAX_ANSWER_BYTES = 8_000_000
JSON = "application/json"


class CloudflareApi:
    def __init__(
        self, fetch: Fetch, settings: Settings, *, secret: Callable[[str], str | None]
    ) -> None:
        self._fetch = fetch
        self._settings = settings
        self._secret = secret

    def require_configured(self) -> None:
        """Raises UpstreamNotConfiguredError, which says what to set."""
        self._account_url()
        require_secret(CLOUDFLARE_TOKEN, self._secret)

    async def call(
        self, method: str, path: str, body: bytes | SizedBody = b"", *, content_type: str = JSON
    ) -> Any:
        """`path` follows the account. What the API says, or errors.UpstreamError; OSError where it
        cannot be reached."""
        url = f"{self._account_url()}/{path}"
        token = require_secret(CLOUDFLARE_TOKEN, self._secret)
        headers = {"content-type": content_type, "authorization": f"Bearer {token}"}
        response = await self._fetch(method, url, headers, body)
        text = (await read_whole(response, limit=_MAX_ANSWER_BYTES)).decode(errors="replace")
        if not 200 <= response.status < 300:
            raise upstream_error(response.status, text, vendor="Cloudflare")
        try:
            parsed = bounded_json.loads(text)
        except bounded_json.InvalidJsonError as error:
            raise UpstreamError("Cloudflare's answer is not JSON.") from error
        return parsed.get("result") if isinstance(parsed, dict) else None

    def _account_url(self) -> str:
        account = self._settings.cloudflare_account_id
        if not account:
            raise UpstreamNotConfiguredError(
                "CLOUDFLARE_ACCOUNT_ID is empty; set it in wrangler.toml."
            )
        return f"{_API}/{quote(account, safe='')}"
