"""How EdgeNeuro signs in at agents' endpoints, and where it calls them."""

import json
from typing import Any

import pytest

from edgeneuro.domain.agent_endpoint import AgentAddress, address_of
from edgeneuro.domain.caller import CallerIdentity
from edgeneuro.errors import UpstreamNotConfiguredError
from edgeneuro.settings import Settings
from edgeneuro_testing.fetch import ScriptedFetch
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.identity_key import new_identity_key
from tests.unit.conftest import ADMIN_TOKEN, Answered, Product, add_agents
from tests.unit.identity_keys import checked_claims
from tests.unit.test_agent_endpoint import agent, asked, completion, endpoints, whole
from tests.unit.test_keys import create, create_user

KEY = new_identity_key()
PATH = "/v1/agents/hr"
URL = "https://agents.example.com/hr"
SECRETS = {"AGENT_TOKEN": "t-1", "AGENT_KEY": "k-1", "AGENT_ID": "i-1", "AGENT_WORD": "w-1"}
EVERYTHING = {
    "bearer": "AGENT_TOKEN",
    "api_key": {"header": "x-hr-key", "secret": "AGENT_KEY"},
    "access": {"client_id": "AGENT_ID", "client_secret": "AGENT_WORD"},
}


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    changed = {**vars(settings), "agent_hosts": ("agents.example.com",)}
    product = await add_agents(Product(database, Settings(**changed)))
    product.secrets |= SECRETS
    return product


async def move(product: Product, **fields: Any) -> Answered:
    return await product.call("PATCH", PATH, fields)


async def chat(product: Product, *, key: str = ADMIN_TOKEN, **fields: Any) -> Answered:
    body = {"model": "agent:hr", "messages": [{"role": "user", "content": "Leave?"}], **fields}
    product.fetch.enqueue(whole(completion()))
    return await product.call("POST", "/v1/chat/completions", body, key=key)


# Secrets


async def test_secrets_go_into_their_headers_and_nowhere_else(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = await move(product, endpoint=URL, auth=EVERYTHING)
    assert (moved.status, moved.json()["auth"]) == (200, {**EVERYTHING, "identity": False})
    answered = await chat(product)
    assert answered.status == 200, answered.text
    headers = product.fetch.requests[-1].headers
    assert headers["authorization"] == "Bearer t-1"
    assert headers["x-hr-key"] == "k-1"
    assert (headers["cf-access-client-id"], headers["cf-access-client-secret"]) == ("i-1", "w-1")
    assert "x-edgeneuro-signature" in headers and "x-edgeneuro-identity" not in headers
    shown = [
        answered.text,
        (await product.call("GET", "/v1/installation")).text,
        (await product.call("GET", "/v1/audit")).text,
        (await product.call("GET", "/v1/logs")).text,
        capsys.readouterr().out,
    ]
    assert not [text for text in shown for secret in SECRETS.values() if secret in text]


async def test_a_secret_that_is_not_there_is_said_beforehand(product: Product) -> None:
    moved = await move(product, endpoint=URL, auth={"bearer": "AGENT_NEW", "identity": True})
    assert moved.json()["missing_secrets"] == ["AGENT_NEW", "AGENT_IDENTITY_KEY"]
    answered = await chat(product)
    assert answered.status == 502
    assert "AGENT_NEW of the agent 'hr' is not set" in answered.json()["error"]["message"]
    assert product.fetch.requests == []
    product.secrets["AGENT_NEW"] = "n-1"
    product.secrets["AGENT_IDENTITY_KEY"] = KEY
    assert "missing_secrets" not in (await product.call("GET", PATH)).json()


async def test_another_host_gets_no_secret(product: Product) -> None:
    await move(product, endpoint=URL, auth={"bearer": "AGENT_TOKEN"})
    same = await move(product, endpoint=f"{URL}/v2", name="People")
    assert same.json()["auth"] is not None
    moved = await move(product, endpoint="https://elsewhere.example.com/hr")
    assert (moved.status, moved.json()["auth"]) == (200, None)
    refused = await move(product, auth={"bearer": "AGENT_TOKEN"})
    assert (refused.status, refused.json()["error"]["code"]) == (400, "secret_host_not_allowed")
    assert "AGENT_HOSTS" in refused.json()["error"]["message"]
    both = await move(product, endpoint=URL, auth={"bearer": "AGENT_KEY"})
    assert both.json()["auth"]["bearer"] == "AGENT_KEY"


async def test_a_row_that_was_edited_sends_no_secret(product: Product) -> None:
    await move(product, endpoint=URL, auth={"bearer": "AGENT_TOKEN"})
    for change in (
        "endpoint = 'https://elsewhere.example.com/'",
        "auth = replace(auth, 'AGENT_TOKEN', 'AGENT_SIGNING_SECRET')",
        "auth = replace(auth, 'AGENT_TOKEN', 'ADMIN_TOKEN')",
    ):
        product.execute(f"UPDATE agents SET {change} WHERE id = 'hr'")
        product.services.routing.forget()
        await chat(product)
    sent = [request.headers.get("authorization") for request in product.fetch.requests]
    assert set(sent) <= {None}


@pytest.mark.parametrize(
    ("auth", "param"),
    [
        ({}, "auth"),
        ({"bearer": "hr_token"}, "auth.bearer"),
        ({"bearer": "ADMIN_TOKEN"}, "auth.bearer"),
        ({"bearer": "AGENT_SIGNING_SECRET"}, "auth.bearer"),
        ({"bearer": "AGENT_IDENTITY_KEY"}, "auth.bearer"),
        ({"bearer": "AGENT_TOKEN", "password": "x"}, "auth.password"),
        ({"api_key": {"secret": "AGENT_KEY", "header": "X-Key"}}, "auth.api_key.header"),
        ({"api_key": {"secret": "AGENT_KEY", "header": "cookie"}}, "auth.api_key.header"),
        (
            {"api_key": {"secret": "AGENT_KEY", "header": "x-edgeneuro-agent"}},
            "auth.api_key.header",
        ),
        ({"api_key": {"secret": "AGENT_KEY", "header": "a\r\nb"}}, "auth.api_key.header"),
        ({"access": {"client_id": "AGENT_ID"}}, "auth.access.client_secret"),
    ],
)
async def test_what_auth_may_not_be(product: Product, auth: Any, param: str) -> None:
    refused = await move(product, endpoint=URL, auth=auth)
    assert (refused.status, refused.json()["error"]["param"]) == (400, param)
    assert (await product.call("GET", PATH)).json()["endpoint"] is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"auth": {"identity": True}}, "auth"),
        ({"endpoint": URL, "protocol": "handoff", "auth": {"identity": True}}, "auth"),
        ({"endpoint": "service:AGENT_HR", "protocol": "handoff"}, "endpoint"),
    ],
)
async def test_auth_needs_somebody_to_call(
    product: Product, fields: dict[str, Any], param: str
) -> None:
    refused = await move(product, **fields)
    assert (refused.status, refused.json()["error"]["param"]) == (400, param)


# Who asks


def identity(product: Product) -> dict[str, Any]:
    keys = product.services.endpoints.identity.public_keys()
    return checked_claims(product.fetch.requests[-1].headers["x-edgeneuro-identity"], keys)


async def test_an_agent_knows_who_asks(product: Product) -> None:
    product.secrets["AGENT_IDENTITY_KEY"] = KEY
    await move(product, endpoint=URL, auth={"identity": True})
    assert (await chat(product)).status == 200
    claims = identity(product)
    now = int(product.clock())
    assert claims == {
        "iss": "edgeneuro",
        "aud": "hr",
        "sub": "admin_token",
        "iat": now,
        "exp": now + 60,
        "jti": claims["jti"],
    }
    service = await create(product, scopes=["route"])
    await chat(product, key=service["key"], user="u-7")
    assert identity(product)["sub"] == "u-7"
    assert identity(product)["act"] == {"sub": service["id"]}
    team = (await product.call("POST", "/v1/teams", {"name": "finance"})).json()
    user = await create_user(product, "labeler")
    await product.call("PATCH", f"/v1/users/{user['id']}", {"team_id": team["id"]})
    own = await create(product, scopes=["route"], user_id=user["id"])
    await chat(product, key=own["key"], user="somebody else")
    found = identity(product)
    assert (found["sub"], found["email"], found["groups"]) == (
        user["id"],
        user["email"],
        ["finance"],
    )
    assert "act" not in found
    # Who has a key cannot say that he is one whom EdgeNeuro knows.
    for name in (user["id"], own["id"], "admin_token"):
        await chat(product, key=service["key"], user=name)
        claimed = identity(product)
        assert (claimed["sub"], claimed.get("act")) == (service["id"], None)


async def test_an_answer_for_one_person_is_cached_for_nobody(product: Product) -> None:
    product.secrets["AGENT_IDENTITY_KEY"] = KEY
    await move(product, endpoint=URL)
    cached: dict[str, Any] = {"edgeneuro": {"cache": True}}
    for _ in range(2):
        await chat(product, **cached)
    assert len(product.fetch.requests) == 1
    await move(product, auth={"identity": True})
    for _ in range(2):
        await chat(product, **cached)
    assert len(product.fetch.requests) == 3


async def test_the_public_keys_are_for_everybody(product: Product) -> None:
    assert (await product.call("GET", "/v1/jwks", key=None)).json() == {"keys": []}
    product.secrets["AGENT_IDENTITY_KEY"] = KEY
    product.secrets["AGENT_IDENTITY_KEY_PREVIOUS"] = new_identity_key()
    answered = await product.call("GET", "/v1/jwks", key=None)
    keys = answered.json()["keys"]
    assert [key["x"] == json.loads(KEY)["x"] for key in keys] == [True, False]
    assert keys[0]["kid"] != keys[1]["kid"]
    assert set(keys[0]) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert answered.headers["cache-control"] == "public, max-age=300"
    product.secrets["AGENT_IDENTITY_KEY"] = "no key"
    assert len((await product.call("GET", "/v1/jwks", key=None)).json()["keys"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "words",
        "[]",
        json.dumps({**json.loads(KEY), "crv": "P-384"}),
        json.dumps({**json.loads(KEY), "d": "AAAA"}),
        json.dumps({**json.loads(KEY), "x": "?" * 43}),
        json.dumps({name: value for name, value in json.loads(KEY).items() if name != "d"}),
    ],
)
async def test_a_key_that_is_none(text: str) -> None:
    fetch = ScriptedFetch()
    found = endpoints(fetch, secrets={"AGENT_IDENTITY_KEY": text})
    request = asked(caller=CallerIdentity("u-1"))
    with pytest.raises(UpstreamNotConfiguredError, match="AGENT_IDENTITY_KEY is no private key"):
        await found.run(agent(auth={"identity": True}), request)
    assert fetch.requests == []


# Where


async def test_a_binding_is_called_instead_of_the_internet() -> None:
    fetch, bound = ScriptedFetch(), ScriptedFetch(whole(completion()), whole(completion()))
    found = endpoints(fetch, bound=bound, secrets=SECRETS)
    for endpoint, url in (
        ("service:AGENT_HR/chat?v=1", "https://agent-hr.internal/chat?v=1"),
        ("service:AGENT_HR:http://hr.local:8080/chat", "http://hr.local:8080/chat"),
    ):
        await found.run(agent(endpoint=endpoint, auth={"bearer": "AGENT_TOKEN"}), asked())
        assert bound.requests[-1].url == url
        assert bound.requests[-1].headers["authorization"] == "Bearer t-1"
    with pytest.raises(UpstreamNotConfiguredError, match="no binding AGENT_OTHER"):
        await found.run(agent(endpoint="service:AGENT_OTHER"), asked())
    assert fetch.requests == []


async def test_a_program_on_this_machine_is_called_only_here(
    product: Product, settings: Settings
) -> None:
    endpoint = "http://127.0.0.1:9000/chat"
    refused = await move(product, endpoint=endpoint)
    assert (refused.status, refused.json()["error"]["param"]) == (400, "endpoint")
    assert "Only `npm start`" in refused.json()["error"]["message"]
    with pytest.raises(UpstreamNotConfiguredError, match="only with `npm start`"):
        await endpoints(ScriptedFetch()).run(agent(endpoint=endpoint), asked())
    local = Product(product.database, Settings(**{**vars(settings), "local_agents": True}))
    assert (await move(local, endpoint=endpoint)).status == 200
    assert (await chat(local)).status == 200
    assert local.fetch.requests[-1].url == endpoint
    assert (await move(local, endpoint="http://10.0.0.1/chat")).status == 400


async def test_callers_do_not_get_to_know_a_binding(product: Product) -> None:
    await move(product, endpoint="service:AGENT_HR:http://hr.secret.local/chat")
    answered = await chat(product)
    assert answered.status == 200 and "hr.secret.local" not in answered.text
    assert answered.json()["edgeneuro"]["agent"]["endpoint"] is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "service:",
        "service:HR",
        "service:agent_hr",
        "service:AGENT_HOSTS",
        "service:AGENT_SIGNING_SECRET",
        "service:DB/x",
        "service:AGENT_HR:ftp://x/",
        "service:AGENT_HR:http://user:word@x/",
        "service:AGENT_HR:http:///x",
        "service:AGENT_HR:http://x:99999/",
        "service:AGENT_HR\\x",
        "service:AGENT_HR/a b",
        "http://127.0.0.1@evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://127.0.0.1:0/",
        "http://127.1/",
        "https://localhost/",
        "http://agents.example.com/",
    ],
)
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ValueError, match=" "):
        address_of(endpoint)


def test_addresses() -> None:
    assert address_of("http://[::1]:9/x").local
    assert address_of("http://localhost").local
    assert address_of("service:AGENT_MY_HR") == AgentAddress(
        "https://agent-my-hr.internal/", "AGENT_MY_HR"
    )
    assert address_of("service:AGENT_A/x").target == address_of("service:AGENT_A/y").target
    assert address_of("service:AGENT_A/x").target != address_of("service:AGENT_B/x").target
