"""Where things lie in the checkout; what the set-up makes is in git-ignored folders."""

import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE_JSON = ROOT / "package.json"
PACKAGE_LOCK = ROOT / "package-lock.json"
NPMRC = ROOT / ".npmrc"
PYPROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = ROOT / "scripts" / "constraints.txt"
MINILM_REQUIREMENTS = ROOT / "scripts" / "minilm-requirements.txt"
WORD_VECTORS_REQUIREMENTS = ROOT / "scripts" / "word-vectors-requirements.txt"
WORD_VECTORS_BUILDER = ROOT / "scripts" / "word_vectors.py"
WORKER_REQUIREMENTS = ROOT / "scripts" / "worker-requirements.txt"
BUNDLE_SCHEMA = ROOT / "scripts" / "pyodide_bundle.capnp"
BUNDLE_PACKER = ROOT / "scripts" / "pyodide_bundle.py"
SITE_REQUIREMENTS = ROOT / "scripts" / "site-requirements.txt"
AUDIT_REQUIREMENTS = ROOT / "scripts" / "audit-requirements.txt"
PYTHON_CLIENTS_REQUIREMENTS = ROOT / "scripts" / "python-clients-requirements.txt"
WORKERD_WRAPPER = ROOT / "scripts" / "workerd"
SEED = ROOT / "scripts" / "seed.sql"
MIGRATIONS = ROOT / "migrations"
WRANGLER_CONFIG = ROOT / "wrangler.toml"
LOCAL_AI_WORKER = ROOT / "local" / "binding" / "worker.mjs"
DEV_VARS = ROOT / ".dev.vars"

NODE_MODULES = ROOT / "node_modules"
PYODIDE_PACKAGE = NODE_MODULES / "pyodide"
WRANGLER = NODE_MODULES / "wrangler" / "bin" / "wrangler.js"
UPLOT = NODE_MODULES / "uplot"
PAGES_LIBRARIES = ROOT / "public" / "vendor"
# Beside the Worker's code and not in python_modules/, which is made again with each new package.
WORD_VECTORS = ROOT / "src" / "word_vectors"
WORKER_PACKAGES = ROOT / "python_modules"
BUILD = ROOT / ".build"
# Not .venv, which is uv's: it removes from there whatever it has not put there.
VENV = BUILD / "venv"
PYTHON = VENV / "bin" / "python"
# workerd checks a released bundle against a checksum, but takes the one called `dev` as it is.
BUNDLE_DIR = BUILD / "pyodide"
BUNDLE = BUNDLE_DIR / "pyodide_dev.capnp.bin"
MINILM = BUILD / "minilm"
BROWSER_PACKAGE = ROOT / "tests" / "ui" / "package.json"
BROWSER_UNPACKER = ROOT / "tests" / "ui" / "unpack_browser.mjs"
BROWSER = BUILD / "browser"
CHROMIUM = BROWSER / "files" / "chromium"
BIOME = BROWSER / "node_modules" / ".bin" / "biome"
AXE = BROWSER / "node_modules" / "axe-core" / "axe.min.js"
SITE_GENERATOR = BUILD / "site-generator"
SITE = BUILD / "site"
VULNERABILITY_CHECKER = BUILD / "audit"
PYTHON_CLIENTS = BUILD / "python-clients"
TYPESCRIPT_CLIENTS = BUILD / "typescript-clients"
TYPESCRIPT_CLIENTS_PACKAGE = ROOT / "tests" / "clients" / "package.json"
STATE = ROOT / ".wrangler" / "state"


def npm_platform() -> tuple[str, str]:
    """Return this machine's operating system and processor in npm's words."""
    arm = platform.machine().lower() in {"arm64", "aarch64"}
    return sys.platform, "arm64" if arm else "x64"


def workerd_binary() -> Path:
    """Return the program of the npm package `workerd` for this machine."""
    system, processor = npm_platform()
    suffix = "arm64" if processor == "arm64" else "64"
    return NODE_MODULES / "@cloudflare" / f"workerd-{system}-{suffix}" / "bin" / "workerd"


def pinned_node() -> Path:
    """Return the Node of the npm package for this machine; there are none for macOS."""
    system, processor = npm_platform()
    return NODE_MODULES / f"node-{system}-{processor}" / "bin" / "node"
