"""A bearer token server for a real registry; records its requests."""

from __future__ import annotations

import base64
import datetime as dt
import json
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.registry_process import LOGIN, Tls, TokenAuth

_SERVICE = "registry.harness"
_ISSUER = "harness"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One token request: scopes, service, login, and identity token of a POST."""

    scopes: tuple[str, ...]
    service: str
    login: tuple[str, str] | None
    identity_token: str = ""


class TokenServer:
    """
    A token server on loopback; `requests` are its requests.

    `refuses` is a status to refuse with, `field` the key of the token, `expires_in_seconds` the announced lifetime (None: not announced). `needs_login`
    refuses anonymous requests. A POST is answered 404 unless `identity_token` is set, which it must then contain. `grants` limits the actions of its tokens.
    """

    def __init__(self, folder: Path, *, tls: Tls | None = None) -> None:
        """Make a key of its own in *folder*; `running` serves."""
        self.requests: list[TokenRequest] = []
        self.refuses: int | None = None
        self.field = "token"
        self.expires_in_seconds: int | None = 300
        self.needs_login = False
        self.identity_token: str | None = None
        self.grants: set[str] | None = None
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _certificate(self._key)
        self.root = folder / "token-root.pem"
        self.root.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls.certificate, tls.key)
            # The handshake waits for the first read, which is in the request's own thread.
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def host(self) -> str:
        """Return HOST:PORT."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def realm(self) -> str:
        """Return the URL where tokens are asked for."""
        return f"{self.scheme}://{self.host}/token"

    @property
    def auth(self) -> TokenAuth:
        """Return what a registry must know to trust this server."""
        return TokenAuth(self.realm, _SERVICE, _ISSUER, self.root, lambda scope: self.issue(scope.split(" ")))

    def reset(self) -> None:
        """Forget requests and settings."""
        self.requests = []
        self.refuses, self.field, self.expires_in_seconds, self.needs_login, self.identity_token, self.grants = None, "token", 300, False, None, None

    def issue(self, scopes: list[str]) -> str:
        """Return a token that grants *scopes*."""
        now = int(time.time())
        asked = [(kind, name, actions.split(",")) for kind, name, actions in map(_parts, filter(None, scopes))]
        access = [
            {"type": kind, "name": name, "actions": [one for one in actions if self.grants is None or one in self.grants]} for kind, name, actions in asked
        ]
        chain = base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()
        claims = {"iss": _ISSUER, "sub": "", "aud": _SERVICE, "exp": now + 3600, "nbf": now - 60, "iat": now, "jti": uuid.uuid4().hex, "access": access}
        signed = f"{_encoded({'typ': 'JWT', 'alg': 'ES256', 'x5c': [chain]})}.{_encoded(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def answer(self, target: str, authorization: str) -> tuple[int, dict[str, Any]]:
        """Record one request and return status and document of its answer."""
        query = parse_qs(urlsplit(target).query)
        asked = TokenRequest(tuple(query.get("scope", ())), query.get("service", [""])[0], _login(authorization))
        self.requests.append(asked)
        if self.refuses is not None:
            return self.refuses, {"details": "refused by the harness"}
        if asked.login not in {None, LOGIN} or (self.needs_login and asked.login is None):
            return 401, {"details": "incorrect username or password"}
        life = {} if self.expires_in_seconds is None else {"expires_in": self.expires_in_seconds}
        return 200, {self.field: self.issue(list(asked.scopes)), **life}

    def exchange(self, form: str) -> tuple[int, dict[str, Any]]:
        """Record one POST and return status and document of its answer."""
        fields = {name: values[0] for name, values in parse_qs(form).items()}
        scopes = tuple(fields.get("scope", "").split(" "))
        self.requests.append(TokenRequest(scopes, fields.get("service", ""), None, fields.get("refresh_token", "")))
        if self.identity_token is None:
            return 404, {"details": "no such page"}
        if (fields.get("grant_type"), fields.get("refresh_token")) != ("refresh_token", self.identity_token) or not fields.get("client_id"):
            return 401, {"details": "incorrect refresh token"}
        return 200, {"access_token": self.issue(list(scopes)), "expires_in": 300}

    @contextmanager
    def running(self) -> Iterator[TokenServer]:
        """Serve while the block lasts."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def _handler(tokens: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*tokens.answer(self.path, self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            self._send(*tokens.exchange(self.rfile.read(int(self.headers["Content-Length"])).decode()))

        def _send(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
            """Print nothing; see `requests`."""

    return Handler


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "harness tokens")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - dt.timedelta(hours=1), now + dt.timedelta(hours=6))
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())


def _login(authorization: str) -> tuple[str, str] | None:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    username, _, password = base64.b64decode(given).decode().partition(":")
    return username, password


def _parts(scope: str) -> tuple[str, str, str]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return kind, name, actions


def _encoded(document: object) -> str:
    return _base64(json.dumps(document, separators=(",", ":")).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
