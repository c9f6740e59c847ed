"""Cloudflare Access in workerd: WebCrypto checks the tokens."""

import time

import httpx
import pytest

from tests.access_team import TeamKey, encoded, part
from tests.worker.guarded_product import KEY, Guarded
from tests.worker.product import LocalProduct

OTHER_KEY = TeamKey("other")


@pytest.fixture(autouse=True)
def user(guarded: Guarded) -> None:
    guarded.add_user()


def send(product: LocalProduct, token: str, method: str = "GET") -> httpx.Response:
    headers = {"cf-access-jwt-assertion": token}
    return httpx.request(method, f"{product.base_url}/v1/agents", headers=headers, timeout=30)


def test_a_user_of_the_team_gets_the_role(
    guarded: Guarded,
) -> None:
    token = KEY.token(guarded.claims())
    answer = send(guarded.product, token)
    assert answer.status_code == 200, answer.text
    write = send(guarded.product, token, "POST")
    assert (write.status_code, write.json()["error"]["code"]) == (403, "missing_scope")


def test_other_tokens_are_refused(guarded: Guarded) -> None:
    claims = guarded.claims()
    header, _, signature = KEY.token({**claims, "email": "eve@example.com"}).split(".")
    for token, code in (
        (f"{header}.{part(claims)}.{signature}", "access_signature_invalid"),
        (
            OTHER_KEY.token(claims, header={"alg": "RS256", "kid": "one"}),
            "access_signature_invalid",
        ),
        (f"{header}.{part(claims)}.AAAA", "access_signature_invalid"),
        (OTHER_KEY.token(claims), "access_key_unknown"),
        (KEY.token({**claims, "exp": int(time.time()) - 61}), "access_token_expired"),
        (KEY.token({**claims, "aud": ["a" * 64]}), "access_audience_mismatch"),
        (KEY.token({**claims, "email": "eve@example.com"}), "unknown_user"),
        ("a.b.c", "access_token_malformed"),
        # Refused before the signature is checked; the same isolate serves the requests around it.
        (f"{encoded(b'[' * 8_000)}.{part(claims)}.AAAA", "access_token_malformed"),
        (f"{header}.{encoded(b'[' * 8_000)}.{signature}", "access_token_malformed"),
        (OTHER_KEY.token(claims), "access_key_unknown"),
    ):
        answer = send(guarded.product, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
