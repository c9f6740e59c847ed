"""Runs one installation of the product: starts it, says when it is ready, watches it, ends it."""

import json
import os
import shlex
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from typing import TextIO

from scripts.children import start_local_ai, start_wrangler
from scripts.cron import LocalCron
from scripts.database import database_steps
from scripts.options import Options, admin_token_file
from scripts.private import private_folder, write_private
from scripts.processes import Child, end_all
from scripts.signals import ignore_signals
from scripts.steps import InUse, StepFailed, only_one, run_steps

READY_SECONDS = 120.0
LOADING_SECONDS = 900.0  # with a model that is loaded, from a .gguf file slowly
# Where the database and wrangler's logs are. Older versions made them readable for everybody.
WRANGLERS_FOLDERS = ("v3", "registry", "wrangler-logs")
# wrangler's own talk
CHATTER = ("[wrangler:info]", "⎔ ")
# A proxy that the environment names is for other machines than this one.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def serve(options: Options) -> None:
    """Run the product until a signal or the end of one of its processes."""
    if is_taken(options.port):
        raise StepFailed(
            f"Port {options.port} is taken by another program.",
            f"end that program, or choose another port: PORT={options.port + 1} npm start",
        )
    os.umask(0o077)  # what this program and its children write is for this user alone
    for folder in (options.notes, *(options.state / name for name in WRANGLERS_FOLDERS)):
        private_folder(folder)
    try:
        with only_one(options.notes / "lock"):
            run_steps(database_steps(options.state))
            run_children(options)
    except InUse as error:
        raise StepFailed(
            f"EdgeNeuro is already running on the data in {options.state}.",
            "end it, or choose another folder: EDGENEURO_STATE=FOLDER npm start",
        ) from error


def run_children(options: Options) -> None:
    children: list[Child] = []
    cron = LocalCron(options.base_url, token=options.cron_token, state=options.state)
    try:
        ai_url = f"http://127.0.0.1:{free_port()}"
        children.append(start_local_ai(options, ai_url))
        children.append(start_wrangler(options, ai_url))
        wait_until_ready(children, [f"{ai_url}/healthz", f"{options.base_url}/healthz"])
        announce(options, ai_url, children)
        cron.start()
        watch(children)
    finally:
        ignore_signals()
        cron.stop()
        end_all(children)


def wait_until_ready(children: Sequence[Child], health_urls: Sequence[str]) -> None:
    loads_model = os.environ.get("LOCAL_AI_ENGINE") == "transformers"
    seconds = LOADING_SECONDS if loads_model else READY_SECONDS
    deadline = time.monotonic() + seconds
    for url in health_urls:
        while problem := health_problem(url):
            require_running(children)
            if time.monotonic() > deadline:
                log = "\n".join(f"{child.log}:\n{child.last_words()}" for child in children)
                raise StepFailed(f"{url} is not healthy after {seconds:.0f} s ({problem}).\n{log}")
            time.sleep(0.1)


def health_problem(url: str) -> str:
    """Return "" for a healthy address, else what is wrong with it."""
    try:
        with DIRECT.open(url, timeout=30) as answer:
            return "" if answer.status == 200 else f"status {answer.status}"
    except OSError as error:
        return str(error)


def require_running(children: Sequence[Child]) -> None:
    for child in children:
        if not child.is_running():
            code = child.process.returncode
            raise StepFailed(
                f"{child.name} ended (exit code {code}). The end of {child.log}:\n"
                f"{child.last_words()}"
            )


def announce(options: Options, ai_url: str, children: Sequence[Child]) -> None:
    """Tell the user how to call the product, and other programs where its parts are."""
    instance = {
        "base_url": options.base_url,
        "local_ai_url": ai_url,
        "cron_token": options.cron_token,
    }
    write_private(options.notes / "instance.json", json.dumps(instance))
    for child in children:
        child.news()  # the start's own talk is not shown
    print(
        f"\nTry it:\n  export ADMIN_TOKEN={shown_token(options, sys.stdout)}"
        f"\n  curl {options.base_url}/v1/route"
        ' -H "authorization: Bearer $ADMIN_TOKEN"'
        " -H 'content-type: application/json'"
        """ -d '{"query": "My VPN does not connect"}'"""
        f"\nReady on {options.base_url}",
        flush=True,
    )


def shown_token(options: Options, output: TextIO) -> str:
    """The admin token as a shell reads it. Only a terminal gets the token itself: other output ends
    up in logs that more people read."""
    if output.isatty():
        return options.admin_token
    path = admin_token_file(options.state)
    return "…" if os.environ.get("ADMIN_TOKEN") else f'"$(cat {shlex.quote(str(path))})"'


def watch(children: Sequence[Child]) -> None:
    """Show what the Worker prints, all but its lines on requests that went well, until a process
    ends."""
    while True:
        require_running(children)
        for child in children:
            for line in child.news():
                if is_shown(line):
                    print(line, flush=True)
        time.sleep(0.2)


def is_shown(line: str) -> bool:
    """Tell whether a line of a child's log is for the terminal too: of the Worker's JSON lines only
    errors are, one a request would bury them."""
    if line.startswith(CHATTER):
        return False
    try:
        content = json.loads(line)
    except ValueError:
        return True
    return not isinstance(content, dict) or content.get("level", "error") == "error"


def is_taken(port: int) -> bool:
    """Tell whether anybody listens on the port, by IPv4 or IPv6."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            if probe.connect_ex((host, port)) == 0:
                return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
