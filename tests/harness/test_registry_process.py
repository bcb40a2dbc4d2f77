"""The test registries work as assumed."""

from __future__ import annotations

import os

import httpx
import pytest

from tests.support.images import DOCKER, OCI, artifact, image, index, pull_raw, push, shared_base_images
from tests.support.registry_process import LOGIN, running_registry
from tests.support.witness import assert_served, raw_manifest


@pytest.mark.parametrize(
    "content", [image(), image(kind=DOCKER), index(), index(nested=True), artifact()], ids=["image", "docker", "index", "nested", "artifact"]
)
def test_what_is_pushed_is_served(content, lab):
    """The witness finds every byte."""
    push(lab.source_registry, lab.name, "1", content)

    assert_served(lab.source_registry, lab.name, "1", content)


def test_witness_rejects_another_image(lab):
    """A different image fails."""
    push(lab.source_registry, lab.name, "1", image(1))

    with pytest.raises(AssertionError):
        assert_served(lab.source_registry, lab.name, "1", image(2))


def test_images_are_the_same_each_time():
    """They depend on their parameters alone."""
    assert image(7).digest == image(7).digest
    assert image(7).digest != image(8).digest
    assert not set(image(7).all_blobs) & set(image(8).all_blobs)


def test_shared_base_images_share_one_layer():
    """The first one."""
    one, two = shared_base_images(2)

    assert set(one.blobs) & set(two.blobs) == {next(iter(one.blobs))}


def test_access_log_has_every_request(lab):
    """`requests` returns method, target and status since the mark."""
    push(lab.source_registry, lab.name, "1", image())
    mark = lab.source_registry.mark()

    pull_raw(lab.source_registry, lab.name, "1")
    pull_raw(lab.source_registry, lab.name, "2")

    assert [str(one) for one in lab.source_registry.requests(mark, prefix=f"/v2/{lab.name}/")] == [
        f"GET /v2/{lab.name}/manifests/1 200",
        f"GET /v2/{lab.name}/manifests/2 404",
    ]


def test_tags_are_listed_and_deleted(lab):
    """Tags appear and vanish."""
    content = push(lab.source_registry, lab.name, "1", image())
    assert (lab.source_registry.tags(lab.name), lab.source_registry.digest(lab.name, "1")) == (["1"], content.digest)

    lab.source_registry.delete(lab.name, content.digest)

    assert (lab.source_registry.tags(lab.name), lab.source_registry.digest(lab.name, "1")) == ([], None)


def test_registry_stops_with_its_block(tmp_path):
    """No process is left."""
    with running_registry(tmp_path) as running:
        pid = running.pid
        assert httpx.get(running.url + "/v2/", trust_env=False).status_code == 200

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_password_registry_lets_in_its_login_alone(password_registry, lab):
    """401 with a Basic challenge otherwise."""
    url = password_registry.url + "/v2/"

    refused = httpx.get(url, trust_env=False)
    wrong = httpx.get(url, auth=(LOGIN[0], "wrong"), trust_env=False)
    content = push(password_registry, lab.name, "1", image(), client=password_registry.client())

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm="harness"')
    assert wrong.status_code == 401
    assert_served(password_registry, lab.name, "1", content)


def test_token_registry_verifies_its_server_s_tokens(token_registry, token_server, lab):
    """A token for another scope is refused."""
    push(token_registry, lab.name, "1", image(), client=token_registry.client(f"repository:{lab.name}:pull,push"))
    target = f"{token_registry.url}/v2/{lab.name}/manifests/1"

    challenge = httpx.get(target, trust_env=False).headers["www-authenticate"]
    asked = httpx.get(token_server.realm, params={"service": "registry.harness", "scope": f"repository:{lab.name}:pull"}, auth=LOGIN, trust_env=False)
    opened = httpx.get(target, headers={"Authorization": f"Bearer {asked.json()['token']}", "Accept": OCI["manifest"]}, trust_env=False)
    other = httpx.get(target, headers={"Authorization": f"Bearer {token_server.issue(['repository:other:pull'])}"}, trust_env=False)

    assert challenge == f'Bearer realm="{token_server.realm}",service="registry.harness",scope="repository:{lab.name}:pull"'
    assert (asked.json()["expires_in"], opened.status_code, other.status_code) == (300, 200, 401)
    assert [(one.scopes, one.service, one.login) for one in token_server.requests] == [((f"repository:{lab.name}:pull",), "registry.harness", LOGIN)]


def test_token_server_settings(token_server):
    """Name of the token, lifetime, refusals, wrong passwords."""
    token_server.field, token_server.expires_in_seconds = "access_token", None
    named = httpx.get(token_server.realm, trust_env=False)
    wrong = httpx.get(token_server.realm, auth=("robot", "wrong"), trust_env=False)
    token_server.needs_login = True
    nobody = httpx.get(token_server.realm, trust_env=False)
    token_server.refuses = 503
    refused = httpx.get(token_server.realm, trust_env=False)

    assert set(named.json()) == {"access_token"}
    assert [wrong.status_code, nobody.status_code, refused.status_code] == [401, 401, 503]


def test_tls_registry_is_trusted_by_its_authority_alone(tls_registry, lab):
    """Without the authority the handshake fails."""
    with pytest.raises(httpx.ConnectError):
        httpx.get(tls_registry.url + "/v2/", trust_env=False)

    content = push(tls_registry, lab.name, "1", image(), client=tls_registry.client())

    assert raw_manifest(tls_registry, lab.name, "1") == content.raw
