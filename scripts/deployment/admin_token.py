"""The first admin key, a secret of the Worker: given, made, or there already.

One that is made is kept in a file of mode 0600 until the upload has set it: a run that is cut off
continues with the same token. A terminal is shown it once, and the file is deleted.
"""

import os
import secrets
from pathlib import Path

from scripts.deployment.adoption import in_workers_builds
from scripts.deployment.context import Context, DeployStep, Found
from scripts.options import BEARER_TOKEN, MIN_ADMIN_TOKEN
from scripts.private import TOKEN_BYTES, private_folder, read_private, write_private
from scripts.steps import StepFailed

SECRET = "ADMIN_TOKEN"
MADE, SET = "made", "set"


def token_file(context: Context) -> Path:
    return context.folder / f"{context.record.environment}.admin-token"


def find_admin_token(context: Context) -> Found:
    record, path = context.record, token_file(context)
    given = os.environ.get(SECRET, "")
    if given:
        context.admin_token = checked_token(given)
    elif path.exists() or path.is_symlink():
        context.admin_token = checked_token(_read(path))
    if context.options.new_admin_token and record.admin_token != MADE:
        return Found("replace the admin token", is_done=False)
    if record.admin_token == MADE and context.admin_token:
        return Found("made, and set with the upload")
    if _is_set(context):
        record.admin_token = SET
        return Found("there")
    if not given and in_workers_builds():
        return Found("none; set the secret ADMIN_TOKEN of the Worker in the dashboard")
    if not given and os.environ.get("CI") and not context.terminal.is_there:
        raise StepFailed(
            "The deployment has no admin token, and the file of one that was made here would be"
            " lost with this run.",
            "give the run a secret variable ADMIN_TOKEN of at least 24 characters.",
        )
    return Found("set the admin token", is_done=False)


def _is_set(context: Context) -> bool:
    path = f"{context.account}/workers/scripts/{context.record.name}/secrets"
    listed = context.api.find(path)
    return any(
        each.get("name") == SECRET
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict)
    )


def make_admin_token(context: Context) -> str:
    given = os.environ.get(SECRET, "")
    text = "taken from ADMIN_TOKEN"
    if not given and context.terminal.is_there:
        context.terminal.say("")
        question = f"A token of your own, at least {MIN_ADMIN_TOKEN} characters (empty: make one): "
        given = context.terminal.ask_secret(question)
        text = "yours is taken"
    token = checked_token(given) if given else secrets.token_urlsafe(TOKEN_BYTES)
    private_folder(context.folder)
    write_private(token_file(context), token + "\n")
    context.admin_token = token
    context.record.admin_token = MADE
    return text if given else "made"


def checked_token(token: str) -> str:
    """The token. Raises StepFailed for one that the Worker would not take."""
    if len(token) < MIN_ADMIN_TOKEN or not BEARER_TOKEN.fullmatch(token):
        raise StepFailed(
            f"The admin token needs at least {MIN_ADMIN_TOKEN} characters: letters, digits and"
            " - . _ ~ + / only.",
            "choose another, for example the output of `openssl rand -hex 16`.",
        )
    return token


def secrets_to_upload(context: Context) -> dict[str, str]:
    """What the upload sets; secrets that are not named stay as they are."""
    return {SECRET: context.admin_token} if context.record.admin_token == MADE else {}


def hand_over_token(context: Context, *, was_made: bool) -> None:
    """Say once how the token is known; a terminal shows it, all else ends up in logs."""
    path, say = token_file(context), context.terminal.say
    if not path.exists():
        return
    if os.environ.get(SECRET):
        path.unlink()  # its owner has it
    elif was_made and context.terminal.is_there:
        say(f"\nThe admin token, which is not shown again:\n\n  {_read(path)}\n")
        path.unlink()
    else:
        say(f"The admin token is in {path}. Put it into a password store and delete the file.")


def _read(path: Path) -> str:
    try:
        return read_private(path)
    except OSError as error:
        raise StepFailed(
            f"The admin token cannot be read from {path}: {error.strerror}.", "delete the file."
        ) from error


ADMIN_TOKEN = DeployStep("Admin token", find_admin_token, make_admin_token)
