"""How this project runs wrangler: with the pinned Node, our workerd wrapper, and no calls home."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from scripts import paths
from scripts.steps import StepFailed

OLDEST_NODE = (22, 12)


def wrangler(*words: str | Path) -> list[str]:
    """Return the command line of a wrangler call."""
    return [str(node()), str(paths.WRANGLER), *(str(word) for word in words)]


def environment(state: Path) -> dict[str, str]:
    """Return the environment of a wrangler call that works on this state folder."""
    return {
        # wrangler starts no proxy for a debugger then, which takes 2 ms of CPU a request. What
        # a debugger itself has set remains.
        "VSCODE_INSPECTOR_OPTIONS": "{}",
        **os.environ,
        "MINIFLARE_WORKERD_PATH": str(paths.WORKERD_WRAPPER),
        "EDGENEURO_WORKERD": str(paths.workerd_binary()),
        "EDGENEURO_PYODIDE_BUNDLES": str(paths.BUNDLE_DIR),
        # Two products on one machine must not find each other's Workers.
        "WRANGLER_REGISTRY_PATH": str(state / "registry"),
        "WRANGLER_LOG_PATH": str(state / "wrangler-logs"),
        "NODE_COMPILE_CACHE": str(paths.BUILD / "node-cache"),
        # On the product's own port it would show the database, and run SQL, without a key.
        "X_LOCAL_EXPLORER": "false",
        "X_LOCAL_OBSERVABILITY": "false",  # what it collects is for the explorer
        "WRANGLER_HIDE_BANNER": "true",
        "WRANGLER_SEND_METRICS": "false",
        "WRANGLER_SEND_ERROR_REPORTS": "false",
        "CLOUDFLARE_CF_FETCH_ENABLED": "false",
        "NO_COLOR": "1",
        "FORCE_COLOR": "0",
        "CI": "true",
    }


def node() -> Path:
    """Return the Node that the project pins, or where npm has none, the machine's own."""
    pinned = paths.pinned_node()
    if pinned.exists():
        return pinned
    found = shutil.which("node")
    if found:
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        numbers = re.findall(r"\d+", answer.stdout)
        if tuple(map(int, numbers[:2])) >= OLDEST_NODE:
            return Path(found)
    oldest = ".".join(map(str, OLDEST_NODE))
    raise StepFailed(f"wrangler needs Node {oldest} or newer", f"install Node {oldest} or newer.")
