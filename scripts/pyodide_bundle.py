"""Packs the npm package `pyodide` into the bundle that workerd runs Python Workers with.

workerd downloads such a bundle when it starts; this one is made from registry packages alone, so a
machine that reaches nothing else runs the same, unmodified workerd. Run by the set-up with the
project's own Python, which has pycapnp: `python -m scripts.pyodide_bundle OUT_FILE`.
"""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import capnp

from scripts.paths import BUNDLE_SCHEMA, PYODIDE_PACKAGE, workerd_binary

MODULE_PREFIX = "pyodideRuntime-internal:"
# The release that workerd calls by this name is the one its `dev` bundle has to match.
WORKERD_RELEASE = re.compile(rb"pythonWorkers314\0+(\d+\.\d+\.\d+)\0")

LOAD_LIBRARY = (
    "function loadLibData(){"
    "var library=patchedLoadLibData(Module,libName,flags.rpath);"
    "return flags.loadAsync?Promise.resolve(library):library}"
    "function loadLibDataOfEmscripten(){"
)


class Substitution(NamedTuple):
    """One change to pyodide.asm.mjs, and how often its pattern has to occur there."""

    pattern: str
    replacement: str
    occurs: int


# workerd forbids compiling WebAssembly, randomness and dynamic loading outside its own wrappers. It
# notes where in memory a library lies: it has to lie there again after a start with a snapshot.
SUBSTITUTIONS = (
    Substitution("new WebAssembly.Module(", "newWasmModule(", 4),
    Substitution("crypto.getRandomValues(view)", "getRandomValues(Module,view)", 1),
    Substitution("getMemory(metadata.", "Module.getMemoryPatched(Module,libName,metadata.", 1),
    Substitution("function loadLibData(){", LOAD_LIBRARY, 1),
    Substitution(
        "export default _createPyodideModule;",
        "export default _createPyodideModule;export{_createPyodideModule};",
        1,
    ),
)
# `location` and `addEventListener` are globals of browsers that workerd lacks.
IMPORTS = (
    "import{newWasmModule,getRandomValues,patchedLoadLibData,location,addEventListener}"
    'from"pyodide-internal:builtin_wrappers";'
)


class BundleError(Exception):
    """The packages at hand cannot make a bundle; the message says why and what to do."""


def adapt(source: str) -> str:
    """Return pyodide.asm.mjs as workerd accepts it."""
    for pattern, replacement, occurs in SUBSTITUTIONS:
        found = source.count(pattern)
        if found != occurs:
            raise BundleError(
                f"pyodide.asm.mjs contains {pattern!r} {found} times instead of {occurs}: "
                "this release of pyodide needs its own look at scripts/pyodide_bundle.py"
            )
        source = source.replace(pattern, replacement)
    return IMPORTS + source


def check_versions(package: Path, workerd: Path) -> None:
    """Fail unless the npm package is the Pyodide that this workerd was built for."""
    have = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    named = WORKERD_RELEASE.search(workerd.read_bytes())
    if named is None:
        raise BundleError(f"{workerd} does not name the Pyodide release that it wants")
    want = named[1].decode()
    if have != want:
        raise BundleError(
            f"workerd wants Pyodide {want}, but package.json pins pyodide {have}: pin {want}"
        )


def pack(package: Path) -> bytes:
    """Return the bundle: one Cap'n Proto message with the runtime's three modules."""
    adapted = adapt((package / "pyodide.asm.mjs").read_text(encoding="utf-8"))
    modules = (
        ("pyodide.asm", "source", adapted.encode()),
        ("pyodide.asm.wasm", "wasm", (package / "pyodide.asm.wasm").read_bytes()),
        ("python_stdlib.zip", "data", (package / "python_stdlib.zip").read_bytes()),
    )
    message = capnp.load(str(BUNDLE_SCHEMA)).Bundle.new_message()
    slots = message.init("modules", len(modules))
    for slot, (name, field, content) in zip(slots, modules, strict=True):
        slot.name = MODULE_PREFIX + name
        slot.kind = "internal"
        setattr(slot, field, content)
    return bytes(message.to_bytes())


def main(target: Path) -> None:
    try:
        check_versions(PYODIDE_PACKAGE, workerd_binary())
        bundle = pack(PYODIDE_PACKAGE)
    except (BundleError, OSError) as error:
        sys.exit(str(error))
    target.write_bytes(bundle)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
