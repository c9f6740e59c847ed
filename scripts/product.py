"""Runs one installation of the product: starts it, says when it is ready, watches it, ends it."""

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from scripts.children import local_ai_log, start_local_ai, start_wrangler, wrangler_log
from scripts.cron import LocalCron
from scripts.database import database_steps
from scripts.health import HealthProbe, health_problem
from scripts.options import Options, admin_token_file
from scripts.private import private_folder, write_private
from scripts.process_table import processes_below
from scripts.processes import Child
from scripts.signals import ignore_signals
from scripts.steps import InUse, StepFailed, only_one, run_steps
from scripts.supervision import Limits, Part, Supervisor

READY_SECONDS = 120.0
LOADING_SECONDS = 900.0  # with a model that is loaded, from a .gguf file slowly
# Where the database and wrangler's logs are. Older versions made them readable for everybody.
WRANGLERS_FOLDERS = ("v3", "registry", "wrangler-logs")
# wrangler's own talk
CHATTER = ("[wrangler:info]", "⎔ ")
LOOK_SECONDS = 0.2
# What wrangler prints when a workerd process ended, and when it could not start another one.
RUNTIME_RESTARTS = "The Workers runtime crashed unexpectedly"
RUNTIME_GAVE_UP = "The Workers runtime failed to restart"


def serve(options: Options) -> None:
    """Run the product until a signal, or until one of its processes cannot be kept running."""
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
    ai_url = f"http://127.0.0.1:{free_port()}"
    for log in (local_ai_log(options), wrangler_log(options)):
        log.unlink(missing_ok=True)
    limits = Limits(starting_seconds=starting_seconds())
    supervisor = Supervisor(parts(options, ai_url), limits, say=say)
    cron = LocalCron(options.base_url, token=options.cron_token, state=options.state)
    try:
        supervisor.start()
        while not supervisor.is_healthy():
            supervisor.look()
            time.sleep(LOOK_SECONDS)
        announce(options, ai_url)
        cron.start()
        watch(supervisor)
    finally:
        ignore_signals()
        cron.stop()
        supervisor.end()


def parts(options: Options, ai_url: str) -> list[Part]:
    return [
        Part(
            "The local AI server",
            start=lambda: start_local_ai(options, ai_url),
            probe=lambda: HealthProbe(f"{ai_url}/healthz"),
        ),
        Part(
            "The Worker",
            start=lambda: start_wrangler(options, ai_url),
            probe=lambda: HealthProbe(f"{options.base_url}/healthz"),
            # wrangler starts it again too, but then it answers nothing.
            vital=proxy_of,
            vital_name="Wrangler's proxy",
            restarts_itself=RUNTIME_RESTARTS,
            gave_up=RUNTIME_GAVE_UP,
        ),
    ]


def proxy_of(child: Child) -> int | None:
    """The process of wrangler's proxy, which it starts before that of the Worker."""
    workerds = [each for each in processes_below(child.process.pid) if each.name == "workerd"]
    return min(workerds, key=lambda each: each.started).pid if len(workerds) > 1 else None


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def starting_seconds() -> float:
    loads_model = os.environ.get("LOCAL_AI_ENGINE") == "transformers"
    return LOADING_SECONDS if loads_model else READY_SECONDS


def wait_until_ready(children: Sequence[Child], health_urls: Sequence[str]) -> None:
    seconds = starting_seconds()
    deadline = time.monotonic() + seconds
    for url in health_urls:
        while problem := health_problem(url):
            require_running(children)
            if time.monotonic() > deadline:
                log = "\n".join(f"{child.log}:\n{child.last_words()}" for child in children)
                raise StepFailed(f"{url} is not healthy after {seconds:.0f} s ({problem}).\n{log}")
            time.sleep(0.1)


def require_running(children: Sequence[Child]) -> None:
    for child in children:
        if not child.is_running():
            code = child.process.returncode
            raise StepFailed(
                f"{child.name} ended (exit code {code}). The end of {child.log}:\n"
                f"{child.last_words()}"
            )


def announce(options: Options, ai_url: str) -> None:
    """Tell the user how to call the product, and other programs where its parts are."""
    instance = {
        "base_url": options.base_url,
        "local_ai_url": ai_url,
        "cron_token": options.cron_token,
    }
    write_private(options.notes / "instance.json", json.dumps(instance))
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


def watch(supervisor: Supervisor) -> None:
    """Show what the Worker prints, all but its lines on requests that went well, until a process
    cannot be kept running."""
    while True:
        for line in supervisor.look():
            if is_shown(line):
                print(line, flush=True)
        time.sleep(LOOK_SECONDS)


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
