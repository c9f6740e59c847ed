"""Chromium for the tests of the pages: the one that `npm run setup` installs, or another one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from scripts.paths import CHROMIUM

FILES = CHROMIUM.parent
# No page is to ask another host, and none would be found.
_HOSTS = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{files}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{files}/fonts-cache</cachedir>
</fontconfig>
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser. The variable `CHROME` names another executable."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**_options())
        try:
            yield browser
        finally:
            browser.close()


def _options() -> dict[str, Any]:
    named = os.environ.get("CHROME")
    if named:
        return {"executable_path": named, "args": ["--no-sandbox", _HOSTS]}
    if not CHROMIUM.exists():  # no package exists for this platform
        return {"channel": "chrome", "args": [_HOSTS]}
    fonts = FILES / "fonts.conf"
    fonts.write_text(_FONTS.format(files=FILES), encoding="utf-8")
    libraries = f"{FILES / 'al2023' / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return {
        "executable_path": str(CHROMIUM),
        "args": ["--no-sandbox", "--no-zygote", "--disable-gpu", _HOSTS],
        "env": {
            **os.environ,
            "LD_LIBRARY_PATH": libraries,
            "FONTCONFIG_FILE": str(fonts),
            "LANG": "en_US.UTF-8",
        },
    }
