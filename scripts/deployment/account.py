"""Which account, and what is known of its plan."""

import os
from typing import Any

from scripts.deployment.api import CloudflareError
from scripts.deployment.context import Context, DeployStep, Found
from scripts.deployment.record import record_file
from scripts.steps import StepFailed

PLANS_URL = "https://dash.cloudflare.com/?to=/:account/workers/plans"


def choose_account(context: Context) -> Found:
    """The recorded one, the one that is named, or the only one; several are a question."""
    record = context.record
    named = context.options.account or os.environ.get("CLOUDFLARE_ACCOUNT_ID", "")
    if record.account_id and named and named != record.account_id:
        raise StepFailed(
            f"{record_file(record.environment, context.folder)} is of the account"
            f" {record.account_id}, and {named} is named.",
            "leave out --account and CLOUDFLARE_ACCOUNT_ID, or deploy to the other account under"
            " another --env.",
        )
    accounts = {each["id"]: str(each.get("name", "")) for each in _accounts(context)}
    wanted = named or record.account_id
    if wanted and wanted not in accounts and accounts:
        raise StepFailed(
            f"This login has no access to the account {wanted}. {_listed(accounts)}",
            "log in as somebody who has (npm run wrangler -- login), or name another: --account.",
        )
    if not wanted and not accounts:
        raise StepFailed(
            "This login may not list accounts.",
            "name yours with --account; its id is in the address of its dashboard.",
        )
    record.account_id = wanted or _one_of(context, accounts)
    return Found(f"{accounts.get(record.account_id) or 'not listed'} ({record.account_id})")


def _accounts(context: Context) -> list[dict[str, Any]]:
    """Those that the login sees: a token of one account may not list it."""
    try:
        found = context.api.list("/accounts")
    except CloudflareError as error:
        if error.status != 403:
            raise
        found = []
    return [each for each in found if isinstance(each.get("id"), str)]


def _one_of(context: Context, accounts: dict[str, str]) -> str:
    [first, *others] = accounts
    if not others:
        return first
    if not context.terminal.is_there:
        raise StepFailed(
            f"This login has several accounts. {_listed(accounts)}", "name one with --account."
        )
    ids = list(accounts)
    for number, account in enumerate(ids, 1):
        context.terminal.say(f"  {number}  {accounts[account]} ({account})")
    answer = context.terminal.ask(f"Which account? [1-{len(ids)}] ")
    if not answer.isdecimal() or not 1 <= int(answer) <= len(ids):
        raise StepFailed(f"{answer!r} is none of them.", "start again, or name one with --account.")
    return ids[int(answer) - 1]


def _listed(accounts: dict[str, str]) -> str:
    return "It has: " + ", ".join(f"{name} ({each})" for each, name in accounts.items()) + "."


def read_plan(context: Context) -> Found:
    """Only a login that may read the billing sees the plan; the others learn it from the upload."""
    try:
        subscriptions = context.api.list(f"{context.account}/subscriptions")
    except CloudflareError as error:
        if not error.is_forbidden and not error.is_missing:
            raise
        return Found("not known to this login; a plan that is too small is refused at the upload")
    names = [
        f"{plan.get('id', '')} {plan.get('public_name', '')}".lower()
        for each in subscriptions
        if isinstance(plan := each.get("rate_plan"), dict)
    ]
    if any("workers" in name and ("paid" in name or "unbound" in name) for name in names):
        return Found("Workers Paid")
    return Found(f"no subscription to Workers Paid was found; it is needed: {PLANS_URL}")


ACCOUNT = DeployStep("Account", choose_account)
PLAN = DeployStep("Plan", read_plan)
