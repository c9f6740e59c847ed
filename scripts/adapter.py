"""`npm run adapter -- check|upload|register|select`: a trained adapter's way to the router.

npm run adapter -- check ./adapter
npm run adapter -- upload ./adapter --name router-1     # to Cloudflare, of any size that it takes
npm run adapter -- register ./adapter --name router-1   # the product probes it and lists it
npm run adapter -- select router-1 --check

check and upload ask Cloudflare with CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN
(CLOUDFLARE_API_BASE_URL, if it is not the usual one).
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeneuro.adapter.bases import wrong_name
from edgeneuro.adapter.preflight import AdapterFacts, Report, check_adapter
from scripts.adapter_folder import (
    AdapterFolder,
    AdapterFolderError,
    base_of,
    data_of,
    note,
    noted_name,
    read_folder,
    require_trained_weights,
)
from scripts.adapter_upload import UploadError, find, upload
from scripts.finetunes import SECONDS, Finetune, Finetunes, FinetunesError
from scripts.http import DEFAULT_BASE_URL, Answers, HttpFailed
from scripts.key import add_key_option, key_of

LOOK_SECONDS = 2.0
MARKS = {True: "✓", False: "✗", None: "–"}  # noqa: RUF001


def main(words: Sequence[str] | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
    options = read_options(words)
    options.sleep = sleep
    try:
        options.run(options)
    except (AdapterFolderError, UploadError, FinetunesError, HttpFailed, OSError) as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command continues from there.")


def read_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="npm run adapter --", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar="check|upload|register|select")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("folder", type=Path, metavar="DIR", help="with the adapter's two files")
    folder.add_argument("--base", help="on Workers AI; else what the training says")
    folder.add_argument("--timeout", type=float, default=SECONDS, help="of Cloudflare, in seconds")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", help="of the finetune; else the one it was uploaded by")
    product = argparse.ArgumentParser(add_help=False)
    product.add_argument("--base-url", default=DEFAULT_BASE_URL, help="a running product")
    add_key_option(product)
    check = commands.add_parser("check", parents=[folder], help="what Workers AI would refuse")
    check.set_defaults(run=check_one)
    send = commands.add_parser("upload", parents=[folder, named], help="to Cloudflare's API")
    send.set_defaults(run=upload_one)
    register = commands.add_parser("register", parents=[folder, named, product], help="as a model")
    register.set_defaults(run=register_one)
    select = commands.add_parser("select", parents=[product], help="make it the active model")
    select.add_argument("adapter", metavar="NAME_OR_DIR")
    select.add_argument(
        "--check", action="store_true", help="only if it passes the promotion check"
    )
    select.add_argument(
        *("--challenger", "--shadow"),
        type=float,
        metavar="PERCENT",
        help="try it beside the active model, for this share of its answers",
    )
    select.set_defaults(run=select_one)
    return parser.parse_args(words)


def whole_folder(path: Path) -> AdapterFolder:
    """Raises AdapterFolderError, also for weights that the training card is not of."""
    folder = read_folder(path)
    require_trained_weights(folder)
    return folder


def check_one(options: argparse.Namespace) -> None:
    api = Finetunes.from_environment(options.timeout)
    folder = whole_folder(options.folder)
    used = None
    try:
        used = None if api is None else len(api.list_all())
    except FinetunesError as error:
        print(f"Cloudflare does not say how many finetunes there are: {error}.")
    pass_preflight(folder, base_of(folder, options.base), used)


def upload_one(options: argparse.Namespace) -> None:
    name = name_of(options)
    api = Finetunes.from_environment(options.timeout)
    if api is None:
        raise UploadError(
            "Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN, a token with the permission"
            " Workers"
            " AI: Edit. Nothing was sent."
        )
    folder = whole_folder(options.folder)
    base = base_of(folder, options.base)
    every = finetunes_of(api)
    found = find(every, name, base)
    report = pass_preflight(folder, base, len(every) - (found is not None))
    print()
    config = report.config_to_upload or b""
    upload(api, folder.path, config, name=name, model=base, found=found)
    note(folder.path, name, base)


def finetunes_of(api: Finetunes) -> list[Finetune]:
    try:
        return api.list_all()
    except FinetunesError as error:
        raise UploadError(
            f"The account's finetunes could not be listed: {error}. Nothing was sent."
        ) from error


def pass_preflight(folder: AdapterFolder, base: str, slots_used: int | None) -> Report:
    """Ends the program if it fails."""
    report = check_adapter(
        names=folder.names,
        config=folder.config,
        weights_start=folder.weights_start,
        weights_size=folder.weights_size,
        facts=AdapterFacts(base, slots_used=slots_used),
    )
    print_report(report, base)
    if not report.ok:
        sys.exit(f"\n{len(report.failures)} of {len(report.checks)} rules are broken.")
    return report


def print_report(report: Report, base: str) -> None:
    print(f"For {base}:")
    for check in report.checks:
        print(f"  {MARKS[check.passed]} {check.rule:<18} {check.found}".rstrip())
        if check.message:
            print(f"      {check.message}")


def register_one(options: argparse.Namespace) -> None:
    """Registers the adapter and waits for the cron to finish it."""
    name = name_of(options)
    folder = whole_folder(options.folder)
    base = base_of(folder, options.base)
    pass_preflight(folder, base, None)
    print()
    api = Answers(options.base_url, key_of(options))
    found = api.post("/v1/loras", {"name": name, "base_model": base, **data_of(folder)})
    printed: set[tuple[str, str]] = set()
    print_steps(found, printed)
    while found["state"] in ("queued", "running"):
        options.sleep(LOOK_SECONDS)
        try:
            found = api.get(f"/v1/loras/{found['id']}")
        except HttpFailed as error:
            raise HttpFailed(
                f"{error}\n{found['id']} continues in the Worker: GET /v1/loras/{found['id']} shows"
                " its state."
            ) from error
        print_steps(found, printed)
    note(folder.path, name, base)
    print(f"{found['id']}  {name}  {found['state']}")
    if found["state"] != "available":
        why = (found.get("error") or {}).get("message") or "It did not become available."
        sys.exit(f"{why} Fix this, then POST /v1/loras/{found['id']}/retry continues from there.")


def print_steps(found: dict[str, Any], printed: set[tuple[str, str]]) -> None:
    for step in found.get("steps") or ():
        if (step["name"], step["state"]) not in printed:
            printed.add((step["name"], step["state"]))
            print(f"  {step['name']:<12} {step['state']:<10} {step.get('message') or ''}".rstrip())


def select_one(options: argparse.Namespace) -> None:
    path = Path(options.adapter)
    name = options.adapter
    if path.is_dir():
        name = noted_name(path) or path.resolve().name
    body: dict[str, Any] = {"model_id": name}
    if options.check:
        body["check"] = True
    if options.challenger is not None:
        body["challenger"] = options.challenger
    answer = Answers(options.base_url, key_of(options)).post("/v1/models/select", body)
    if options.challenger is not None:
        print(
            f"{name} is the challenger for {options.challenger:g} % of the active model's answers."
        )
    else:
        print(f"{name} is selected; before it was {answer.get('previous') or 'none'}.")


def name_of(options: argparse.Namespace) -> str:
    name = options.name or noted_name(options.folder)
    if name is None:
        raise UploadError("Name the finetune with --name.")
    wrong = wrong_name(name)
    if wrong:
        raise UploadError(f"--name is {name!r}. {wrong}")
    return str(name)


if __name__ == "__main__":
    main()
