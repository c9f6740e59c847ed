"""Files of JSON or YAML. YAML as version 1.2 has it: `on`, `off`, `yes` and `no` are texts, and so
are dates; a key that is there twice is an error."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

from scripts import paths
from scripts.setup import prepare_yaml

YAML_ENDINGS = (".yaml", ".yml")
_BOOL = re.compile(r"true|false|True|False|TRUE|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"
_NOT_OF_1_2 = {f"{_TAG}{name}" for name in ("bool", "int", "float", "timestamp")}


class UnreadableDocument(Exception):
    """The text says what is wrong with the file."""


def is_yaml(path: Path) -> bool:
    return path.suffix.lower() in YAML_ENDINGS


def run_where_yaml_is() -> None:
    """Goes on in the Python of .build/venv, where the package for YAML is, if this one lacks it;
    installs it there the first time."""
    try:
        import yaml  # noqa: F401  # optional
    except ImportError:
        prepare_yaml()
        words = [str(paths.PYTHON), "-m", "scripts.apply", *sys.argv[1:]]
        os.execv(paths.PYTHON, words)


def read_document(path: Path) -> Any:
    """Raises UnreadableDocument, or OSError."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        return _load_yaml(text) if is_yaml(path) else json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "YAML" if is_yaml(path) else "JSON"
        raise UnreadableDocument(f"{path} is not {kind}: {error}") from error


def document_text(path: Path, document: Any) -> str:
    """The document as the file's name wants it. Fields that are null are left out: they are so by
    default."""
    document = _without_nulls(document)
    if is_yaml(path):
        return _dump_yaml(document)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _load_yaml(text: str) -> Any:
    import yaml  # optional

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # untyped
        yaml_implicit_resolvers: ClassVar[Any] = {
            first: [each for each in resolvers if each[0] not in _NOT_OF_1_2]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if key.tag != f"{_TAG}merge"]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                line = node.start_mark.line + 1
                raise ValueError(f"the key {twice!r} is there twice (in the object of line {line})")
            return super().construct_mapping(node, deep=deep)

    for name, pattern, read in (
        ("bool", _BOOL, lambda text: text.lower() == "true"),
        ("int", _INT, int),
        ("float", _FLOAT, float),
    ):
        _resolve(Loader, name, pattern)
        Loader.add_constructor(f"{_TAG}{name}", lambda _, node, read=read: read(node.value))
    try:
        return yaml.load(text, Loader)  # it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _dump_yaml(document: Any) -> str:
    import yaml  # optional

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # untyped
        def ignore_aliases(self, data: Any) -> bool:
            return True

    # A text that either version takes for something else is written in quotes.
    for name, pattern in (("bool", _BOOL), ("int", _INT), ("float", _FLOAT)):
        _resolve(Dumper, name, pattern)
    Dumper.add_representer(
        str,
        lambda dumper, text: dumper.represent_scalar(
            f"{_TAG}str", text, style="|" if "\n" in text else None
        ),
    )
    dumped: str = yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return dumped


def _resolve(kind: Any, name: str, pattern: re.Pattern[str]) -> None:
    whole = re.compile(rf"^(?:{pattern.pattern})$")
    kind.add_implicit_resolver(f"{_TAG}{name}", whole, list("+-.0123456789tTfF"))
