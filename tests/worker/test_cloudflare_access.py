"""Cloudflare Access against real workerd: WebCrypto checks the tokens, and the keys come over HTTPS
from a team of our own on this machine, whose certificate workerd is told to trust."""

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.access_team import AUDIENCE, TeamKey, part
from tests.worker.product import LocalProduct

KEY, STRANGER = TeamKey("one"), TeamKey("stranger")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The team's domain, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("team")
    certificate, private = write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    with serving(context) as port:
        yield f"localhost:{port}", certificate


@pytest.fixture(scope="module")
def guarded(
    team: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalProduct]:
    """The product behind Access, with one user."""
    domain, certificate = team
    product = LocalProduct(
        state=tmp_path_factory.mktemp("guarded"),
        environment={
            "ACCESS_TEAM_DOMAIN": domain,
            "ACCESS_AUD": AUDIENCE,
            "NODE_EXTRA_CA_CERTS": str(certificate),
        },
    )
    product.start()
    try:
        user = {"email": "ada@example.com", "name": "Ada", "role": "viewer"}
        headers = {"authorization": f"Bearer {product.admin_token}"}
        httpx.post(f"{product.base_url}/v1/users", json=user, headers=headers).raise_for_status()
        yield product
    finally:
        product.stop()


def claims(domain: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": f"https://{domain}", "aud": [AUDIENCE], "email": "ada@example.com"}
    return {**given, "iat": now, "nbf": now, "exp": now + 600, **changes}


def send(product: LocalProduct, token: str, method: str = "GET") -> httpx.Response:
    headers = {"cf-access-jwt-assertion": token}
    return httpx.request(method, f"{product.base_url}/v1/agents", headers=headers, timeout=30)


def test_a_user_of_the_team_comes_in_with_the_role(
    guarded: LocalProduct, team: tuple[str, Path]
) -> None:
    token = KEY.token(claims(team[0]))
    answer = send(guarded, token)
    assert answer.status_code == 200, answer.text
    changing = send(guarded, token, "POST")
    assert (changing.status_code, changing.json()["error"]["code"]) == (403, "missing_scope")


def test_everybody_else_does_not(guarded: LocalProduct, team: tuple[str, Path]) -> None:
    good = claims(team[0])
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
    ):
        answer = send(guarded, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)


def write_certificate(folder: Path) -> tuple[Path, Path]:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, SHA256())
    )
    certificate_path, private_path = folder / "certificate.pem", folder / "private.pem"
    certificate_path.write_bytes(certificate.public_bytes(Encoding.PEM))
    private_path.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return certificate_path, private_path


class Certs(http.server.BaseHTTPRequestHandler):
    """What https://TEAM/cdn-cgi/access/certs says."""

    def do_GET(self) -> None:
        found = self.path == "/cdn-cgi/access/certs"
        body = json.dumps({"keys": [KEY.jwk()]} if found else {}).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("localhost", 0), Certs) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
