"""The transport switches do what their names say."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support.images import image, plain_client, request
from tests.switches.net import EarlyAnswer, HalfAnswer, Lagging, close_after_each, no_such_range, reset_unheard


@pytest.fixture
def stored(lab):
    """Push an image as tag 1; return the repository."""
    lab.push("app", "1", image(1))
    return f"/v2/{lab.name}/app"


def test_half_answer_cuts_after_the_registry_acted(source, stored):
    """In the body, or in the head without a body."""
    source.add(HalfAnswer())
    with plain_client(source) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            http.get(f"{stored}/tags/list")
        with pytest.raises(httpx.RemoteProtocolError):
            http.head("/v2/")
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(f"{stored}/blobs/uploads/")

    assert [one.status for one in source.seen] == [200, 200, 202]


def test_reset_unheard_never_reaches_the_registry(lab, stored):
    """The connection breaks."""
    mark = lab.source_registry.mark()
    lab.source.add(reset_unheard())

    with pytest.raises(ConnectionResetError):
        request(lab.source, "GET", f"{stored}/tags/list")

    assert lab.source_registry.requests(mark, prefix=stored) == ()


@pytest.mark.parametrize("reset", [True, False], ids=["hangs up", "stays"])
def test_early_answer_reads_nothing_of_the_body(reset, source):
    """The connection is reset, or stays until released."""
    early = source.add(EarlyAnswer(507, "full", reset=reset))
    assert isinstance(early, EarlyAnswer)
    with plain_client(source) as http:
        # httpx tells of an answer that came before it could send everything.
        answer = http.put("/v2/x/blobs/uploads/1", content=b"x")
    early.release()

    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (507, "full")
    assert [one.bytes_up for one in source.seen] == [0]


def test_lagging_hides_a_new_manifest(lab, stored):
    """Though the registry has it."""
    lab.source.add(Lagging(60))
    content = image(1)

    put = request(lab.source, "PUT", f"{stored}/manifests/2", headers={"Content-Type": content.media_type}, body=content.raw)

    assert put[0] == 201
    assert request(lab.source, "HEAD", f"{stored}/manifests/2", headers={"Accept": content.media_type})[0] == 404
    assert request(lab.source_registry, "HEAD", f"{stored}/manifests/2", headers={"Accept": content.media_type})[0] == 200


def test_connections_close_after_each_answer(source, stored):
    """Without announcing it; ranges can be refused."""
    source.add(close_after_each())
    source.add(no_such_range(), target="/blobs/")
    status, headers, body = request(source, "GET", f"{stored}/tags/list")
    refused = request(source, "GET", f"{stored}/blobs/sha256:{'0' * 64}", headers={"Range": "bytes=1-"})

    assert (status, headers.get("connection"), json.loads(body)["tags"]) == (200, None, ["1"])
    assert refused[0] == 416
