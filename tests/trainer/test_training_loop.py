"""The loop on one machine, by real tools: labels out of the running product, a LoRA trained on
them, the rules, wrangler, a model that is registered, measured, checked, selected and asked."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trl

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.prompt import answer_text, system_message
from scripts.paths import ROOT
from scripts.wrangler import environment, wrangler
from tests.tiny_llama import make_tiny_llama, teach
from tests.trainer.exports import questions
from tests.trainer.program import train
from tests.waiting import until as wait_until
from tests.worker.product import LocalProduct
from trainer.data import Example

SECONDS = 180
AGENTS = {"tech": "laptops, VPN", "people": "leave, contracts"}
NAMES = {"it": "tech", "hr": "people"}
QUESTIONS = [(question, NAMES[agent]) for question, agent in questions(120)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama that answers in form, as a base model and as an adapter are asked, and takes one
    agent for the other."""
    offered = [agent(each) for each in AGENTS]
    asked, alone = (
        system_message(offered, confidence=confidence)["content"] for confidence in (True, False)
    )
    folder = tmp_path_factory.mktemp("base") / "tiny-llama"
    make_tiny_llama(folder, [asked, *(question for question, _ in QUESTIONS)])
    other = {"tech": "people", "people": "tech"}
    examples = [
        Example((("system", system), ("user", question)), answer, line)
        for line, (question, agent) in enumerate(QUESTIONS, 1)
        for system, answer in (
            (asked, json.dumps({"agent": other[agent], "confidence": 0.9})),
            (alone, answer_text(other[agent])),
        )
    ]
    return teach(folder, examples)


def agent(agent_id: str) -> Agent:
    return Agent.model_construct(
        id=agent_id, name=agent_id.upper(), description=AGENTS[agent_id], examples=[]
    )


@pytest.fixture(scope="module")
def own(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProduct]:
    product = LocalProduct(
        state=tmp_path_factory.mktemp("state"),
        environment={
            "LOCAL_AI_ENGINE": "transformers",
            "LOCAL_AI_MODEL": str(base),
            "OMP_NUM_THREADS": "1",  # the model is far too small for two
        },
    )
    product.start()
    try:
        yield product
    finally:
        product.stop()


@pytest.fixture(scope="module")
def labelled(own: LocalProduct) -> Iterator[httpx.Client]:
    """A client of the product with two agents and labels for them."""
    headers = {"authorization": f"Bearer {own.admin_token}"}
    with httpx.Client(base_url=own.base_url, headers=headers, timeout=SECONDS) as client:
        there = client.get("/v1/agents").json()["data"]
        for agent_id, description in AGENTS.items():
            body = {"id": agent_id, "name": agent_id.upper(), "description": description}
            client.post("/v1/agents", json=body).raise_for_status()
        client.patch("/v1/agents/tech", json={"default": True}).raise_for_status()
        for each in there:
            if each["id"] not in AGENTS:
                client.delete(f"/v1/agents/{each['id']}").raise_for_status()
        lines = [{"query": question, "agent": agent} for question, agent in QUESTIONS]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        client.post("/v1/datasets/import", content=content).raise_for_status()
        settings = {"time_budget_ms": 60_000, "promotion_min_labels": 20}
        client.patch("/v1/config", json=settings).raise_for_status()
        yield client


def run(*words: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until(client: httpx.Client, path: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        found: dict[str, Any] = client.get(path).raise_for_status().json()
        return found

    return wait_until(look, lambda found: found["state"] in states, seconds=SECONDS)


def test_from_labels_to_a_better_active_model(
    own: LocalProduct, labelled: httpx.Client, base: Path, tmp_path: Path
) -> None:
    client, name = labelled, "intents-v1"
    for split in ("train", "validation"):
        params = {"format": "prompt", "split": split}
        export = client.get("/v1/datasets/export", params=params).raise_for_status()
        (tmp_path / f"{split}.jsonl").write_bytes(export.content)
    for shape in ("prompt", "chat"):
        export = client.get("/v1/datasets/export", params={"format": shape}).raise_for_status()
        assert all(trl.is_conversational(json.loads(line)) for line in export.iter_lines())

    adapter = tmp_path / "adapter"
    trained = train(
        *("--base-model", base, "--out", adapter),
        *("--data", tmp_path / "train.jsonl", "--eval-data", tmp_path / "validation.jsonl"),
        *("--rank", "8", "--max-steps", "30", "--eval-every", "10", "--learning-rate", "0.01"),
        *("--target-modules", "o_proj", "down_proj", "--threads", "1"),
        folder=tmp_path,
    )
    assert trained.returncode == 0, trained
    assert "Held out: loss" in trained.stdout

    client.post("/v1/models/refresh").raise_for_status()
    models = client.get("/v1/models").json()["data"]
    [local] = [each["id"] for each in models if each["id"].startswith("@local/")]
    assert run("npm", "run", "adapter", "--", "check", adapter, "--base", local)
    env = environment(tmp_path / "wrangler") | {
        "CLOUDFLARE_API_BASE_URL": f"{own.local_ai_url}/client/v4",
        "CLOUDFLARE_ACCOUNT_ID": "local",
        "CLOUDFLARE_API_TOKEN": "any",
    }
    uploaded = run(*wrangler("ai", "finetune", "create", local, name, adapter), env=env)
    assert "uploaded" in uploaded

    lora = client.post("/v1/loras", json={"name": name, "base_model": local})
    assert lora.status_code == 202, lora.text
    made = until(client, f"/v1/loras/{lora.json()['id']}", "available", "failed")
    assert made["state"] == "available", made

    client.post("/v1/models/select", json={"model_id": local}).raise_for_status()
    closed = client.post("/v1/models/select", json={"model_id": name, "check": True})
    assert closed.json()["error"]["code"] == "promotion_check_failed"
    body = {"model_ids": [local, name], "split": "test"}
    begun = client.post("/v1/evaluations", json=body)
    assert begun.status_code == 202, begun.text
    found = until(client, f"/v1/evaluations/{begun.json()['id']}", "succeeded", "failed")
    assert found["state"] == "succeeded", found
    before, after = (each["accuracy"]["accuracy"] for each in found["results"]["models"])
    [pair] = found["results"]["pairs"]
    assert (before < 0.2, after > 0.8) == (True, True), found["results"]
    assert pair["low"] > 0, "better by more than chance"

    selected = client.post("/v1/models/select", json={"model_id": name, "check": True})
    assert selected.status_code == 200, selected.text
    answers = client.get(f"/v1/evaluations/{found['id']}/answers", params={"model": name})
    known = next(each for each in answers.json()["data"] if each["decided"] == "tech")
    asked = {"query": known["query"], "cache": False}  # its label would decide
    decision = client.post("/v1/route", json=asked).json()
    assert (decision["adapter"], decision["agent"]["id"]) == (name, "tech"), decision
    assert decision["confidence"] is None, "nothing states it"
    client.patch(f"/v1/models/{name}", json={"logprobs": True}).raise_for_status()
    weighed = client.post("/v1/route", json=asked).json()
    assert weighed["confidence_source"] == "logprobs", weighed
    assert 0.5 < weighed["confidence"] < 1, weighed
    assert decision["attempts"][0]["engine"] == "transformers"
