"""Webhooks over the API: what is shown and refused, signatures, attempts, and when they end."""

import base64
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.controlplane.jobs.schedule import EVERY_MINUTE
from edgeneuro.controlplane.webhooks.delivery import KEPT_MS, MAX_DELIVERIES, PAUSES_MS
from edgeneuro.domain.webhook import MAX_WEBHOOKS, Webhook, secret_bytes, signed_headers
from edgeneuro.settings import Settings
from edgeneuro.store.webhook_deliveries import take_due
from edgeneuro_testing.fetch import Fetched, ScriptedResponse
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product
from tests.unit.invocations import run_scheduled

URL = "https://hooks.acme.com/in?tenant=7"
OK, BROKEN = ScriptedResponse(204), ScriptedResponse(500, [b"stack trace"])


async def create(product: Product, **fields: Any) -> dict[str, Any]:
    body = {"url": URL, "events": ["job.ended"], **fields}
    answered = await product.call("POST", "/v1/webhooks", body)
    assert answered.status == 201, answered.text
    made: dict[str, Any] = answered.json()
    return made


async def shown(product: Product, path: str) -> Any:
    answered = await product.call("GET", f"/v1/webhooks{path}")
    assert answered.status == 200, answered.text
    return answered.json()


async def deliveries(product: Product, webhook: dict[str, Any], query: str = "") -> Any:
    return (await shown(product, f"/{webhook['id']}/deliveries{query}"))["data"]


def end_job(product: Product, name: str, state: str = "succeeded") -> None:
    """A job that ends, as the runner writes it."""
    now = product.clock.seconds * 1000
    product.execute(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, checkpoint)"
        f" VALUES ('{name}', 'training', 'clf_{name}', 'running', {now}, {now}, '{{}}')"
    )
    product.execute(
        f"UPDATE jobs SET state = '{state}', ended_at = {now}, error ="
        """ '{"code": "job_failed", "message": "of My VPN"}'"""
        f" WHERE id = '{name}'"
    )


async def minute(product: Product, seconds: float = 60) -> None:
    product.clock.seconds += seconds
    await run_scheduled(product.services, EVERY_MINUTE)


def verified(secret: str, sent: Fetched) -> bool:
    """As docs/data-out.md has it."""
    signed = f"{sent.headers['webhook-id']}.{sent.headers['webhook-timestamp']}.".encode()
    digest = hmac.digest(secret_bytes(secret), signed + sent.body, "sha256")
    expected = "v1," + base64.b64encode(digest).decode()
    return expected in sent.headers["webhook-signature"].split(" ")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's libraries."""
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        now=1614265330.9,
        body=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


async def test_the_secret_is_shown_once(empty_product: Product) -> None:
    for size in range(24, 64):
        own = "whsec_" + base64.b64encode(bytes(range(size))).decode()
        made = await create(empty_product, secret=own)
        assert (made["secret"], secret_bytes(made["secret"])) == (own, bytes(range(size)))
        await empty_product.call("DELETE", f"/v1/webhooks/{made['id']}")
    own = made["secret"]
    made = await create(empty_product)
    await create(empty_product, secret=own)
    secret = made["secret"]
    assert len(secret_bytes(secret)) == 32
    listed = (await shown(empty_product, ""))["data"]
    assert [each["url"] for each in listed] == [URL, URL]
    audit = (await empty_product.call("GET", "/v1/audit")).text
    texts = json.dumps(listed) + audit + json.dumps(await shown(empty_product, f"/{made['id']}"))
    assert secret not in texts and own not in texts and "secret" not in Webhook.model_fields


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"url": "http://hooks.acme.com/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "http://127.0.0.1:9000/"}, "url"),
        ({"url": "https://10.0.0.7/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://me:secret@hooks.acme.com/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["decision.made"]}, "events[0]"),
        ({"secret": "whsec_c2hvcnQ="}, "secret"),
        ({"secret": "no secret"}, "secret"),
        ({"secret": "whsec_" + "A" * 33}, "secret"),
        ({"secret": "whsec_" + "A" * 88}, "secret"),
        ({"enabled": "yes"}, "enabled"),
        ({"method": "PUT"}, "method"),
    ],
)
async def test_what_is_refused(empty_product: Product, fields: Any, param: str) -> None:
    body = {"url": URL, "events": ["job.ended"], **fields}
    answered = await empty_product.call("POST", "/v1/webhooks", body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_there_are_so_many_at_most(empty_product: Product) -> None:
    for _ in range(MAX_WEBHOOKS):
        await create(empty_product)
    body = {"url": URL, "events": ["job.ended"]}
    answered = await empty_product.call("POST", "/v1/webhooks", body)
    assert (answered.status, answered.json()["error"]["code"]) == (409, "too_many_webhooks")


async def test_an_end_of_a_job_is_delivered_once_and_signed(empty_product: Product) -> None:
    product, webhook = empty_product, await create(empty_product)
    other = await create(product, events=["budget.exhausted"])
    product.fetch.enqueue(OK)
    end_job(product, "j1", "failed")
    for _ in range(3):
        await minute(product)
    [sent] = product.fetch.requests
    assert (sent.method, sent.url, verified(webhook["secret"], sent)) == ("POST", URL, True)
    assert sent.json() == {
        "type": "job.ended",
        "timestamp": "2027-01-15T08:00:00.000Z",
        "data": {
            "job_id": "j1",
            "kind": "training",
            "resource_id": "clf_j1",
            "state": "failed",
            "error_code": "job_failed",
        },
    }
    [delivery] = await deliveries(product, webhook)
    assert delivery["id"] == sent.headers["webhook-id"]
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == (
        "delivered",
        1,
        204,
    )
    assert delivery["delivered_at"] and delivery["next_attempt_at"] is None
    assert (await shown(product, f"/{webhook['id']}"))["last_delivered_at"]
    assert await deliveries(product, other) == []


async def test_it_is_tried_again_with_growing_pauses_and_then_given_up(
    empty_product: Product,
) -> None:
    product, webhook = empty_product, await create(empty_product)
    end_job(product, "j1")
    product.fetch.enqueue(*[BROKEN] * 8)
    await minute(product, 0)
    for number, pause in enumerate(PAUSES_MS, start=1):
        await minute(product, pause / 1000 - 1)
        assert len(product.fetch.requests) == number
        await minute(product, 1)
        assert len(product.fetch.requests) == number + 1
    [delivery] = await deliveries(product, webhook, "?state=failed")
    assert (delivery["attempts"], delivery["last_error"]) == (8, "HTTP status 500.")
    assert "stack trace" not in json.dumps(delivery)
    assert (await shown(product, f"/{webhook['id']}"))["failed"] == 1
    bodies = {sent.body for sent in product.fetch.requests}
    ids = {sent.headers["webhook-id"] for sent in product.fetch.requests}
    assert (len(bodies), len(ids), len(product.fetch.requests)) == (1, 1, 8)
    await minute(product, 86_400)
    assert len(product.fetch.requests) == 8

    path = f"/v1/webhooks/{webhook['id']}/deliveries/{delivery['id']}/retry"
    assert (await product.call("POST", path)).json()["state"] == "waiting"
    product.fetch.enqueue(OK)
    await minute(product)
    assert (await deliveries(product, webhook))[0]["state"] == "delivered"
    again = await product.call("POST", path)
    assert (again.status, again.json()["error"]["code"]) == (409, "delivery_not_failed")


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (OSError("refused"), "The address could not be reached."),
        (ScriptedResponse(302, [], {"location": "http://10.0.0.1/"}), "HTTP status 302: redirects"),
        (ScriptedResponse(410), "HTTP status 410."),
    ],
)
async def test_why_it_failed(empty_product: Product, response: Any, error: str) -> None:
    webhook = await create(empty_product)
    empty_product.fetch.enqueue(response)
    tested = (await empty_product.call("POST", f"/v1/webhooks/{webhook['id']}/test")).json()
    assert tested["last_error"].startswith(error)
    assert (tested["state"], tested["attempts"]) == ("failed", 1)
    assert len(empty_product.fetch.requests) == 1
    await minute(empty_product, 3_600)
    assert len(empty_product.fetch.requests) == 1  # a test is not tried again


async def test_a_row_that_names_an_inner_address_is_not_called(empty_product: Product) -> None:
    webhook = await create(empty_product)
    empty_product.execute("UPDATE webhooks SET url = 'https://10.0.0.7/'")
    tested = (await empty_product.call("POST", f"/v1/webhooks/{webhook['id']}/test")).json()
    assert "public host" in tested["last_error"] and empty_product.fetch.requests == []


async def test_a_program_on_this_machine_is_called_only_locally(
    empty_product: Product, settings: Settings, database: SqliteDatabase
) -> None:
    local = Product(database, replace(settings, local_agents=True))
    webhook = await create(local, url="http://127.0.0.1:9000/in")
    local.fetch.enqueue(OK)
    path = f"/v1/webhooks/{webhook['id']}/test"
    assert (await local.call("POST", path)).json()["state"] == "delivered"
    refused = (await empty_product.call("POST", path)).json()
    assert refused["last_error"].startswith("The address is on this machine")
    assert empty_product.fetch.requests == []


async def test_a_test_event_is_sent_at_once(empty_product: Product) -> None:
    webhook = await create(empty_product, enabled=False)
    empty_product.fetch.enqueue(OK)
    tested = (await empty_product.call("POST", f"/v1/webhooks/{webhook['id']}/test")).json()
    assert (tested["event"], tested["state"], tested["last_status"]) == (
        "webhook.test",
        "delivered",
        204,
    )
    [sent] = empty_product.fetch.requests
    assert verified(webhook["secret"], sent)
    assert sent.json()["data"] == {"webhook_id": webhook["id"]}


async def test_both_secrets_sign_for_a_day_after_a_rotation(empty_product: Product) -> None:
    product, webhook = empty_product, await create(empty_product)
    path = f"/v1/webhooks/{webhook['id']}"
    rotated = (await product.call("POST", f"{path}/rotate")).json()
    assert rotated["previous_secret_until"] == "2027-01-16T08:00:00.000Z"
    for seconds, both in ((0, True), (86_401, False)):
        product.clock.seconds += seconds
        product.fetch.enqueue(OK)
        await product.call("POST", f"{path}/test")
        sent = product.fetch.requests[-1]
        assert verified(rotated["secret"], sent)
        assert verified(webhook["secret"], sent) is both


async def test_a_dead_address_holds_up_no_other_and_a_run_is_bounded(
    empty_product: Product,
) -> None:
    product = empty_product
    dead = await create(product, url="https://dead.acme.com/")
    end_job(product, "first")
    alive = await create(product)
    product.clock.seconds += 1
    for number in range(MAX_DELIVERIES + 5):
        end_job(product, f"j{number:02}")
    product.fetch.enqueue(OSError("refused"), *[OK] * MAX_DELIVERIES)
    await minute(product)
    sent = [each.url for each in product.fetch.requests]
    assert sent == ["https://dead.acme.com/", *[URL] * (MAX_DELIVERIES - 1)]
    assert (await shown(product, f"/{dead['id']}"))["waiting"] == MAX_DELIVERIES + 6
    assert (await shown(product, f"/{alive['id']}"))["waiting"] == 6


async def test_a_run_that_is_killed_leaves_its_delivery_to_a_later_one(
    empty_product: Product,
) -> None:
    product, webhook = empty_product, await create(empty_product)
    end_job(product, "j1")
    now_ms = product.services.now_ms()
    lease = {"now_ms": now_ms, "until_ms": now_ms + 120_000}
    assert await take_due(product.services.db, **lease, without=()) is not None
    product.fetch.enqueue(OK)
    await minute(product)
    assert product.fetch.requests == []
    await minute(product)
    [delivery] = await deliveries(product, webhook)
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 2)


async def test_a_disabled_one_gets_nothing_and_an_enabled_one_nothing_old(
    empty_product: Product,
) -> None:
    product, webhook = empty_product, await create(empty_product)
    path = f"/v1/webhooks/{webhook['id']}"
    end_job(product, "j1")
    product.clock.seconds += 1
    changed = await product.call("PATCH", path, {"enabled": False})
    assert (changed.json()["enabled"], changed.json()["waiting"]) == (False, 0)
    end_job(product, "j2")
    await product.call("PATCH", path, {"enabled": True, "url": "https://new.acme.com/"})
    end_job(product, "j3")
    product.fetch.enqueue(OK)
    await minute(product)
    assert [sent.url for sent in product.fetch.requests] == ["https://new.acme.com/"]
    assert [each["data"]["job_id"] for each in await deliveries(product, webhook)] == ["j3", "j1"]
    assert (await deliveries(product, webhook))[1]["last_error"] == "The webhook was disabled."


async def test_old_deliveries_and_those_of_a_deleted_webhook_are_gone(
    empty_product: Product,
) -> None:
    product, webhook = empty_product, await create(empty_product)
    gone = await create(product)
    end_job(product, "j1")
    deleted = await product.call("DELETE", f"/v1/webhooks/{gone['id']}")
    assert deleted.json() == {"object": "webhook.deleted", "id": gone["id"], "deleted": True}
    assert len(product.rows("SELECT id FROM webhook_deliveries")) == 1
    product.clock.seconds += KEPT_MS / 1000 + 1
    await run_scheduled(product.services, "0 * * * *")
    assert await deliveries(product, webhook) == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        body = {"enabled": True} if method == "PATCH" else None
        answered = await product.call(method, f"/v1/webhooks/{gone['id']}{path}", body)
        assert (answered.status, answered.json()["error"]["code"]) == (404, "unknown_webhook")
