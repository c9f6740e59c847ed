"""Files of JSON or YAML. YAML as version 1.2 has it: `on`, `off`, `yes` and `no` are texts, and so
are dates. In both a key that is there twice is an error, and so is what JSON cannot say."""

import json
import os
import re
import sys
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from scripts import paths
from scripts.setup import prepare_yaml

YAML_ENDINGS = (".yaml", ".yml")
# Larger than what the product takes. Aliases of YAML make a large document out of a small file.
_MAX_CHARACTERS = 10_000_000
_MAX_VALUES = 200_000
_MAX_DEPTH = 100
_MAX_KEYS = 10_000  # of one object
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
    """What JSON can say. Raises UnreadableDocument, or OSError."""
    content = path.read_bytes()
    kind = "YAML" if is_yaml(path) else "JSON"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableDocument(f"{path} is not UTF-8: {error}") from error
    try:
        read = _load_yaml if is_yaml(path) else _load_json
        return _require_json(read(text))
    except RecursionError as error:
        raise UnreadableDocument(f"{path} is nested too deep.") from error
    except ValueError as error:
        raise UnreadableDocument(f"{path} is not {kind}: {error}") from error


def _load_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    twice = _twice(name for name, _ in pairs)
    if twice is not None:
        raise ValueError(f"the key {twice!r} is there twice in one object")
    return dict(pairs)


def _twice(keys: Iterable[Hashable]) -> Any:
    """The first key that was there before, None if there is none."""
    seen: set[Hashable] = set()
    return next((key for key in keys if key in seen or seen.add(key)), None)  # type: ignore[func-returns-value]


def _require_json(document: Any) -> Any:
    """Raises ValueError for what JSON cannot say, and for a document that is too large or nested
    too deep where each alias is written out."""
    values = characters = 0
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        values += 1
        characters += len(value) if isinstance(value, str) else 0
        if values > _MAX_VALUES or characters > _MAX_CHARACTERS:
            raise ValueError("it is too large where each alias is written out")
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise ValueError(f"the key {key!r} is no text; write it in quotes")
                characters += len(key)
            waiting += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list):
            waiting += [(each, depth + 1) for each in value]
        elif not isinstance(value, str | int | float | None):
            raise ValueError(f"it holds a {type(value).__name__}, which JSON does not have")
    return document


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
            keys = (key.value for key, _ in node.value if key.tag != f"{_TAG}merge")
            twice = _twice(key for key in keys if isinstance(key, str))
            if twice is not None:
                line = node.start_mark.line + 1
                raise ValueError(f"the key {twice!r} is there twice (in the object of line {line})")
            return super().construct_mapping(node, deep=deep)

        def flatten_mapping(self, node: Any) -> None:
            super().flatten_mapping(node)
            if len(node.value) > _MAX_KEYS:
                raise ValueError(f"an object has more than {_MAX_KEYS:,} keys")

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
