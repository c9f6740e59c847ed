"""`npm run routing-tests -- FILE`: stores the routing tests of a file in a running product, runs
them against its configuration or a proposed one, and prints what failed and what flipped.

ADMIN_TOKEN=KEY npm run routing-tests -- routing_tests.jsonl --base-url https://router.example.com
npm run routing-tests -- routing_tests.jsonl --model intents-v2      # before it is selected
npm run routing-tests -- routing_tests.jsonl --agents agents.json    # before they are changed

It ends with 0 if all tests passed, 1 if some did not, 2 if they could not be run.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from scripts.http import DEFAULT_BASE_URL, Answers, HttpFailed
from scripts.key import add_key_option, key_of

RUNS = "/v1/routing-tests/runs"
LOOK_SECONDS = 2.0
TIMEOUT_SECONDS = 1_800.0
PASSED, SOME_FAILED, NOT_RUN = 0, 1, 2
SHOWN_CHARACTERS = 70
UNDER_WAY = ("queued", "running")


class NotRunError(Exception):
    """The tests could not be run; the text says why."""


def main(words: Sequence[str] | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
    options = read_options(words)
    try:
        passed = run_tests(options, sleep)
    except (HttpFailed, NotRunError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(NOT_RUN)
    except (ValueError, KeyError, HTTPException) as error:  # no address, or not this product's JSON
        print(f"\n{options.base_url} gave no usable answer ({error!r}).", file=sys.stderr)
        sys.exit(NOT_RUN)
    except KeyboardInterrupt:
        print("\nStopped. The run continues in the Worker.", file=sys.stderr)
        sys.exit(NOT_RUN)
    sys.exit(PASSED if passed else SOME_FAILED)


def read_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="npm run routing-tests --", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON Lines: query, expect, …")
    parser.add_argument("--base-url", "--url", default=DEFAULT_BASE_URL, help="a running product")
    add_key_option(parser)
    parser.add_argument("--model", help="as the active model, which it need not be")
    parser.add_argument("--classifier", metavar="ID", help="in front of it, none for no classifier")
    parser.add_argument("--threshold", type=float, help="the confidence threshold")
    parser.add_argument("--agents", type=Path, help="JSON array: the fields of agents that change")
    parser.add_argument("--without-labels", action="store_true", help="no label decides")
    parser.add_argument("--compare-with", metavar="RUN", help="an earlier run; else the last one")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="in seconds")
    return parser.parse_args(words)


def run_tests(options: argparse.Namespace, sleep: Callable[[float], None]) -> bool:
    """Whether all tests passed."""
    file, changes = options.file.read_bytes(), proposal(options)
    api = Answers(options.base_url, product_key(options))
    stored = api.put("/v1/routing-tests", file)
    print(f"{options.file}: {stored['tests']} tests, sha256 {stored['sha256']}")
    for agent in stored["unknown_agents"]:
        print(f"  the agent {agent!r} is named there and is not enabled")
    looks = Looks(options.timeout, sleep)
    run = begun(api, changes, looks)
    if run["sha256"] != stored["sha256"]:
        raise NotRunError(f"Other tests were stored meanwhile; {run['id']} runs those. Try again.")
    print(f"{run['id']}: model {run['active']}, classifier {run['classifier'] or 'none'}")
    against = f"?compare_with={options.compare_with}" if options.compare_with else ""
    while run["state"] in UNDER_WAY:
        looks.wait(f"{run['id']} has not ended. GET {RUNS}/{run['id']} says how far it is.")
        run = api.get(f"{RUNS}/{run['id']}{against}")
    print()
    if run["state"] != "succeeded":
        raise NotRunError(f"{run['id']} {run['state']}: {run['error'] or 'it was ended'}.")
    report(api, run, options.compare_with)
    return bool(run["passed"])


class Looks:
    """Waits between two looks, until the time is up."""

    def __init__(self, seconds: float, sleep: Callable[[float], None]) -> None:
        self._left = seconds
        self._sleep = sleep

    def wait(self, otherwise: str) -> None:
        """Raises NotRunError with this text once the time is up."""
        if self._left <= 0:
            raise NotRunError(otherwise)
        self._left -= LOOK_SECONDS
        self._sleep(LOOK_SECONDS)
        print(".", end="", flush=True)


def product_key(options: argparse.Namespace) -> str:
    try:
        return key_of(options)
    except SystemExit as error:  # which would be taken for tests that failed
        raise NotRunError(str(error)) from error


def proposal(options: argparse.Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if options.model is not None:
        body["model_id"] = options.model
    if options.classifier is not None:
        body["classifier_id"] = None if options.classifier == "none" else options.classifier
    if options.threshold is not None:
        body["confidence_threshold"] = options.threshold
    if options.without_labels:
        body["labels"] = False
    if options.agents is not None:
        try:
            body["agents"] = json.loads(options.agents.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise NotRunError(f"{options.agents} is not JSON: {error}") from error
    return body


def begun(api: Answers, changes: dict[str, Any], looks: Looks) -> dict[str, Any]:
    """The new run; waits while another one is under way."""
    while True:
        try:
            run: dict[str, Any] = api.post(RUNS, changes)
            return run
        except HttpFailed as error:
            if error.code != "run_under_way":
                raise
            looks.wait(str(error))


def report(api: Answers, run: dict[str, Any], compare_with: str | None) -> None:
    for each in results(api, run["id"], "only=failed"):
        print(f"failed   {test_name(each['test'])}\n         {outcome(each)}")
    flips = run["flips"]
    if flips is not None:
        counts = ", ".join(f"{flips[name]} {name}" for name in ("broken", "fixed", "changed"))
        print(f"Against {flips['compared_with']}: {counts}, {flips['new']} new")
        only = f"only=flips&compare_with={compare_with or flips['compared_with']}"
        for each in results(api, run["id"], only):
            change = f"{each['before_agent'] or 'none'} -> {each['agent'] or 'none'}"
            print(f"{each['flip']:<8} {test_name(each['test'])}: {change}")
    print(f"{run['outcome']['passed']} of {run['tests']} tests passed.")


def results(api: Answers, run_id: str, query: str) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        page = api.get(f"{RUNS}/{run_id}/results?limit=100&{query}{after}")
        yield from page["data"]
        if not page["has_more"]:
            return
        after = f"&after={page['last_id']}"


def test_name(test: dict[str, Any]) -> str:
    query = json.dumps(test["query"][:SHOWN_CHARACTERS], ensure_ascii=False)
    return f"{test['name']}: {query}" if "name" in test else query


def outcome(each: dict[str, Any]) -> str:
    test, wanted = each["test"], []
    if "expect" in test:
        wanted.append(f"expected {test['expect'] or 'no agent'}")
    if "must_not" in test:
        wanted.append(f"must not be {', '.join(test['must_not'])}")
    if each["failed_to_answer"]:
        return f"{'; '.join(wanted)}; no answer ({each['reason']})"
    reason = f", {each['reason']}" if each["reason"] else ""
    return f"{'; '.join(wanted)}; decided {each['agent'] or 'none'} ({each['layer']}{reason})"


if __name__ == "__main__":
    main()
