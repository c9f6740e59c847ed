"""The product behind Cloudflare Access: its keys come over HTTPS from a team of our own on this
machine, whose certificate workerd trusts."""

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.access_team import AUDIENCE, TeamKey
from tests.worker.product import LocalProduct

KEY = TeamKey("one")
USER = "ada@example.com"


@dataclass(frozen=True)
class Guarded:
    """The product, and the domain of its team."""

    product: LocalProduct
    domain: str

    def add_user(self) -> None:
        """A viewer, the one user that the team's tokens name."""
        user = {"email": USER, "name": "Ada", "role": "viewer"}
        headers = {"authorization": f"Bearer {self.product.admin_token}"}
        made = httpx.post(
            f"{self.product.base_url}/v1/users", json=user, headers=headers, timeout=60
        )
        assert made.status_code in (201, 409), made.text  # 409: another test has added it

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good token of the user says."""
        now = int(time.time())
        given = {"iss": f"https://{self.domain}", "aud": [AUDIENCE], "email": USER}
        return {**given, "iat": now, "nbf": now, "exp": now + 600, **changes}


@contextmanager
def guarded_product(folder: Path) -> Iterator[Guarded]:
    certificate, private = _write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    with _serving(context) as port:
        domain = f"localhost:{port}"
        product = LocalProduct(
            state=folder / "state",
            environment={
                "ACCESS_TEAM_DOMAIN": domain,
                "ACCESS_AUD": AUDIENCE,
                "REQUEST_LOG": "errors",  # no test reads the lines of others
                "NODE_EXTRA_CA_CERTS": str(certificate),
            },
        )
        product.start()
        try:
            yield Guarded(product, domain)
        finally:
            product.stop()


def _write_certificate(folder: Path) -> tuple[Path, Path]:
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


class _Certs(http.server.BaseHTTPRequestHandler):
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
def _serving(context: ssl.SSLContext) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("localhost", 0), _Certs) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
