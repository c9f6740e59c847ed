"""`npm run demo`: what the router learns from 300 queries, shown on a running product in a few
minutes: route, label, learn, enable, evaluate, converse, and a table of what was measured.

Two thirds of samples/ become labels, the other third is asked before and after. At the end, also
after Ctrl-C, everything is undone (demo_changes.py): labels, classifier and settings are as before;
log rows stay. --keep leaves the labels and the enabled classifier.

    npm run demo
    ADMIN_TOKEN=KEY npm run demo -- --base-url http://localhost:9000 --keep
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import paths
from scripts.demo_changes import Changes
from scripts.demo_measures import Measured, ask, table
from scripts.demo_samples import AGENTS, Sample, dialogues, held_out, import_lines, queries
from scripts.http import DEFAULT_BASE_URL, Answers, HttpFailed
from scripts.key import add_key_option, key_of

LOOK_SECONDS = 0.5
TRAINING_SECONDS = 600


class DemoFailed(Exception):
    """The demonstration cannot go on; the text is for the user."""


@dataclass
class Progress:
    """Prints the steps: a title at once, what came of it after it."""

    of: int
    done: int = 0

    def begin(self, title: str) -> None:
        self.done += 1
        print(f"[{self.done}/{self.of}] {title:<11}", end="", flush=True)

    @staticmethod
    def count(done: int, of: int) -> None:
        if sys.stdout.isatty() and done < of:
            print(f"{done:>5}/{of}\b" + "\b" * (6 + len(str(of))), end="", flush=True)

    @staticmethod
    def end(text: str) -> None:
        print(text, flush=True)


def main(words: Sequence[str] | None = None) -> None:
    options = read_options(words)
    api = Answers(options.base_url, key_of(options))
    changes = Changes(api, options.base_url, options.notes)
    try:
        check(api)
        changes.undo()  # what a run has left that was killed, or was to keep it
        try:
            measured = run(api, changes)
        except BaseException:
            print(" undoing …", flush=True)
            changes.undo()
            raise
        if options.keep:
            changes.keep()
        else:
            changes.undo()
    except (HttpFailed, DemoFailed) as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; everything is as before.")
    print("\n" + table(measured))
    if options.keep:
        print("\nLabels and classifier stay. The next `npm run demo` removes them.")
    else:
        print("\nLabels, classifier and settings are as before. --keep leaves them in place.")


def read_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="npm run demo --", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--base-url", default=DEFAULT_BASE_URL, help="a running product")
    parser.add_argument("--keep", action="store_true", help="do not undo what was learned")
    parser.add_argument(
        "--notes", type=Path, default=paths.BUILD / "demo.json", help=argparse.SUPPRESS
    )
    add_key_option(parser)
    return parser.parse_args(words)


def check(api: Answers) -> None:
    """Raises DemoFailed if this product is none for the samples."""
    enabled = {each["id"] for each in api.get("/v1/agents?limit=100")["data"] if each["enabled"]}
    missing = sorted(AGENTS - enabled)
    if missing:
        raise DemoFailed(
            f"The samples are for the demonstration agents; {', '.join(missing)} are missing here."
            " Start a new installation beside this one and name it:\n"
            "  EDGENEURO_STATE=/tmp/demo PORT=8790 npm start\n"
            "  EDGENEURO_STATE=/tmp/demo PORT=8790 npm run demo"
        )


def run(api: Answers, changes: Changes) -> dict[str, Measured]:
    labels, asked = held_out(queries(), by=lambda sample: sample.line)
    taught, conversations = held_out(dialogues(), by=lambda sample: sample.dialogue)
    progress = Progress(of=6)
    api.delete("/v1/cache")
    changes.stop_learning()

    progress.begin("route")
    before = ask(api, asked, by_model=True, progress=progress.count)
    before_turns = ask(api, conversations, by_model=True, progress=progress.count)
    progress.end(f"{len(asked)} queries and {len(conversations)} turns decided by the model alone")

    progress.begin("label")
    found = changes.import_labels(import_lines([*labels, *taught]))
    progress.end(f"{found['labels']} labels imported, {found['new']} of them new")

    progress.begin("learn")
    classifier = train(api, changes)
    progress.end(f"classifier {classifier['id']} trained on {classifier['labels']} labels")

    progress.begin("enable")
    changes.enable(classifier["id"])
    wait_until_it_answers(api, labels)
    progress.end("the classifier answers what it is sure of, the model the rest")

    progress.begin("evaluate")
    after = ask(api, asked, by_model=False, progress=progress.count)
    progress.end(f"the same {len(asked)} queries, which were not learned")

    progress.begin("converse")
    after_turns = ask(api, conversations, by_model=False, progress=progress.count)
    count = len({sample.dialogue for sample in conversations})
    progress.end(f"the same {count} dialogues, turn by turn")
    return {
        "queries, before": before,
        "queries, after": after,
        "turns, before": before_turns,
        "turns, after": after_turns,
    }


def train(api: Answers, changes: Changes) -> dict[str, Any]:
    """Raises DemoFailed if nothing came of the training."""
    found = changes.train()
    deadline = time.monotonic() + TRAINING_SECONDS
    while found["state"] in ("queued", "running"):
        if time.monotonic() > deadline:
            raise DemoFailed(f"The training did not end within {TRAINING_SECONDS // 60} minutes.")
        time.sleep(LOOK_SECONDS)
        found = api.get(f"/v1/classifiers/{found['id']}")
    if found["state"] != "succeeded":
        raise DemoFailed(f"The training has the state {found['state']!r}: {found['error']}")
    return dict(found)


def wait_until_it_answers(api: Answers, labels: Sequence[Sample]) -> None:
    """It is loaded in the background of a request."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = api.post("/v1/route", {"query": f"{labels[0].query}?!", "explain": True})
        if found["classifier"] is not None:
            return
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
