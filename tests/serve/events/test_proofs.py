"""How each type of sender proves itself."""

from __future__ import annotations

import base64

import pytest

from imgsync.serve.events.senders import SENDER_TYPES
from tests.support.events import SECRET, Receiver, read_sample, sign

BODIES = {
    "distribution": "distribution-push",
    "gitlab": "gitlab-push",
    "harbor": "harbor-push",
    "ghcr": "ghcr-package",
    "quay": "quay-push",
    "dockerhub": "dockerhub-push",
    "aliyun": "aliyun-push",
    "cloudevents": "cloudevents-ecr-plain",
    "pubsub": "pubsub-insert",
    "git": "git-push",
    "generic": "generic-image",
}
PROOFS = {
    "bare": lambda body: ({"authorization": SECRET}, ""),
    "bearer": lambda body: ({"Authorization": f"bearer {SECRET}"}, ""),
    "basic": lambda body: ({"Authorization": "Basic " + base64.b64encode(f"imgsync:{SECRET}".encode()).decode()}, ""),
    "key": lambda body: ({"X-API-Key": SECRET}, ""),
    "signature": lambda body: ({"X-Hub-Signature-256": sign(body)}, ""),
    "gitlab": lambda body: ({"X-Gitlab-Token": SECRET}, ""),
    "gitea": lambda body: ({"X-Gitea-Signature": sign(body).removeprefix("sha256=")}, ""),
    "forgejo": lambda body: ({"X-Forgejo-Signature": sign(body).removeprefix("sha256=")}, ""),
    "path": lambda body: ({}, SECRET),
}
ACCEPTED = {
    "distribution": {"bare", "bearer"},
    "gitlab": {"bare", "bearer"},
    "harbor": {"bare", "bearer"},
    "ghcr": {"signature"},
    "quay": {"path"},
    "dockerhub": {"path"},
    "aliyun": {"path"},
    "cloudevents": {"bare", "bearer", "key"},
    "pubsub": {"path"},
    "git": {"signature", "gitlab", "gitea", "forgejo"},
    "generic": {"bare", "bearer", "signature", "path"},
}


@pytest.mark.row("EVT-01")
@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("kind", SENDER_TYPES)
def test_each_type_accepts_its_proofs_and_no_other(kind, proof):
    """With the same secret in another place, it is 404."""
    _, headers, body = read_sample(BODIES[kind])
    receiver = Receiver(kind)
    given, path = PROOFS[proof](body)

    assert receiver.send(body, path=path, headers={**headers, **given}).status == (202 if proof in ACCEPTED[kind] else 404)


@pytest.mark.row("EVT-01")
@pytest.mark.parametrize("kind", ["ghcr", "git", "generic"])
def test_signature_of_another_body_proves_nothing(kind):
    """Neither a changed body nor another key."""
    _, headers, body = read_sample(BODIES[kind])
    receiver = Receiver(kind)

    for signature in (sign(body + b" "), sign(body, "x" * 32), "sha256=", sign(body).upper(), sign(body).replace("sha256", "sha1")):
        assert receiver.send(body, headers={**headers, "X-Hub-Signature-256": signature}).status == 404
    assert receiver.seen == []


@pytest.mark.row("EVT-01")
def test_secret_with_other_letters_is_compared_as_bytes():
    """WSGI has the bytes of a header as characters of Latin-1."""
    receiver = Receiver("generic")

    for given in ("\u00e9", "\u4e2d", "\ud800", "x" * 100_000, "\0"):
        assert receiver.send({"image": "team/app:1"}, headers={"Authorization": given}, path=given).status == 404


def test_every_type_of_the_schema_is_received():
    """registries.yaml accepts no type that the receiver does not know."""
    import json
    from pathlib import Path

    schema = json.loads(Path("schema/registries.schema.json").read_text())

    assert set(schema["$defs"]["event"]["properties"]["type"]["enum"]) == set(SENDER_TYPES)
    assert set(ACCEPTED) == set(SENDER_TYPES)
