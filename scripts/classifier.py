"""`npm run classifier -- train|list|show`: classifiers of a running product, or one learned on this
machine from a file of labels, by the very code that the product runs.

npm run classifier -- train --data labels.jsonl --agents agents.json --out model.bin
ADMIN_TOKEN=KEY npm run classifier -- train --base-url https://router.example.com
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgeneuro.classifier.agent_texts import agent_texts
from edgeneuro.classifier.calibration import MIN_LABELS, TARGET
from edgeneuro.classifier.examples import (
    Examples,
    Labelled,
)
from edgeneuro.classifier.model import Model, dumps, version
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.sources import AGENT_TEXT, HUMAN, MODEL
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import load_table
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.conversation import PreviousTurn, RouteContext
from edgeneuro.domain.dataset import MACHINE
from scripts.http import DEFAULT_BASE_URL, Answers, HttpFailed
from scripts.key import add_key_option, key_of

NO_AGENT = "none"
VISITS = 20_000  # between two words on how far it is
LOOK_SECONDS = 2.0


def main(words: Sequence[str] | None = None) -> None:
    options = read_options(words)
    try:
        options.run(options)
    except (HttpFailed, LabelsUnreadable, OSError) as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. A training in a running product continues there.")


def read_options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="npm run classifier --", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar="train|list|show")
    product = argparse.ArgumentParser(add_help=False)
    product.add_argument("--base-url", default=DEFAULT_BASE_URL, help="a running product")
    add_key_option(product)
    train = commands.add_parser("train", parents=[product], help="learn a classifier")
    train.add_argument("--data", type=Path, help="labels: JSON Lines with query and agent")
    train.add_argument("--out", type=Path, help="with --data: the file that the model goes to")
    train.add_argument("--agents", type=Path, help="with --data: the answer of GET /v1/agents")
    train.add_argument("--target", type=float, help=f"accuracy of what it answers ({TARGET})")
    train.add_argument("--min-labels", type=int, help=f"of an agent to be answered ({MIN_LABELS})")
    train.add_argument("--seed", type=int, default=0)
    train.set_defaults(run=train_somewhere)
    commands.add_parser("list", parents=[product]).set_defaults(run=list_all)
    show = commands.add_parser("show", parents=[product], help="one classifier in full")
    show.add_argument("id")
    show.set_defaults(run=show_one)
    options = parser.parse_args(words)
    if "data" in options and (options.data is None) != (options.out is None):
        parser.error("--data and --out go together: the labels, and the file for the model")
    if "data" in options and options.agents is not None and options.data is None:
        parser.error("--agents goes with --data: a running product knows its agents")
    return options


def train_somewhere(options: argparse.Namespace) -> None:
    if options.data is None:
        train_in_product(options)
    else:
        train_here(options)


def train_here(options: argparse.Namespace) -> None:
    texts = [] if options.agents is None else read_agents(options.agents)
    examples = prepare([*read_labels(options.data), *texts], load_table())
    if not examples.classes:
        raise LabelsUnreadable(
            f"{options.data}: no label names an agent; there is nothing to learn"
        )
    least = MIN_LABELS if options.min_labels is None else options.min_labels
    target = TARGET if options.target is None else options.target
    training = Training(examples, Plan(seed=options.seed, target=target, min_labels=least))
    while not training.finished:
        training.step(VISITS)
        print(".", end="", flush=True)
    model = training.model()
    print()
    report(model, examples)
    if model.calibration.refusal is not None:
        sys.exit(f"Never answered: {model.calibration.refusal}. {options.out} was not written.")
    content = dumps(model)
    options.out.write_bytes(content)
    print(f"{options.out}: {len(content):,} bytes, version {version(content)}")


class LabelsUnreadable(Exception):
    """The file is no file of labels or of agents; the text says where and why."""


def read_agents(path: Path) -> list[Labelled]:
    """The texts of the enabled agents, as the product learns from them."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        agents = [Agent.model_validate(each) for each in found["data"]]
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise LabelsUnreadable(f"{path}: is no answer of GET /v1/agents ({error!r}).") from error
    return [
        Labelled(text, agent.id, source=AGENT_TEXT)
        for agent in agents
        if agent.enabled
        for text in agent_texts(agent)
    ]


def read_labels(path: Path) -> Iterator[Labelled]:
    """Those of the train and validation parts, and machine labels, as the product takes them."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
                if "manifest" in found:
                    continue
                query = found["query"]
                agent = found["agent"] if "agent" in found else found["agent_id"]
                context = RouteContext.model_validate(found.get("context") or {})
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise LabelsUnreadable(
                    f"{path}, line {number}: needs query and agent ({error!r})."
                ) from error
            if not isinstance(query, str) or not isinstance(agent, str | None):
                raise LabelsUnreadable(f"{path}, line {number}: query and agent are texts.")
            previous = PreviousTurn.of(context)
            # As the product: what follows an unknown agent teaches nothing.
            if found.get("split") != "test" and (not previous or previous.agent is not None):
                source = MODEL if found.get("source") == MACHINE else HUMAN
                agent_id = None if agent == NO_AGENT else agent
                yield Labelled(query, agent_id, previous=previous, source=source)


def report(model: Model, examples: Examples) -> None:
    print(f"{model.labels} labels, {len(model.classes)} agents, {examples.conflicts} conflicts")
    print_metrics(model.calibration.metrics)
    for agent, reason in model.calibration.reasons.items():
        print(f"  {agent} is never answered: {reason}")
    if model.follow_ups is not None:
        print(f"follow-ups, learned of {model.follow_ups.labels} labels in conversations")
        print_metrics(model.follow_ups.figures)


def print_metrics(metrics: Mapping[str, Any]) -> None:
    for name, value in metrics.items():
        print(f"  {name:<18} {value}")


def train_in_product(options: argparse.Namespace) -> None:
    """Creates a training and waits for the cron to finish it."""
    api = Answers(options.base_url, key_of(options))
    given = {"target": options.target, "min_labels": options.min_labels, "seed": options.seed}
    body = {name: value for name, value in given.items() if value is not None}
    found = api.post("/v1/classifiers", body)
    while found["state"] in ("queued", "running"):
        time.sleep(LOOK_SECONDS)
        found = api.get(f"/v1/classifiers/{found['id']}")
        print(".", end="", flush=True)
    print()
    describe(found)
    if found["state"] != "succeeded":
        sys.exit(1)


def list_all(options: argparse.Namespace) -> None:
    api, after = Answers(options.base_url, key_of(options)), ""
    while True:
        page = api.get(f"/v1/classifiers?limit=100{after}")
        for each in page["data"]:
            mark = "*" if each["active"] else " "
            coverage = (each["metrics"] or {}).get("coverage")
            note = each["error"] or f"answers {coverage} of {each['labels']} labels"
            print(f"{mark} {each['id']}  {each['state']:<10} {each['created_at']}  {note}")
        if not page["has_more"]:
            return
        after = f"&after={page['last_id']}"


def show_one(options: argparse.Namespace) -> None:
    describe(Answers(options.base_url, key_of(options)).get(f"/v1/classifiers/{options.id}"))


def describe(found: dict[str, Any]) -> None:
    print(f"{found['id']}  {found['state']}  {found['labels']} labels  {found['error'] or ''}")
    print_metrics(found["metrics"] or {})
    for each in found["per_agent"] or ():
        reason = each["reason"] or f"from {each['threshold']:.3f} on"
        print(f"  {each['agent_id']:<24} {each['labels']:>6} labels  {reason}")


if __name__ == "__main__":
    main()
