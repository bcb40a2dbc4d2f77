"""Which tokens of Google prove a push of Pub/Sub."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from imgsync.errors import RegistryError
from imgsync.serve.events.google_keys import GoogleKeys, KeysUnavailableError, fetch_keys, parse_keys
from tests.support.events import ManualClock, Receiver, read_sample

AUDIENCE = "https://imgsync.company.com/events/gar"
ACCOUNT = "push@project.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_jwk(key: rsa.RSAPrivateKey, key_id: str) -> dict[str, object]:
    """Return the public half as Google publishes it."""
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": key_id, "alg": "RS256", "use": "sig"}


KEYS = json.dumps({"keys": [make_jwk(KEY, "k1")]}).encode()


def make_claims(**changes: object) -> dict[str, object]:
    """Return the claims of a token, as Google's documentation has them."""
    now = int(time.time())
    claims = {"aud": AUDIENCE, "azp": "113", "email": ACCOUNT, "email_verified": True, "exp": now + 3600, "iat": now, "iss": "https://accounts.google.com"}
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def make_token(key: object = KEY, *, headers: dict[str, object] | None = None, algorithm: str = "RS256", **changes: object) -> str:
    """Return a signed token."""
    return jwt.encode(make_claims(**changes), key, algorithm, headers={"kid": "k1"} if headers is None else headers)


def make_receiver(fetch: Callable[[], bytes] = lambda: KEYS) -> Receiver:
    """Return a receiver of a push subscription with a token."""
    receiver = Receiver("pubsub", audience=AUDIENCE, account=ACCOUNT)
    receiver.receiver._keys = GoogleKeys(receiver.clock, fetch)
    return receiver


def send(receiver: Receiver, token: str) -> int:
    """Return the status of a push with *token*."""
    return receiver.send(read_sample("pubsub-insert")[2], headers={"Authorization": f"Bearer {token}"}).status


def test_token_of_the_subscription_is_accepted():
    """With audience, account, issuer and time right."""
    receiver = make_receiver()

    assert send(receiver, make_token()) == 202
    assert receiver.hints() == ["my-project/my-repo/hello-world:1.1"]


def swap_algorithm(algorithm: str) -> str:
    """Return a token whose MAC has Google's public key as its secret."""
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": algorithm, "kid": "k1", "typ": "JWT"}, make_claims())]
    mac = hmac.new(public, b".".join(parts), hashlib.sha256).digest() if algorithm != "none" else b""
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


FORGED: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "text": lambda: "x",
    "dots": lambda: "..",
    "other key": lambda: make_token(OTHER),
    "unknown key id": lambda: make_token(OTHER, headers={"kid": "k2"}),
    "no signature": lambda: swap_algorithm("RS256"),
    "no key id": lambda: make_token(headers={}),
    "none": lambda: swap_algorithm("none"),
    "public key as secret": lambda: swap_algorithm("HS256"),
    "RS512": lambda: make_token(algorithm="RS512"),
    "elliptic": lambda: make_token(ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
    "expired": lambda: make_token(exp=int(time.time()) - 120),
    "not yet": lambda: make_token(iat=int(time.time()) + 600),
    "no expiry": lambda: make_token(exp=None),
    "no issue time": lambda: make_token(iat=None),
    "other issuer": lambda: make_token(iss="https://accounts.google.com.evil.example"),
    "no issuer": lambda: make_token(iss=None),
    "other audience": lambda: make_token(aud="https://imgsync.company.com/events/other"),
    "several audiences": lambda: make_token(aud=[AUDIENCE, "x"]),
    "other account": lambda: make_token(email="push@evil.iam.gserviceaccount.com"),
    "not verified": lambda: make_token(email_verified=False),
    "verified as text": lambda: make_token(email_verified="true"),
    "cut": lambda: make_token()[:-4],
    "changed": lambda: make_token().replace(".", ".A", 1),
    "long": lambda: make_token(x="y" * 10_000),
    "deep": lambda: base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.x",
    "key in the header": lambda: make_token(OTHER, headers={"kid": "k1", "jwk": make_jwk(OTHER, "k1")}),
    "address in the header": lambda: make_token(OTHER, headers={"kid": "k1", "jku": "http://127.0.0.1:1/keys"}),
}


@pytest.mark.row("EVT-02")
@pytest.mark.parametrize("name", FORGED)
def test_any_other_token_is_refused(name):
    """As an unknown sender; nothing is read."""
    receiver = make_receiver()

    assert send(receiver, FORGED[name]()) == 404
    assert receiver.seen == []


@pytest.mark.row("EVT-02")
def test_forged_tokens_fetch_keys_once_a_minute_at_most():
    """And none with another audience or account does."""
    fetched = []
    receiver = make_receiver(lambda: fetched.append(1) or KEYS)
    for _ in range(100):
        send(receiver, make_token(aud="x"))
        send(receiver, make_token(email="x"))
    assert fetched == []

    for number in range(100):
        assert send(receiver, make_token(OTHER, headers={"kid": f"unknown{number}"})) == 404
    assert fetched == [1]

    receiver.clock.seconds += 61
    assert send(receiver, make_token(OTHER, headers={"kid": "unknown"})) == 404
    assert fetched == [1, 1]


def test_keys_are_kept_for_an_hour():
    """And a new key is found as soon as a token has it."""
    documents = [KEYS, json.dumps({"keys": [make_jwk(OTHER, "k2")]}).encode()]
    keys = GoogleKeys(clock := ManualClock(), lambda: documents.pop(0))
    assert keys.find("k1", "") is not None

    clock.seconds += 3500
    assert keys.find("k1", "") is not None
    assert len(documents) == 1
    assert keys.find("k2", "") is not None
    assert keys.find("k1", "") is None


def test_keys_that_cannot_be_fetched_refuse_nobody():
    """503, so that Pub/Sub sends it again; once they can be fetched, 202."""
    answers = [None, KEYS]

    def fetch() -> bytes:
        answer = answers.pop(0)
        if answer is None:
            raise ValueError("no network")
        return answer

    receiver = make_receiver(fetch)
    assert send(receiver, make_token()) == 503
    assert send(receiver, make_token()) == 503
    assert receiver.counts["one"].refused == {"unavailable": 2}

    receiver.clock.seconds += 61
    assert send(receiver, make_token()) == 202


def test_old_keys_count_while_google_does_not_answer():
    """A known key goes on; an unknown one cannot be judged."""
    answers = [KEYS]
    keys = GoogleKeys(clock := ManualClock(), lambda: answers.pop(0) if answers else b"")
    assert keys.find("k1", "") is not None

    clock.seconds += 7200
    assert keys.find("k1", "") is not None
    with pytest.raises(KeysUnavailableError):
        keys.find("k2", "")


def test_keys_come_from_a_file(tmp_path):
    """Then Google is not asked; a file that is missing refuses nobody."""
    file = tmp_path / "keys.json"
    file.write_bytes(KEYS)
    receiver = Receiver("pubsub", audience=AUDIENCE, account=ACCOUNT, keys=str(file))
    assert send(receiver, make_token()) == 202
    assert send(receiver, make_token(OTHER)) == 404

    file.unlink()
    assert send(receiver, make_token(iat=1)) == 503


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b"null", b'{"keys": 1}', b'{"keys": [1, {}]}', b"[" * 5000, b'{"keys": [{"kty": "RSA", "n": "x", "e": "y"}]}'],
)
def test_document_without_keys_is_refused(document):
    """Also one that is made to break the parser."""
    with pytest.raises(ValueError):
        parse_keys(document)


def test_short_and_other_keys_are_left_out():
    """RSA of 2,048 bits or more, with an id."""
    short = make_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024), "short")
    nameless = {name: value for name, value in make_jwk(KEY, "x").items() if name != "kid"}
    elliptic = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())), "kid": "ec"}
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}

    assert set(parse_keys(json.dumps({"keys": [short, nameless, elliptic, secret, make_jwk(KEY, "k1")]}).encode())) == {"k1"}


@pytest.fixture
def google(tmp_path) -> Iterator[tuple[str, str, list[bytes]]]:
    """A server with TLS: its address, its authority, and the whole answers that it gives."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    answers: list[bytes] = []

    def answer() -> None:
        with contextlib.suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            for piece in answers:
                connection.sendall(piece)
                time.sleep(0.05 if len(answers) > 1 else 0)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}/oauth2/v3/certs", str(tmp_path / "ca.pem"), answers
    thread.join(10)


def test_keys_are_fetched_over_verified_tls(google):
    """The document is returned as it is."""
    url, ca, answers = google
    answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(KEYS) + KEYS)

    assert fetch_keys(url, ca=ca) == KEYS


def test_server_with_another_certificate_gives_no_keys(google):
    """TLS is verified."""
    with pytest.raises(RegistryError):
        fetch_keys(google[0])


@pytest.mark.row("EVT-02")
@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"],
        [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b" " * 70_000],
        [b"nonsense\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n", *[b" "] * 500],
    ],
    ids=["missing", "redirect", "large", "no http", "slow"],
)
def test_keys_are_fetched_within_limits(google, answer, monkeypatch):
    """No redirect, 64 KiB, and a whole time."""
    monkeypatch.setattr("imgsync.serve.events.google_keys._FETCH_SECONDS", 1.0)
    url, ca, answers = google
    answers.extend(answer)
    began = time.monotonic()

    with pytest.raises(RegistryError):
        fetch_keys(url, ca=ca)
    # Its server takes 25 seconds.
    assert time.monotonic() - began < 15
