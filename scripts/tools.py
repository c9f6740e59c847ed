"""The set-up of tools that neither the product nor most of its tests import: the generators of the
documentation site and of clients, and pip-audit. Each has a folder of its own, so that none of
their requirements meets those of the product."""

import shutil
import sys
import tempfile
from pathlib import Path

from scripts import paths
from scripts.steps import Step, run

_ADVICE = "check that the package registry is reachable, then start again."
_NPM_OPTIONS = "--no-save --no-package-lock --ignore-scripts --no-audit --no-fund".split()


def site_generator() -> Step:
    return _python_tool(
        "Installing the generator of the documentation site",
        paths.SITE_REQUIREMENTS,
        paths.SITE_GENERATOR,
    )


def vulnerability_checker() -> Step:
    """For `npm run check`. What else it needs, the packages for tests have."""
    return _python_tool(
        "Installing pip-audit", paths.AUDIT_REQUIREMENTS, paths.VULNERABILITY_CHECKER
    )


def python_client_generator() -> Step:
    """What else it needs, the packages for tests have."""
    return _python_tool(
        "Installing the generator of Python clients",
        paths.PYTHON_CLIENTS_REQUIREMENTS,
        paths.PYTHON_CLIENTS,
    )


def typescript_client_generator() -> Step:
    def make() -> None:
        shutil.rmtree(paths.TYPESCRIPT_CLIENTS, ignore_errors=True)
        paths.TYPESCRIPT_CLIENTS.mkdir(parents=True)
        shutil.copy(paths.TYPESCRIPT_CLIENTS_PACKAGE, paths.TYPESCRIPT_CLIENTS)
        run(["npm", "--prefix", str(paths.TYPESCRIPT_CLIENTS), "install", *_NPM_OPTIONS])

    modules = paths.TYPESCRIPT_CLIENTS / "node_modules"
    return Step(
        title="Installing the generator of TypeScript clients",
        stamp=paths.TYPESCRIPT_CLIENTS / ".edgeneuro",
        make=make,
        inputs=[paths.TYPESCRIPT_CLIENTS_PACKAGE, paths.NPMRC],
        outputs=[modules / "openapi-typescript", modules / "openapi-fetch", modules / "typescript"],
        advice=_ADVICE,
    )


def _python_tool(title: str, requirements: Path, folder: Path) -> Step:
    """The requirements name every package that is installed: pip looks for no others."""

    def make() -> None:
        words = "-m pip --disable-pip-version-check --no-input install --no-compile --no-deps"
        with tempfile.TemporaryDirectory(dir=paths.BUILD) as temporary:
            made = Path(temporary) / "made"
            options = ["--target", str(made), "--requirement", str(requirements)]
            run([str(paths.PYTHON), *words.split(), *options])
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)

    return Step(
        title=title,
        stamp=paths.BUILD / "stamps" / folder.name,
        make=make,
        inputs=[requirements],
        facts=[sys.version],
        outputs=[folder],
        advice=_ADVICE,
    )
