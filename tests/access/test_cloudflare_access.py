"""Cloudflare Access against real workerd: WebCrypto checks the tokens."""

import time

import httpx
import pytest

from tests.access_team import TeamKey, encoded, part
from tests.worker.guarded_product import KEY, Guarded
from tests.worker.product import LocalProduct

STRANGER = TeamKey("stranger")


@pytest.fixture(autouse=True)
def user(guarded: Guarded) -> None:
    guarded.add_user()


def send(product: LocalProduct, token: str, method: str = "GET") -> httpx.Response:
    headers = {"cf-access-jwt-assertion": token}
    return httpx.request(method, f"{product.base_url}/v1/agents", headers=headers, timeout=30)


def test_a_user_of_the_team_comes_in_with_the_role(
    guarded: Guarded,
) -> None:
    token = KEY.token(guarded.claims())
    answer = send(guarded.product, token)
    assert answer.status_code == 200, answer.text
    changing = send(guarded.product, token, "POST")
    assert (changing.status_code, changing.json()["error"]["code"]) == (403, "missing_scope")


def test_everybody_else_does_not(guarded: Guarded) -> None:
    good = guarded.claims()
    header, _, signature = KEY.token({**good, "email": "eve@example.com"}).split(".")
    for token, code in (
        (f"{header}.{part(good)}.{signature}", "access_signature_invalid"),
        (
            STRANGER.token(good, header={"alg": "RS256", "kid": "one"}),
            "access_signature_invalid",
        ),
        (f"{header}.{part(good)}.AAAA", "access_signature_invalid"),
        (STRANGER.token(good), "access_key_unknown"),
        (KEY.token({**good, "exp": int(time.time()) - 61}), "access_token_expired"),
        (KEY.token({**good, "aud": ["a" * 64]}), "access_audience_mismatch"),
        (KEY.token({**good, "email": "eve@example.com"}), "unknown_user"),
        ("a.b.c", "access_token_malformed"),
        # Before any signature is checked; the requests above and below are one isolate's.
        (f"{encoded(b'[' * 8_000)}.{part(good)}.AAAA", "access_token_malformed"),
        (f"{header}.{encoded(b'[' * 8_000)}.{signature}", "access_token_malformed"),
        (STRANGER.token(good), "access_key_unknown"),
    ):
        answer = send(guarded.product, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
