"""Cancelled requests free their connections."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgsync.errors import StoppedError
from imgsync.oci.endpoint import Credentials, DeclaredCredentials, Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.messages import RegistryRequest
from imgsync.oci.transport import Transport
from tests import switches
from tests.support.effort import effort
from tests.support.faults import FaultProxy
from tests.support.images import image, pull_raw
from tests.switches import Respond

MEBIBYTE = 1 << 20


def transport_to(proxy: FaultProxy, connections: int) -> Transport:
    nobody = DeclaredCredentials(Credentials("", ""))
    return Transport(
        Endpoint(proxy.host, "source", lambda _: pytest.fail("no TLS here"), nobody, plain_http=True, connections=connections),
        RateLimit(proxy.host, None),
        on_warning=pytest.fail,
    )


class Torn(BaseException):
    """An exception like GreenletExit, which is not an Exception."""


@pytest.mark.nightly
@pytest.mark.row("RUN-02")
def test_connections_work_after_cancelled_requests():
    """Eight callers give up in mid-body again and again; no place and no connection is lost."""
    times = effort(25, 400)
    with FaultProxy(None) as server, contextlib.closing(transport_to(server, 4)) as transport:
        server.add(Respond(200, b"x" * MEBIBYTE), target="/large")
        server.add(Respond(200, b"ok"), target="/small")

        def give_up(number: int) -> None:
            error = (StoppedError("stopped: enough"), Torn(), OSError("gone"))[number % 3]
            call = RegistryRequest(Operation("pull", "x", "source"), "GET", "/large")
            with contextlib.suppress(type(error)), transport.stream(call, retry_policy=RetryPolicy(attempts=1)) as answer:
                next(answer.chunks)
                raise error

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(give_up, range(8 * times)))
            small = RegistryRequest(Operation("pull", "x", "source"), "GET", "/small")
            answers = list(pool.map(lambda _: transport.request(small, retry_policy=RetryPolicy(attempts=1, request_seconds=20)).body, range(40)))

        assert answers == [b"ok"] * 40
        assert transport._throttle.running == 0
        assert transport._pool.idle_count <= 4


@pytest.mark.row("RUN-02")
def test_timed_out_images_free_their_connections(lab):
    """Images after them are copied over the same connections."""
    slow = [lab.push(f"a{number}", "1", image((lab.name, number), layers=1, layer_bytes=20_000)) for number in range(6)]
    good = [lab.push(f"z{number}", "1", image((lab.name, "z", number), layers=1)) for number in range(4)]
    for content in slow:
        lab.source.add(switches.trickle(100, seconds=0.05), method="GET", target=next(iter(content.blobs)))
    names = [f"a{number}" for number in range(6)] + [f"z{number}" for number in range(4)]
    lab.declare(names, "concurrency: {images: 3, blobs: 2}\ntimeouts: {image: 2s}\nreferrers: false", retry="{attempts: 1, interval: 0s}")
    hosts = (lab.source.host, lab.destination.host)
    lab.write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {host}: {{tls: false, connections: 2}}\n" for host in hosts))

    # With a brake nothing is copied before all is planned, so that the slow ones come first.
    ran = lab.run("apply", "-o", "json", "--max-changes", "10")

    assert ran.code == 1, ran.stderr
    results = {one["source"].rpartition("/")[2]: one["result"] for one in ran.json["outcomes"]}
    assert results == {f"a{number}:1": "failed" for number in range(6)} | {f"z{number}:1": "copied" for number in range(4)}
    assert all(pull_raw(lab.destination, f"m/{lab.name}/z{number}", "1") == content.raw for number, content in enumerate(good))
