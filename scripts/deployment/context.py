"""What the steps of a deployment share, and how they are run."""

import getpass
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.deployment.api import Cloudflare
from scripts.deployment.config import config_file
from scripts.deployment.options import DeployOptions
from scripts.deployment.record import FOLDER, Record
from scripts.paths import ROOT
from scripts.steps import StepFailed, give_up

Entry = dict[str, Any]  # one line of what wrangler reports
RunWrangler = Callable[[Sequence[str]], list[Entry]]


class Terminal:
    """Where questions can be asked; without one, the options must answer them."""

    def __init__(self) -> None:
        self.is_there = sys.stdin.isatty() and sys.stdout.isatty()

    def say(self, text: str, end: str = "\n") -> None:
        print(text, end=end, flush=True)

    def ask(self, question: str) -> str:
        return input(question).strip()

    def ask_secret(self, question: str) -> str:
        return getpass.getpass(question).strip()

    def confirm(self, question: str) -> bool:
        return self.ask(f"{question} [y/N] ").lower() in ("y", "yes")


@dataclass
class Context:
    """`facts` are what steps found out for those after them; nothing of it is kept."""

    options: DeployOptions
    record: Record
    api: Cloudflare
    terminal: Terminal
    wrangler: RunWrangler
    folder: Path = FOLDER
    root: Path = ROOT
    admin_token: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep

    @property
    def account(self) -> str:
        """The path of the account in the API."""
        return f"/accounts/{self.record.account_id}"

    @property
    def config(self) -> Path:
        return config_file(self.record.environment, self.root)

    def save(self) -> None:
        """Keep the record; a dry run keeps nothing."""
        if not self.options.dry_run:
            self.record.save(self.folder)


@dataclass(frozen=True)
class Found:
    """What a step finds when it looks: nothing to do, and why, or what it would do."""

    text: str
    is_done: bool = True


@dataclass(frozen=True)
class DeployStep:
    """`look` changes nothing in the account. `make` returns what it did, in a few words."""

    title: str
    look: Callable[[Context], Found]
    make: Callable[[Context], str] | None = None


def run_deployment(context: Context, steps: Iterable[DeployStep]) -> None:
    """Do what is missing, in order; ends the program with what to do at the first failure."""
    say = context.terminal.say
    for step in steps:
        try:
            found = step.look(context)
            if found.is_done or step.make is None:
                say(f"{step.title}: {found.text}")
            elif context.options.dry_run:
                say(f"{step.title}: would {found.text}")
            else:
                say(f"{step.title}: {found.text} …", end="")
                say(f" {step.make(context)}")
            context.save()
        except StepFailed as failure:
            say("")
            give_up(step.title, failure)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            say("")
            give_up(step.title, _unknown_answer(error))


def _unknown_answer(error: Exception) -> StepFailed:
    return StepFailed(
        f"Cloudflare's API answers otherwise than this version knows ({error!r}).",
        "update this checkout (git pull) and run the same command again; if it stays, report it"
        " with the line above.",
    )
