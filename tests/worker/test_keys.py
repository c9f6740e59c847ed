"""Keys, users and Idempotency-Key over HTTP."""

import uuid
from typing import Any

import httpx

from tests.waiting import until


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def create_key(client: httpx.Client, **fields: Any) -> Any:
    answer = client.post("/v1/keys", json={"name": "black box", "scopes": ["route"], **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def bearer(key: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {key['key']}"}


def test_a_key_is_made_used_and_revoked(client: httpx.Client, anonymous: httpx.Client) -> None:
    key, query = create_key(client), {"query": "My VPN does not connect"}
    routed = anonymous.post("/v1/route", json=query, headers=bearer(key))
    assert routed.json()["agent"]["id"] == "it_support"
    assert refused(anonymous.get("/v1/agents", headers=bearer(key))) == (403, "missing_scope")
    assert refused(anonymous.get("/v1/keys", headers=bearer(key))) == (403, "missing_scope")
    path = f"/v1/logs/{routed.json()['id']}"
    logged = until(lambda: client.get(path), lambda answered: answered.status_code == 200)
    assert logged.json()["key_id"] == key["id"]

    revoked = client.delete(f"/v1/keys/{key['id']}").json()
    assert revoked["revoked_at"]
    answer = anonymous.post("/v1/route", json=query, headers=bearer(key))
    assert refused(answer) == (401, "key_revoked")
    assert key["key"] not in client.get("/v1/audit?resource=key").text


def test_a_deleted_user_takes_the_key_along(client: httpx.Client, anonymous: httpx.Client) -> None:
    email = f"{uuid.uuid4().hex}@Example.com"
    user = client.post("/v1/users", json={"email": email, "name": "Vic", "role": "viewer"}).json()
    key = create_key(client, scopes=["read"], user_id=user["id"])
    assert anonymous.get("/v1/agents", headers=bearer(key)).status_code == 200
    client.patch(f"/v1/users/{user['id']}", json={"enabled": False}).raise_for_status()
    assert refused(anonymous.get("/v1/agents", headers=bearer(key))) == (401, "user_disabled")
    deleted = client.delete(f"/v1/users/{user['id']}").json()
    assert deleted["revoked_keys"] == [key["id"]]
    assert refused(anonymous.get("/v1/agents", headers=bearer(key))) == (401, "key_revoked")


def test_a_post_that_is_sent_again_is_answered_again(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"email": f"{uuid.uuid4().hex}@example.com", "name": "Ida", "role": "labeler"}
    first = client.post("/v1/users", json=body, headers=headers)
    again = client.post("/v1/users", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.text, again.headers["idempotent-replayed"]) == (first.text, "true")
    other = client.post("/v1/users", json={**body, "name": "Ada"}, headers=headers)
    assert refused(other) == (422, "idempotency_mismatch")
    found = client.get("/v1/users", params={"email": body["email"]}).json()["data"]
    assert [user["id"] for user in found] == [first.json()["id"]]


def test_a_key_is_not_shown_again(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"name": "once", "scopes": ["route"]}
    assert client.post("/v1/keys", json=body, headers=headers).status_code == 201
    again = client.post("/v1/keys", json=body, headers=headers)
    assert refused(again) == (409, "idempotency_not_replayable")


def test_a_key_uses_its_agents_and_models_alone(
    client: httpx.Client, anonymous: httpx.Client
) -> None:
    model = "@cf/ibm-granite/granite-4.0-h-micro"
    key = create_key(client, agents=["it_support"], models=[model], monthly_budget_usd=1)

    def ask(path: str, **body: Any) -> httpx.Response:
        return anonymous.post(path, json=body, headers=bearer(key))

    query = {"query": "My VPN does not connect", "cache": False}
    decision = ask("/v1/route", **query).json()
    assert (decision["agent"]["id"], decision["model"]) == ("it_support", model)
    answer = ask("/v1/route", **query, candidates=["it_support", "hr"])
    assert refused(answer) == (403, "agent_not_allowed")
    answer = ask("/v1/route", **query, explain=True)
    assert refused(answer) == (403, "missing_scope")
    talk = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "seed": 0}
    assert ask("/v1/chat/completions", **talk, model=model).status_code == 200
    assert refused(ask("/v1/chat/completions", **talk, model="agent:hr"))[0] == 403
    answer = ask("/v1/chat/completions", **talk, model="@cf/meta/llama-3.2-1b-instruct")
    assert refused(answer) == (403, "model_not_allowed")
    unpriced = create_key(client, monthly_budget_usd=1)
    body = {**talk, "model": "@cf/google/gemma-7b-it-lora"}
    answer = anonymous.post("/v1/chat/completions", json=body, headers=bearer(unpriced))
    assert refused(answer) == (400, "model_unpriced")
