"""Connections: slow, closed, or with contradicting answers."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.images import OCI, image
from tests.support.outcomes import errors_by_repository
from tests.support.witness import assert_served
from tests.switches import Hold, Raw
from tests.switches.content import Endless
from tests.switches.net import close_after_each, glued

MEBIBYTE = 1 << 20


@pytest.mark.row("DOS-06")
def test_dripping_source_fails_its_image_alone(lab):
    """A manifest and a blob that arrive byte by byte are given up; others are copied."""
    for number in range(3):
        lab.push("app", str(number), image(number, layers=1))
    blob = json.loads(image(1, layers=1).raw)["layers"][0]["digest"]
    dribble = {"piece": b" ", "pause_seconds": 0.05, "most_bytes": 2000}
    lab.source.add(Endless(headers={"Content-Type": OCI["manifest"]}, **dribble), method="GET", target="/manifests/0$")
    lab.source.add(Endless(**dribble), method="GET", target=blob)
    lab.declare("app", "timeouts: {request: 1s}")

    began = time.monotonic()
    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert lab.served_tags("app") == ["2"]
    (failed,), (unplanned,) = ran.events("image.failed"), ran.events("plan.failed")
    for line in (failed, unplanned):
        assert "less than 1 KiB/s over " in line["error"]
        assert "timeouts.request" in line["hint"]
    assert time.monotonic() - began < 40, "it would have gone on for a hundred seconds"


@pytest.mark.row("DOS-06")
def test_dripping_download_is_resumed(lab):
    """On another connection, at the byte reached."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=100_000))
    blob = json.loads(content.raw)["layers"][0]["digest"]
    half = content.blobs[blob][:50_000]
    lab.source.add(Endless(start=half, piece=content.blobs[blob][50_000:50_001], pause_seconds=0.05, most_bytes=1), method="GET", target=blob, times=1)
    lab.source.add(Hold(after_bytes=50_001), method="GET", target=blob, times=1)
    lab.declare("app", "timeouts: {request: 1s}", retry="{attempts: 4, interval: 0s}")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert [one.headers.get("range") for one in lab.source.seen if blob in one.path][:2] == [None, "bytes=50001-"]
    lab.assert_served("app", "1", content)


@pytest.mark.row("DOS-07")
def test_destination_that_stops_reading_is_given_up(lab):
    """After timeouts.request; the other image is copied."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=16 * MEBIBYTE))
    lab.push("app", "2", image(2))
    blob = json.loads(content.raw)["layers"][0]["digest"].replace(":", "%3A")
    lab.destination.add(Hold(), method="PUT", target=blob)
    lab.declare("app", "timeouts: {request: 1s}")

    began = time.monotonic()
    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    (failed,) = ran.events("image.failed")
    assert "push blob" in failed["error"]
    assert "no byte within the time allowed" in failed["error"]
    assert lab.served_tags("app") == ["2"]
    assert time.monotonic() - began < 40


@pytest.mark.row("DOS-08")
@pytest.mark.parametrize("after_bytes", [0, 70_000], ids=["after the head", "in the middle"])
def test_stalled_download_is_resumed(after_bytes, lab):
    """After timeouts.request the rest is requested."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=200_000))
    blob = json.loads(content.raw)["layers"][0]["digest"]
    lab.source.add(Hold(after_bytes=after_bytes), method="GET", target=blob, times=1)
    lab.declare("app", "timeouts: {request: 1s}", retry="{attempts: 4, interval: 0s}")

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert [one.headers.get("range") for one in lab.source.seen if blob in one.path][:2] == [None, f"bytes={after_bytes}-" if after_bytes else None]
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-12")
def test_connections_closed_after_each_response_cost_nothing(lab):
    """No image is lost, and no request counts as failed."""
    contents = [lab.push("app", str(number), image((lab.name, number))) for number in range(3)]
    for proxy in (lab.source, lab.destination):
        proxy.add(close_after_each())
    lab.declare("app")

    assert_copied_at_first(lab.run, lab.destination_registry, f"m/{lab.name}/app", contents)


@pytest.mark.row("NET-13")
def test_bytes_after_a_response_are_not_used(lab):
    """They are not taken for the next response."""
    contents = [lab.push("app", str(number), image((lab.name, number))) for number in range(3)]
    lab.source.add(glued(), method="GET")
    lab.declare("app", "concurrency: {images: 1, blobs: 1, queries: 1}")

    assert_copied_at_first(lab.run, lab.destination_registry, f"m/{lab.name}/app", contents)


def assert_copied_at_first(imgsync, second_registry, repository, contents):
    """Assert that one `apply` copies *contents* without a retry."""
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.events("request.retried") == []
    for number, content in enumerate(contents):
        assert_served(second_registry, repository, str(number), content)


@pytest.mark.row("NET-14")
def test_contradicting_lengths_are_errors(lab):
    """Two lengths, or a length and chunks: retried as declared, others continue."""
    good = lab.push("good", "1", image(1))
    heads = {"both": b"Content-Length: 5\r\nTransfer-Encoding: chunked", "twice": b"Content-Length: 5\r\nContent-Length: 6"}
    for path, head in heads.items():
        lab.push(path, "1", image(path))
        lab.source.add(Raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), target=f"{lab.name}/{path}/tags/list")
    lab.declare("both twice good")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert set(errors) == {"both", "twice"}
    assert all("the response is not HTTP" in error for error in errors.values())
    assert [len(lab.source.requests(f"{lab.name}/{path}/tags/list")) for path in heads] == [2, 2]
    lab.assert_served("good", "1", good)
