"""Fills an installation with data of every kind, so that every screen shows something."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx

from edgeneuro.domain.query import near_hash, query_hash
from tests.varied_questions import TOPICS, questions
from tests.waiting import until
from tests.worker.adapters import CONFIG, GEMMA, WEIGHTS, write_adapter

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
OTHER = "@cf/ibm-granite/granite-4.0-h-micro"
ADAPTER = "routing-v2"
_QUERIES = (
    "My VPN does not connect",
    "How many vacation days do I have left?",
    "My salary was not paid this month",
    "The kitchen sink on our floor is leaking",
    "Does this feature comply with the GDPR?",
    "What is the weather on Mars?",
    "My VPN does not connect",
)
SECONDS = 120


def seed_data(api: httpx.Client, folder: Path) -> None:
    for query in _QUERIES:
        decision = api.post("/v1/route", json={"query": query, "user": "ann"}).raise_for_status()
    log = f"/v1/logs/{decision.json()['id']}"
    until(lambda: api.get(log).is_success)
    feedback = {"decision_id": decision.json()["id"], "value": "up", "comment": "Thank you"}
    api.post("/v1/feedback", json=feedback).raise_for_status()
    # The cron would train too, with these labels and with those that tests give afterwards.
    api.patch("/v1/config", json={"learning": "off"}).raise_for_status()
    label(api)
    api.put(f"{log}/label", json={"agent_id": "it_support"}).raise_for_status()
    provider = {
        "id": "openai",
        "kind": "openai",
        "secret": "PROVIDER_OPENAI_KEY",
        "models": ["gpt-5-mini"],
    }
    api.post("/v1/providers", json=provider).raise_for_status()
    router = {
        "id": "support",
        "name": "Support",
        "agents": ["it_support", "facilities"],
        "default_agent": "it_support",
        "confidence_threshold": 0.8,
    }
    api.post("/v1/routers", json=router).raise_for_status()
    team = {"name": "Support", "agents": ["it_support", "hr"], "router": "support"}
    team_id = api.post("/v1/teams", json=team).raise_for_status().json()["id"]
    user = {
        "email": "ann@example.com",
        "name": "Ann Bell",
        "role": "labeler",
        "team_id": team_id,
    }
    made = api.post("/v1/users", json=user).raise_for_status().json()
    key = {
        "name": "Support portal",
        "scopes": ["route"],
        "user_id": made["id"],
        "requests_per_minute": 60,
        "monthly_token_budget": 500_000,
        "monthly_budget_usd": 1.5,
    }
    api.post("/v1/keys", json=key).raise_for_status()
    upload(api, ADAPTER, folder)
    train(api)
    evaluate(api)
    run_tests(api)
    replay(api)


def copy_log_row(database: Path, log_id: str, queries: Sequence[str]) -> None:
    """Stores each query as if it had been routed as that one was, without the CPU of routing it."""
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM logs WHERE id = ?", [log_id]).fetchone()
        row = {name: found[name] for name in found.keys() if name != "seq"}
        for number, query in enumerate(queries):
            own = {"id": f"{log_id[:-4]}{number:04x}", "query": query}
            hashes = {"query_hash": query_hash(query), "near_hash": near_hash(query)}
            copy = {**row, **own, **hashes}
            connection.execute(
                f"INSERT INTO logs ({', '.join(copy)}) VALUES ({', '.join('?' * len(copy))})",
                [*copy.values()],
            )


def label(api: httpx.Client) -> None:
    """Imports 54 labels for each of five agents and 72 out-of-scope labels; a tenth is the test
    split."""
    queries = {agent: questions(agent) for agent in TOPICS}
    lines = [{"query": query, "agent": agent} for agent in queries for query in queries[agent]]
    import_lines(api, [json.dumps(line) for line in lines])


def import_lines(api: httpx.Client, lines: list[str]) -> None:
    api.post("/v1/datasets/import", content="\n".join(lines).encode()).raise_for_status()


def upload(api: httpx.Client, name: str, folder: Path) -> str:
    adapter = write_adapter(folder)
    with (adapter / CONFIG).open("rb") as config, (adapter / WEIGHTS).open("rb") as weights:
        started = api.post(
            "/v1/loras",
            data={"name": name, "base_model": GEMMA},
            files={CONFIG: config, WEIGHTS: weights},
        ).raise_for_status()
    lora_id: str = started.json()["id"]
    ended(api, f"/v1/loras/{lora_id}")
    return lora_id


def train(api: httpx.Client) -> str:
    started = api.post("/v1/classifiers", json={}).raise_for_status()
    classifier_id: str = started.json()["id"]
    ended(api, f"/v1/classifiers/{classifier_id}")
    return classifier_id


def evaluate(api: httpx.Client) -> str:
    body = {"model_ids": [ACTIVE, OTHER], "split": "held_out", "limit": 20}
    started = api.post("/v1/evaluations", json=body).raise_for_status()
    evaluation_id: str = started.json()["id"]
    ended(api, f"/v1/evaluations/{evaluation_id}")
    return evaluation_id


def run_tests(api: httpx.Client) -> str:
    """Runs the routing tests twice with different expectations, so that some results flip."""
    tests = [
        {"query": questions(agent)[0], "expect": agent, "name": agent}
        for agent in TOPICS
        if agent != "none"
    ]
    for file in (tests, [{**each, "expect": "hr"} for each in tests]):
        api.put("/v1/routing-tests", content=json.dumps(file).encode()).raise_for_status()
        started = api.post("/v1/routing-tests/runs", json={}).raise_for_status()
        run_id: str = started.json()["id"]
        ended(api, f"/v1/routing-tests/runs/{run_id}")
    return run_id


def replay(api: httpx.Client) -> str:
    """Replays the logged queries with a rule that changes some."""
    rule = {"when": {"words": ["vpn"]}, "then": {"agent_id": "hr"}}
    body = {"from": "2020-01-01", "changes": {"rules": [rule]}}
    started = api.post("/v1/replays", json=body).raise_for_status()
    replay_id: str = started.json()["id"]
    ended(api, f"/v1/replays/{replay_id}")
    return replay_id


def ended(api: httpx.Client, path: str) -> None:
    """Waits until the cron has finished a job."""
    until(
        lambda: api.get(path).raise_for_status().json()["state"],
        lambda state: state not in ("queued", "running"),
        seconds=SECONDS,
    )
