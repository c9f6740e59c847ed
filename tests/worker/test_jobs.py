"""Background jobs over HTTP, in real workerd: listed, followed to their end, cancelled."""

import base64
import hmac
import json
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from scripts.cron import running_cron_url
from tests.varied_questions import TOPICS, questions
from tests.waiting import until
from tests.worker.labels import imported
from tests.worker.product import LocalProduct

MODEL = "@cf/meta/llama-3.2-1b-instruct"


@pytest.fixture(scope="module")
def admin(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {sandbox.admin_token}"}
    with httpx.Client(base_url=sandbox.base_url, headers=headers, timeout=60) as client:
        lines = [{"query": query, "agent": agent} for agent in TOPICS for query in questions(agent)]
        with imported(client, lines):
            yield client


def job_of(client: httpx.Client, resource_id: str) -> dict[str, Any]:
    listed = client.get("/v1/jobs").raise_for_status().json()["data"]
    [found] = [each for each in listed if each["resource_id"] == resource_id]
    job: dict[str, Any] = client.get(f"/v1/jobs/{found['id']}").raise_for_status().json()
    return job


def test_a_job_is_followed_to_its_end(admin: httpx.Client) -> None:
    body = {"model_ids": [MODEL], "split": "test", "limit": 5}
    evaluation = admin.post("/v1/evaluations", json=body).raise_for_status().json()
    job = until(
        lambda: job_of(admin, evaluation["id"]),
        lambda found: found["state"] not in ("queued", "running"),
        seconds=60,
    )
    assert (job["kind"], job["state"], job["error"]) == ("evaluation", "succeeded", None)
    assert job["progress"] == {"done": 5, "of": 5}
    assert job["started_at"] <= job["ended_at"]
    listed = admin.get("/v1/jobs", params={"kind": "evaluation", "state": "succeeded"}).json()
    assert job["id"] in [each["id"] for each in listed["data"]]
    refused = admin.post(f"/v1/jobs/{job['id']}/cancel")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "job_ended")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[Message, bytes]]]]:
    """A receiver of webhooks on this machine: its address, and what it got."""
    got: list[tuple[Message, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.headers, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/in", got
        server.shutdown()


def test_a_webhook_is_told_of_the_end_of_a_job(
    sandbox: LocalProduct,
    admin: httpx.Client,
    receiver: tuple[str, list[tuple[Message, bytes]]],
) -> None:
    url, got = receiver
    body = {"url": url, "events": ["job.ended"]}
    webhook = admin.post("/v1/webhooks", json=body).raise_for_status().json()
    path = f"/v1/webhooks/{webhook['id']}"
    tested = admin.post(f"{path}/test").raise_for_status().json()
    assert (tested["state"], tested["last_status"], len(got)) == ("delivered", 204, 1)
    run = {"model_ids": [MODEL], "split": "test", "limit": 1}
    evaluation = admin.post("/v1/evaluations", json=run).raise_for_status().json()

    def told() -> list[tuple[Message, bytes]]:
        httpx.get(running_cron_url(sandbox.state, "* * * * *"), timeout=60).raise_for_status()
        return [each for each in got if evaluation["id"].encode() in each[1]]

    [(headers, sent)] = until(told, seconds=60)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + sent
    key = base64.b64decode(webhook["secret"].removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    event = json.loads(sent)
    assert (event["type"], event["data"]["state"]) == ("job.ended", "succeeded")
    [delivery, _] = admin.get(f"{path}/deliveries").raise_for_status().json()["data"]
    assert (delivery["id"], delivery["state"]) == (headers["webhook-id"], "delivered")
    admin.delete(path).raise_for_status()


def test_a_running_job_is_cancelled(sandbox: LocalProduct, admin: httpx.Client) -> None:
    with httpx.Client(base_url=sandbox.local_ai_url or "", timeout=30) as emulator:
        slow = {"*": {"kind": "slow", "delay_ms": 400}}
        emulator.put("/_local/faults", json=slow).raise_for_status()
        try:
            body = {"model_ids": [MODEL], "split": "held_out", "limit": 60}
            evaluation = admin.post("/v1/evaluations", json=body).raise_for_status().json()
            job = until(
                lambda: job_of(admin, evaluation["id"]),
                lambda found: found["state"] == "running",
                seconds=60,
            )
            cancelled = admin.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status().json()
        finally:
            emulator.delete("/_local/faults").raise_for_status()
    assert (cancelled["kind"], cancelled["state"]) == ("evaluation", "cancelled")
    found = admin.get(f"/v1/evaluations/{evaluation['id']}").raise_for_status().json()
    assert (found["state"], found["results"]) == ("cancelled", None)


def test_an_unknown_job(admin: httpx.Client) -> None:
    assert admin.get("/v1/jobs/job_0").status_code == 404
