"""Clients that generators make of a product's /openapi.json: docs/clients.md has the commands, the
settings and the functions, which are taken from there."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts import paths
from scripts.wrangler import node
from tests.unit.documents import document

_PAGE = document("docs/clients.md")
_TSCONFIG = """{
  "compilerOptions": {
    "strict": true, "noEmit": true, "skipLibCheck": true, "allowImportingTsExtensions": true,
    "module": "nodenext", "target": "es2022", "lib": ["es2022", "dom"], "types": []
  },
  "files": ["main.ts"]
}"""
_MAIN_TS = """
declare const process: { argv: string[] };
const [query, baseUrl, key] = process.argv.slice(2);
console.log(await agentFor(query!, baseUrl!, key!));
"""
_MAIN_PY = """
import sys
print(agent_for(*sys.argv[1:]))
"""


def typescript_answer(openapi: bytes, folder: Path, words: Sequence[str]) -> str:
    """What the client prints for these words. Raises CalledProcessError if it does not compile."""
    modules = paths.TYPESCRIPT_CLIENTS / "node_modules"
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "openapi.json").write_bytes(openapi)
    (folder / "tsconfig.json").write_text(_TSCONFIG)
    (folder / "main.ts").write_text("".join(_PAGE.code("ts")) + _MAIN_TS)
    generator = modules / "openapi-typescript" / "bin" / "cli.js"
    _run(folder, node(), generator, "openapi.json", "-o", "edgeneuro.d.ts")
    _run(folder, node(), modules / "typescript" / "bin" / "tsc", "-p", ".")
    return _run(folder, node(), "main.ts", *words)


def python_answer(openapi: bytes, folder: Path, words: Sequence[str]) -> str:
    """What the client prints for these words. Raises CalledProcessError if the generator warns."""
    (folder / "openapi.json").write_bytes(openapi)
    # Without the formatting of what is generated, which is a second of CPU.
    (folder / "clients.yml").write_text("".join(_PAGE.code("yaml")) + "post_hooks: []\n")
    (folder / "main.py").write_text("".join(_PAGE.code("python")) + _MAIN_PY)
    options = "generate --path openapi.json --config clients.yml --meta none --fail-on-warning"
    options += " --output-path edgeneuro_client"
    _run(folder, paths.PYTHON, "-m", "openapi_python_client", *options.split())
    _run(folder, paths.PYTHON, "-m", "compileall", "-q", "edgeneuro_client")
    return _run(folder, paths.PYTHON, "main.py", *words)


def _run(folder: Path, *words: str | Path) -> str:
    """Return what the command prints. A failure shows it, too."""
    environment = {**os.environ, "PYTHONPATH": str(paths.PYTHON_CLIENTS)}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
