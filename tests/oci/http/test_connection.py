"""Connections: slow, closed, or with contradicting answers."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.images import OCI, image, push
from tests.support.outcomes import errors_by_repository
from tests.support.witness import assert_served
from tests.switches import Hold, Raw
from tests.switches.content import Endless
from tests.switches.net import close_after_each, glued

MEBIBYTE = 1 << 20


@pytest.mark.row("DOS-06")
def test_dribbling_source_costs_its_image_alone(registry, second_registry, name, declare, imgsync, source):
    """A manifest and a blob that come byte by byte, never silent for long: both are given up, and the others are copied."""
    for number in range(3):
        push(registry, f"{name}/app", str(number), image(number, layers=1))
    blob = json.loads(image(1, layers=1).raw)["layers"][0]["digest"]
    dribble = {"piece": b" ", "pause_seconds": 0.05, "most_bytes": 2000}
    source.add(Endless(headers={"Content-Type": OCI["manifest"]}, **dribble), method="GET", target="/manifests/0$")
    source.add(Endless(**dribble), method="GET", target=blob)
    declare(f"[{name}/app]", "timeouts: {request: 1s}")

    began = time.monotonic()
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert second_registry.tags(f"m/{name}/app") == ["2"]
    (failed,), (unplanned,) = ran.events("image.failed"), ran.events("plan.failed")
    for line in (failed, unplanned):
        assert "less than 1 KiB/s over " in line["error"]
        assert "timeouts.request" in line["hint"]
    assert time.monotonic() - began < 40, "it would have gone on for a hundred seconds"


@pytest.mark.row("DOS-06")
def test_blob_that_began_to_dribble_goes_on_elsewhere(registry, second_registry, name, declare, imgsync, source):
    """The connection that dribbles is left, and the download goes on from the byte it had reached."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=100_000))
    blob = json.loads(content.raw)["layers"][0]["digest"]
    half = content.blobs[blob][:50_000]
    source.add(Endless(start=half, piece=content.blobs[blob][50_000:50_001], pause_seconds=0.05, most_bytes=1), method="GET", target=blob, times=1)
    source.add(Hold(after_bytes=50_001), method="GET", target=blob, times=1)
    declare(f"[{name}/app]", "timeouts: {request: 1s}", retry="{attempts: 4, interval: 0s}")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert [one.headers.get("range") for one in source.seen if blob in one.path][:2] == [None, "bytes=50001-"]
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("DOS-07")
def test_destination_that_stops_reading_is_given_up(registry, second_registry, name, declare, imgsync, destination):
    """Its window closed, it takes no byte more: the upload is given up after timeouts.request, and the other image is copied."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=16 * MEBIBYTE))
    push(registry, f"{name}/app", "2", image(2))
    blob = json.loads(content.raw)["layers"][0]["digest"].replace(":", "%3A")
    destination.add(Hold(), method="PUT", target=blob)
    declare(f"[{name}/app]", "timeouts: {request: 1s}")

    began = time.monotonic()
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    (failed,) = ran.events("image.failed")
    assert "push blob" in failed["error"]
    assert "no byte within the time allowed" in failed["error"]
    assert second_registry.tags(f"m/{name}/app") == ["2"]
    assert time.monotonic() - began < 40


@pytest.mark.row("DOS-08")
@pytest.mark.parametrize("after_bytes", [0, 70_000], ids=["after the head", "in the middle"])
def test_stalled_download_is_resumed(after_bytes, registry, second_registry, name, declare, imgsync, source):
    """A CDN that stalls is left after timeouts.request, and asked for the rest."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=200_000))
    blob = json.loads(content.raw)["layers"][0]["digest"]
    source.add(Hold(after_bytes=after_bytes), method="GET", target=blob, times=1)
    declare(f"[{name}/app]", "timeouts: {request: 1s}", retry="{attempts: 4, interval: 0s}")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert [one.headers.get("range") for one in source.seen if blob in one.path][:2] == [None, f"bytes={after_bytes}-" if after_bytes else None]
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("NET-12")
def test_connections_that_close_after_each_answer_cost_nothing(registry, second_registry, name, declare, imgsync, source, destination):
    """Neither side says that it will close, and both do: no image is lost, and no request is counted as failed."""
    contents = [push(registry, f"{name}/app", str(number), image((name, number))) for number in range(3)]
    for proxy in (source, destination):
        proxy.add(close_after_each())
    declare(f"[{name}/app]")

    assert_copied_at_first(imgsync, second_registry, f"m/{name}/app", contents)


@pytest.mark.row("NET-13")
def test_bytes_after_an_answer_belong_to_nobody(registry, second_registry, name, declare, imgsync, source):
    """What follows an answer is not taken for the next one."""
    contents = [push(registry, f"{name}/app", str(number), image((name, number))) for number in range(3)]
    source.add(glued(), method="GET")
    declare(f"[{name}/app]", "concurrency: {images: 1, blobs: 1, queries: 1}")

    assert_copied_at_first(imgsync, second_registry, f"m/{name}/app", contents)


def assert_copied_at_first(imgsync, second_registry, repository, contents):
    """One `apply` serves each of *contents* under its number, and no request had to be tried again."""
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.events("request.retried") == []
    for number, content in enumerate(contents):
        assert_served(second_registry, repository, str(number), content)


@pytest.mark.row("NET-14")
def test_answers_that_contradict_themselves_are_errors(registry, second_registry, name, declare, imgsync, source):
    """Two lengths, or a length and chunks: nobody guesses which is meant; it is tried as often as declared, and the others go on."""
    good = push(registry, f"{name}/good", "1", image(1))
    heads = {"both": b"Content-Length: 5\r\nTransfer-Encoding: chunked", "twice": b"Content-Length: 5\r\nContent-Length: 6"}
    for path, head in heads.items():
        push(registry, f"{name}/{path}", "1", image(path))
        source.add(Raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), target=f"{name}/{path}/tags/list")
    declare(f"[{name}/both, {name}/twice, {name}/good]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert set(errors) == {"both", "twice"}
    assert all("the answer is not HTTP" in error for error in errors.values())
    assert [len(source.requests(f"{name}/{path}/tags/list")) for path in heads] == [2, 2]
    assert_served(second_registry, f"m/{name}/good", "1", good)
