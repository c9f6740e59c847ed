"""Cloudflare Access, in process, with keys of our own: who gets in, and every way to be refused."""

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.access.cloudflare_access import build_access
from edgeneuro.settings import Settings
from edgeneuro.store.usage import add_new_logs
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.access_team import AUDIENCE, CryptographyRuntime, TeamKey, encoded, part
from tests.unit.clock import Clock
from tests.unit.conftest import ADMIN_TOKEN, Answered, Product, says
from tests.unit.test_keys import create, refused

TEAM = "team.cloudflareaccess.com"
NOW = 1_800_000_000
KEY, OTHER_KEY = TeamKey("one"), TeamKey("two")
CLAIMS = {
    "iss": f"https://{TEAM}",
    "aud": [AUDIENCE],
    "email": "Ada@Example.com",
    "iat": NOW - 10,
    "nbf": NOW - 10,
    "exp": NOW + 600,
}
USERS = {"ada@example.com": "admin", "vic@example.com": "viewer", "lea@example.com": "labeler"}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


@pytest.fixture
def runtime() -> CryptographyRuntime:
    return CryptographyRuntime(KEY)


@pytest.fixture
async def guarded(
    database: SqliteDatabase, settings: Settings, runtime: CryptographyRuntime
) -> Product:
    """The product behind Access, with three users."""
    settings = replace(settings, access_team_domain=TEAM, access_aud=AUDIENCE)
    clock = Clock()
    access = build_access(settings, runtime, now=clock, monotonic=clock)
    product = Product(database, settings, clock=clock, access=access)
    for email, role in USERS.items():
        body = {"email": email, "name": "Somebody", "role": role}
        assert (await product.call("POST", "/v1/users", body)).status == 201
    return product


async def come_in(
    product: Product, token: str, method: str = "GET", path: str = "/v1/agents", **more: Any
) -> Answered:
    headers = {"cf-access-jwt-assertion": token} | more.pop("headers", {})
    return await product.call(method, path, headers=headers, key=None, **more)


def hs256_with_the_public_key() -> str:
    """The classic confusion: the public key, which everybody has, taken for an HMAC secret."""
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(CLAIMS)}"
    secret = KEY.jwk()["n"].encode()
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def with_swapped_claims() -> str:
    """Somebody else's signature on claims of one's own."""
    header, _, signature = KEY.token({**CLAIMS, "email": "vic@example.com"}).split(".")
    return f"{header}.{part(CLAIMS)}.{signature}"


async def test_a_user_is_named_by_id_and_in_the_audit_by_address(guarded: Product) -> None:
    token = KEY.token(CLAIMS)
    assert (await come_in(guarded, token)).status == 200
    body = {"id": "x", "name": "X", "description": "x"}
    assert (await come_in(guarded, token, "POST", body=body)).status == 201
    audit = (await guarded.call("GET", "/v1/audit?limit=1")).json()["data"]
    assert audit[0]["actor"] == "ada@example.com"
    guarded.gateway.enqueue(says("x"))
    routed = await come_in(guarded, token, "POST", "/v1/route", body={"query": "Who?"})
    assert routed.json()["agent"]["id"] == "x"
    [user] = (await guarded.call("GET", "/v1/users?email=ada@example.com")).json()["data"]
    assert (await guarded.logs())[0]["key_id"] == user["id"]
    assert guarded.gateway.requests[-1].metadata["key_id"] == user["id"]
    me = (await come_in(guarded, token, "GET", "/v1/me")).json()
    assert (me["id"], me["email"], me["name"]) == (user["id"], "ada@example.com", user["name"])
    await add_new_logs(guarded.database)
    for table, column in (("usage_hours", "key_id"), ("latency_hours", "key_id")):
        assert guarded.rows(f"SELECT DISTINCT {column} AS who FROM {table}") == [
            {"who": user["id"]}
        ]


async def test_people_of_one_team_do_not_share_a_session(guarded: Product) -> None:
    await guarded.call("POST", "/v1/agents", {"id": "x", "name": "X", "description": "x"})
    ada, lea = KEY.token(CLAIMS), KEY.token({**CLAIMS, "email": "lea@example.com"})
    path = "/v1/sessions/s-1"
    for token, query in ((ada, "My leave"), (lea, "My laptop")):
        assert (await come_in(guarded, token, "GET", path)).status == 404
        guarded.gateway.enqueue(says("x"))
        body = {"query": query, "session": "s-1"}
        await come_in(guarded, token, "POST", "/v1/route", body=body)
        found = (await come_in(guarded, token, "GET", path)).json()
        assert (found["previous_user"], found["turns"]) == (query, 1)
    assert [entry["context"] for entry in await guarded.logs()] == [None, None]


@pytest.mark.parametrize(
    "claims",
    [
        {**CLAIMS, "aud": AUDIENCE},
        {**CLAIMS, "aud": ["other", AUDIENCE]},
        {**CLAIMS, "exp": NOW - 59},
        {**CLAIMS, "nbf": NOW + 60},
        without("nbf"),
    ],
)
async def test_good_tokens(guarded: Product, claims: dict[str, Any]) -> None:
    assert (await come_in(guarded, KEY.token(claims))).status == 200


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (KEY.token({**CLAIMS, "exp": NOW - 60}), "access_token_expired"),
        (KEY.token({**CLAIMS, "nbf": NOW + 61}), "access_token_not_yet_valid"),
        (KEY.token({**CLAIMS, "aud": ["a" * 64]}), "access_audience_mismatch"),
        (KEY.token({**CLAIMS, "aud": []}), "access_audience_mismatch"),
        (KEY.token({**CLAIMS, "aud": {AUDIENCE: 1}}), "access_audience_mismatch"),
        (KEY.token(without("aud")), "access_audience_mismatch"),
        (KEY.token({**CLAIMS, "iss": "https://evil.example"}), "access_issuer_mismatch"),
        (KEY.token({**CLAIMS, "iss": f"https://{TEAM}/"}), "access_issuer_mismatch"),
        (KEY.token(without("iss")), "access_issuer_mismatch"),
        (KEY.token(without("email")), "access_email_missing"),
        (KEY.token({**CLAIMS, "email": ["ada@example.com"]}), "access_email_missing"),
        (KEY.token({**CLAIMS, "email": "eve@example.com"}), "unknown_user"),
        (KEY.token({**CLAIMS, "email": "\ud800@example.com"}), "unknown_user"),
        (KEY.token(without("exp")), "access_token_malformed"),
        (KEY.token({**CLAIMS, "exp": str(NOW + 60)}), "access_token_malformed"),
        (KEY.token({**CLAIMS, "exp": True}), "access_token_malformed"),
        (KEY.token({**CLAIMS, "exp": float("inf")}), "access_token_malformed"),
        (KEY.token({**CLAIMS, "exp": float("nan")}), "access_token_malformed"),
        (KEY.token({**CLAIMS, "exp": 10**400}), "access_token_malformed"),
        (KEY.token({**CLAIMS, "nbf": None}), "access_token_malformed"),
        (OTHER_KEY.token(CLAIMS), "access_key_unknown"),
        (KEY.token(CLAIMS, header={"alg": "RS256"}), "access_key_unknown"),
        (KEY.token(CLAIMS, header={"alg": "RS256", "kid": ["one"]}), "access_key_unknown"),
        (
            OTHER_KEY.token(CLAIMS, header={"alg": "RS256", "kid": "one"}),
            "access_signature_invalid",
        ),
        (with_swapped_claims(), "access_signature_invalid"),
        (KEY.token(CLAIMS, header={"alg": "none", "kid": "one"}), "access_algorithm_refused"),
        (KEY.token(CLAIMS, header={"alg": "RS512", "kid": "one"}), "access_algorithm_refused"),
        (KEY.token(CLAIMS, header={"kid": "one"}), "access_algorithm_refused"),
        (
            KEY.token(CLAIMS, header={"alg": "RS256", "kid": "one", "crit": ["b64"]}),
            "access_algorithm_refused",
        ),
        (hs256_with_the_public_key(), "access_algorithm_refused"),
        (f"{part({'alg': 'none'})}.{part(CLAIMS)}.", "access_token_malformed"),
        ("", "access_token_malformed"),
        ("a.b", "access_token_malformed"),
        ("a.b.c.d", "access_token_malformed"),
        ("a.b.c", "access_token_malformed"),
        ("töken.b.c", "access_token_malformed"),
        (f"{part([])}.{part(CLAIMS)}.aaaa", "access_token_malformed"),
        (f"{encoded(b'[' * 9_000)}.{part(CLAIMS)}.aaaa", "access_token_malformed"),
        (KEY.token({**CLAIMS, "padding": "x" * 20_000}), "access_token_malformed"),
    ],
)
async def test_everything_else_is_refused(guarded: Product, token: str, code: str) -> None:
    answered = await come_in(guarded, token)
    assert refused(answered) == (401, code)
    assert answered.headers["www-authenticate"] == "Bearer"


async def test_the_role_gives_the_scopes(guarded: Product) -> None:
    viewer = KEY.token({**CLAIMS, "email": "vic@example.com"})
    assert (await come_in(guarded, viewer)).status == 200
    assert refused(await come_in(guarded, viewer, path="/v1/users")) == (403, "missing_scope")
    changing = await come_in(guarded, viewer, "DELETE", "/v1/agents/hr")
    assert refused(changing) == (403, "missing_scope")


async def test_a_disabled_or_deleted_user_is_out_at_once(guarded: Product) -> None:
    token = KEY.token(CLAIMS)
    assert (await come_in(guarded, token)).status == 200
    users = (await guarded.call("GET", "/v1/users?email=ada@example.com")).json()["data"]
    path = f"/v1/users/{users[0]['id']}"
    await guarded.call("PATCH", path, {"enabled": False})
    assert refused(await come_in(guarded, token)) == (401, "user_disabled")
    await guarded.call("DELETE", path)
    assert refused(await come_in(guarded, token)) == (401, "unknown_user")


async def test_a_known_user_costs_no_read(guarded: Product) -> None:
    token = KEY.token(CLAIMS)
    await come_in(guarded, token, path="/v1/models")
    guarded.database.statements.clear()
    assert (await come_in(guarded, token, path="/v1/models")).status == 200
    assert guarded.database.statements == []


async def test_an_authorization_header_wins(guarded: Product) -> None:
    token, bad = KEY.token(CLAIMS), OTHER_KEY.token(CLAIMS)
    for sent, authorization, status in (
        (token, "Bearer wrong", 401),
        (token, "Basic x", 401),
        (bad, f"Bearer {ADMIN_TOKEN}", 200),
    ):
        answered = await come_in(guarded, sent, headers={"authorization": authorization})
        assert answered.status == status
    key = await create(guarded, scopes=["read"])
    answered = await come_in(
        guarded, token, path="/v1/users", headers={"authorization": f"Bearer {key['key']}"}
    )
    assert refused(answered) == (403, "missing_scope")


async def test_keys_are_fetched_once_an_hour(
    guarded: Product, runtime: CryptographyRuntime
) -> None:
    for seconds, fetches in ((0, 1), (3_599, 1), (1, 2), (10, 2)):
        guarded.clock.seconds += seconds
        claims = {**CLAIMS, "exp": guarded.clock.seconds + 60}
        assert (await come_in(guarded, KEY.token(claims))).status == 200
        assert runtime.fetched == [f"https://{TEAM}/cdn-cgi/access/certs"] * fetches


async def test_an_unknown_key_is_looked_for_once_a_minute(
    guarded: Product, runtime: CryptographyRuntime
) -> None:
    assert (await come_in(guarded, KEY.token(CLAIMS))).status == 200
    runtime.published = {"keys": [KEY.jwk(), OTHER_KEY.jwk()]}
    new = OTHER_KEY.token(CLAIMS)
    for seconds, status, fetches in ((0, 401, 1), (59, 401, 1), (1, 200, 2), (0, 200, 2)):
        guarded.clock.seconds += seconds
        assert (await come_in(guarded, new)).status == status
        assert len(runtime.fetched) == fetches
    for _ in range(5):
        await come_in(guarded, TeamKey("three").token(CLAIMS))
    assert len(runtime.fetched) == 2


async def test_a_withdrawn_key_no_longer_holds(
    guarded: Product, runtime: CryptographyRuntime
) -> None:
    assert (await come_in(guarded, KEY.token(CLAIMS))).status == 200
    runtime.published = {"keys": [OTHER_KEY.jwk()]}
    guarded.clock.seconds += 3_600
    claims = {**CLAIMS, "exp": guarded.clock.seconds + 60}
    assert refused(await come_in(guarded, KEY.token(claims))) == (401, "access_key_unknown")


async def test_kept_keys_outlast_the_certs_endpoint(
    guarded: Product, runtime: CryptographyRuntime
) -> None:
    assert (await come_in(guarded, KEY.token(CLAIMS))).status == 200
    runtime.published = None
    guarded.clock.seconds += 3_600
    claims = {**CLAIMS, "exp": guarded.clock.seconds + 60}
    assert (await come_in(guarded, KEY.token(claims))).status == 200


@pytest.mark.parametrize(
    "published",
    [None, {}, [], {"keys": "x"}, {"keys": []}, {"keys": [{**KEY.jwk(), "alg": "RS512"}, 7, {}]}],
)
async def test_without_the_teams_keys_nobody_gets_in_and_the_answer_says_so(
    guarded: Product, runtime: CryptographyRuntime, published: Any
) -> None:
    good = runtime.published
    runtime.published = published
    for _ in range(3):
        answered = await come_in(guarded, KEY.token(CLAIMS))
        assert refused(answered) == (503, "access_unavailable")
    assert len(runtime.fetched) == 1
    runtime.published = good
    guarded.clock.seconds += 5
    assert (await come_in(guarded, KEY.token(CLAIMS))).status == 200


async def test_while_d1_is_away_known_users_go_on(guarded: Product) -> None:
    known, new = KEY.token(CLAIMS), KEY.token({**CLAIMS, "email": "vic@example.com"})
    await come_in(guarded, known, path="/v1/models")
    guarded.database.failing = True
    assert (await come_in(guarded, known, path="/v1/models")).status == 200
    answered = await come_in(guarded, new, path="/v1/models")
    assert refused(answered) == (503, "database_unavailable")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 404),
        ("https://edge.example", 404),
        ("https://friend.example", 404),
        ("https://evil.example", 403),
        ("https://edge.example.evil.example", 403),
        ("null", 403),
    ],
)
async def test_other_sites_change_nothing_with_the_browsers_cookie(
    database: SqliteDatabase,
    settings: Settings,
    runtime: CryptographyRuntime,
    guarded: Product,
    origin: str | None,
    status: int,
) -> None:
    open_to_a_friend = replace(settings, allowed_origins=("https://friend.example",))
    guarded.services.identity._settings = open_to_a_friend
    headers = {"host": "edge.example"} | ({} if origin is None else {"origin": origin})
    token = KEY.token(CLAIMS)
    answered = await come_in(guarded, token, "DELETE", "/v1/agents/none", headers=headers)
    assert answered.status == status
    if status == 403:
        assert answered.json()["error"]["code"] == "cross_site_request"
    assert (await come_in(guarded, token, headers=headers)).status == 200


async def test_without_its_settings_access_lets_nobody_in(product: Product) -> None:
    answered = await come_in(product, KEY.token(CLAIMS))
    assert refused(answered) == (401, "invalid_api_key")


@pytest.mark.parametrize(("team", "audience"), [("", AUDIENCE), (TEAM, ""), ("", "")])
def test_half_configured_is_not_configured(
    settings: Settings, runtime: CryptographyRuntime, team: str, audience: str
) -> None:
    half = replace(settings, access_team_domain=team, access_aud=audience)
    assert build_access(half, runtime, now=Clock(), monotonic=Clock()) is None
