"""The command line of `npm run deploy`."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scripts.deployment.record import PRODUCTION

DESCRIPTION = """\
Deploy EdgeNeuro to your Cloudflare account, or update a deployment.

Each step looks first and does only what is missing, so the same command continues after a failure.
What it learns about your account is kept in deployments/ENV.json, which git ignores.

  npm run deploy -- --dry-run          show what would be done
  npm run deploy                       production: the Worker edgeneuro
  npm run deploy -- --env staging      a second one: edgeneuro-staging, with its own database
  npm run deploy -- --domain router.example.com
"""
EPILOG = """\
Environment variables: CLOUDFLARE_API_TOKEN (else wrangler's login), CLOUDFLARE_ACCOUNT_ID (as
--account), ADMIN_TOKEN (the admin token to set, or to check the deployment with).
"""
LOCATIONS = ("wnam", "enam", "weur", "eeur", "apac", "oc")
NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
NO_GATEWAY = NO_DOMAIN = "none"


@dataclass(frozen=True)
class DeployOptions:
    environment: str = PRODUCTION
    account: str = ""
    name: str = ""
    database: str = ""
    location: str = ""
    gateway: str = ""
    domain: str = ""
    subdomain: str = ""
    address: str = ""
    vars: tuple[tuple[str, str], ...] = field(default=())
    demonstration: bool = False
    adopt: bool = False
    new_admin_token: bool = False
    check: bool = True
    dry_run: bool = False
    setup: bool = True


def read_options(words: Sequence[str] | None = None) -> DeployOptions:
    """Ends the program for a word that is not valid."""
    parser = argparse.ArgumentParser(
        prog="npm run deploy --",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--dry-run", action="store_true", help="show each step, change nothing")
    add(
        "--env",
        dest="environment",
        metavar="ENV",
        type=_environment,
        default=PRODUCTION,
        help="production (the default), staging or another name of your own",
    )
    add(
        "--account",
        metavar="ID",
        type=_matching("[0-9a-f]{32}"),
        default="",
        help="the account's id, if the login has several",
    )
    add(
        "--name",
        type=_matching(NAME),
        default="",
        help="of the Worker; default edgeneuro, or edgeneuro-ENV",
    )
    add(
        "--database",
        metavar="NAME",
        type=_matching("[A-Za-z0-9_-]{1,64}"),
        default="",
        help="of the D1 database; default the Worker's name",
    )
    add(
        "--location",
        choices=LOCATIONS,
        default="",
        help="where D1 writes, which cannot be changed later; default near this machine",
    )
    add(
        "--gateway",
        metavar="NAME",
        type=_matching("[A-Za-z0-9_-]{1,64}"),
        default="",
        help="of AI Gateway; default `default`. none: Workers AI is called directly",
    )
    add(
        "--domain",
        metavar="HOST",
        type=_matching(rf"({NAME}\.)+[a-z]{{2,63}}|{NO_DOMAIN}"),
        default="",
        help="a host name of a zone of the account, or none: workers.dev",
    )
    add(
        "--subdomain",
        metavar="NAME",
        type=_matching(NAME),
        default="",
        help="to register as NAME.workers.dev, if the account has none",
    )
    add(
        "--var",
        dest="vars",
        metavar="NAME=VALUE",
        action="append",
        type=_variable,
        default=[],
        help="set a variable of wrangler.toml for this deployment, now and later",
    )
    add(
        "--demonstration",
        action="store_true",
        help="create the demonstration agents of `npm start`, if there are no agents",
    )
    add(
        "--adopt", action="store_true", help="take over a deployment that another checkout has made"
    )
    add("--new-admin-token", action="store_true", help="replace the admin token")
    add(
        "--address",
        metavar="URL",
        type=_matching(r"https?://[^\s/]+"),
        default="",
        help="where to check the deployment, if not at its own address",
    )
    add(
        "--no-check",
        dest="check",
        action="store_false",
        help="do not ask the deployment itself at the end",
    )
    add("--no-setup", dest="setup", action="store_false", help="install nothing first")
    given = vars(parser.parse_args(words))
    return DeployOptions(**{**given, "vars": tuple(given["vars"])})


def _matching(pattern: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text and not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"{text!r} does not match {pattern}")
        return text

    return read


def _environment(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text) or text in ("local", "dev"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name for an environment: up to 31 lower-case letters, digits and"
            " hyphens; local and dev are taken"
        )
    return text


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch("[A-Z][A-Z0-9_]*", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    if len(value.encode()) > 5_000:
        raise argparse.ArgumentTypeError(f"{name} has more than the 5 KB that Cloudflare takes")
    return name, value
