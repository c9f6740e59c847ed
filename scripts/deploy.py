"""`npm run deploy`: creates what is missing in a Cloudflare account, migrates, uploads and checks.

`npm run deploy -- --help` lists the options; docs/deploy.md explains them.
"""

import os
import sys
from collections.abc import Sequence

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("EdgeNeuro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

from scripts.deployment.account import ACCOUNT, PLAN
from scripts.deployment.address import ADDRESS, DOMAIN
from scripts.deployment.admin_token import ADMIN_TOKEN, MADE, hand_over_token
from scripts.deployment.api import Cloudflare
from scripts.deployment.context import Context, DeployStep, Entry, Terminal, run_deployment
from scripts.deployment.demonstration import AGENTS
from scripts.deployment.options import DeployOptions, read_options
from scripts.deployment.record import FOLDER, PRODUCTION, read_record
from scripts.deployment.resources import DATABASE, GATEWAY, WORKER
from scripts.deployment.upload import CONFIG, TABLES, UPLOAD
from scripts.deployment.verify import CHECK, costs
from scripts.deployment.wrangler_calls import NotLoggedIn, log_in, login_token, run_wrangler
from scripts.setup import prepare_upload
from scripts.signals import Stopped, stop_on_signals
from scripts.steps import InUse, StepFailed, give_up, only_one

# What the Worker needs; nothing of it changes a Worker that runs.
PREPARE = (ACCOUNT, PLAN, WORKER, DATABASE, GATEWAY, ADDRESS, CONFIG)
# The tables come before the code that needs them, and a domain after the Worker that it leads to.
STEPS = (*PREPARE, TABLES, AGENTS, ADMIN_TOKEN, UPLOAD, DOMAIN, CHECK)


def main(words: Sequence[str] | None = None) -> None:
    run_command(read_options(words), STEPS)


def run_command(options: DeployOptions, steps: Sequence[DeployStep]) -> None:
    stop_on_signals()
    os.umask(0o077)
    try:
        if options.setup:
            prepare_upload()
        with only_one(FOLDER / f"{options.environment}.lock"):
            deploy(new_context(options), steps)
    except StepFailed as failure:
        give_up("Login", failure)
    except InUse:
        sys.exit("Another deployment of this environment is running in this checkout.")
    except (Stopped, EOFError):
        sys.exit("\nStopped. The same command continues from there.")


def new_context(options: DeployOptions) -> Context:
    """Raises StepFailed without a login, and for a record that cannot be read."""
    record = read_record(options.environment)
    terminal = Terminal()
    token = os.environ.get("CLOUDFLARE_API_TOKEN") or logged_in(terminal)

    def wrangler(words: Sequence[str]) -> list[Entry]:
        return run_wrangler(words, context.config, record.account_id)

    context = Context(options, record, Cloudflare(token), terminal, wrangler)
    return context


def logged_in(terminal: Terminal) -> str:
    """The token of wrangler's login, which a terminal can make now. Raises StepFailed."""
    try:
        return login_token()
    except NotLoggedIn:
        question = "You are not logged in to Cloudflare. Log in now, in a browser?"
        if not terminal.is_there or not terminal.confirm(question):
            raise
    log_in()
    return login_token()


def deploy(context: Context, steps: Sequence[DeployStep] = STEPS) -> None:
    """All steps, then what to know about the deployment."""
    options, say = context.options, context.terminal.say
    run_deployment(context, steps)
    if options.dry_run:
        say(f"\nNothing was changed. {costs(context)}")
        return
    hand_over_token(context, was_made=context.facts.get("token") == MADE)
    address = options.address or context.record.address or "the address of its routes"
    say(f"\nEdgeNeuro is at {address}\n{costs(context)}")
    environment = f" --env {options.environment}" if options.environment != PRODUCTION else ""
    say(f"Errors of the Worker: npm run wrangler -- tail{environment}")


if __name__ == "__main__":
    main()
