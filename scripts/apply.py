"""`npm run apply -- FILE`: makes an installation what a file says (JSON, or YAML by its ending): it
shows what would change, and changes it once you agree.

npm run apply -- --export installation.yaml                  # write the present one to a file
npm run apply -- installation.yaml --dry-run                 # only show what would change
ADMIN_TOKEN=KEY npm run apply -- installation.yaml --yes --url https://router.example.com

What the file leaves out stays as it is, section by section. Within a section the file is the whole
list: what is missing there is deleted, with --delete. It ends with 0 if the installation is as the
file says, or nothing was asked for; 1 if --check finds a difference; 2 if nothing could be done.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from scripts.documents import (
    UnreadableDocument,
    document_text,
    is_yaml,
    read_document,
    run_where_yaml_is,
)
from scripts.http import DEFAULT_BASE_URL, Answers, HttpFailed
from scripts.key import add_key_option, key_of
from scripts.steps import StepFailed

PATH = "/v1/installation"
DONE, DIFFERS, FAILED = 0, 1, 2
_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_SHOWN_CHARACTERS = 200


class Refused(Exception):
    """Nothing was changed; the text says why."""


def main(words: Sequence[str] | None = None, ask: Callable[[str], str] = input) -> None:
    options = read_options(words)
    try:
        if is_yaml(options.file):
            run_where_yaml_is()
        ended = export(options) if options.export else apply(options, ask)
    except (HttpFailed, Refused, UnreadableDocument) as error:
        print(error, file=sys.stderr)
        sys.exit(FAILED)
    except OSError as error:  # of a file; what a product answers is HttpFailed
        print(f"{error.filename or options.file}: {error.strerror}.", file=sys.stderr)
        sys.exit(FAILED)
    except StepFailed as failure:
        print(f"{failure.why}\n{failure.advice}".rstrip(), file=sys.stderr)
        sys.exit(FAILED)
    except (ValueError, KeyError, HTTPException) as error:  # no address, or not this product's JSON
        print(f"{options.base_url} gave no usable answer ({error!r}).", file=sys.stderr)
        sys.exit(FAILED)
    except (KeyboardInterrupt, EOFError):
        print("\nNothing was changed.", file=sys.stderr)
        sys.exit(FAILED)
    sys.exit(ended)


def read_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="npm run apply --", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, metavar="FILE", help=".json, .yaml or .yml")
    parser.add_argument("--base-url", "--url", default=DEFAULT_BASE_URL, help="a running product")
    add_key_option(parser)
    parser.add_argument("--export", action="store_true", help="write the installation to FILE")
    parser.add_argument("--force", action="store_true", help="with --export: replace FILE")
    parser.add_argument("--dry-run", action="store_true", help="only show what would change")
    parser.add_argument("--check", action="store_true", help="the same; ends with 1 if it differs")
    parser.add_argument("--delete", action="store_true", help="delete what the file does not have")
    parser.add_argument("--yes", action="store_true", help="change it without asking")
    return parser.parse_args(words)


def export(options: argparse.Namespace) -> int:
    document = _product(options).get(PATH)
    try:
        with options.file.open("w" if options.force else "x", encoding="utf-8") as file:
            file.write(document_text(options.file, document))
    except FileExistsError:
        raise Refused(f"{options.file} is there already; --force replaces it.") from None
    counts = ", ".join(
        f"{len(document[name])} {name}" for name in document if isinstance(document[name], list)
    )
    print(f"{options.file}: {counts}, {len(document['settings'])} settings")
    return DONE


def apply(options: argparse.Namespace, ask: Callable[[str], str]) -> int:
    document, api = read_document(options.file), _product(options)
    plan, etag = api.with_etag("PUT", f"{PATH}?plan=true", document)
    print("\n".join(plan_lines(plan)))
    if options.check or not plan["changes"]:
        return DIFFERS if plan["changes"] else DONE
    if options.dry_run:
        return DONE
    if plan["counts"]["delete"] and not options.delete:
        raise Refused(
            "Nothing was changed. The file does not have what is marked with -: add --delete to"
            " delete it, or put it into the file."
        )
    if not options.yes:
        if ask is input and not sys.stdin.isatty():
            raise Refused("Nothing was changed. Add --yes to change it without being asked.")
        if ask("Apply these changes? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was changed.")
            return DONE
    # What was shown is what is done, or nothing.
    query = "?delete=true" if options.delete else ""
    api.with_etag("PUT", f"{PATH}{query}", document, if_match=etag)
    print("Applied.")
    return DONE


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """The plan like a diff."""
    if not plan["changes"]:
        return ["Nothing differs."]
    lines = []
    for change in plan["changes"]:
        lines.append(f"{_SIGNS[change['action']]} {change['resource']} {change['id']}")
        if change["action"] != "delete":
            lines += [f"    {field}" for field in map(_field_line, change["fields"])]
    lines += [f"! {warning}" for warning in plan["warnings"]]
    counts = plan["counts"]
    return [
        *lines,
        f"{counts['create']} to create, {counts['update']} to update, {counts['delete']} to"
        " delete.",
    ]


def _field_line(field: dict[str, Any]) -> str:
    after = _shown(field["after"])
    if field["before"] is None:
        return f"{field['field']}: {after}"
    return f"{field['field']}: {_shown(field['before'])} -> {after}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _product(options: argparse.Namespace) -> Answers:
    try:
        return Answers(options.base_url, key_of(options))
    except SystemExit as error:
        raise Refused(str(error)) from error


if __name__ == "__main__":
    main()
