"""What may write no more sends no byte, at whatever moment that begins."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator

import pytest

from imgsync.concurrency.stop import Stop
from imgsync.errors import StoppedError
from imgsync.oci.endpoint import Credentials, DeclaredCredentials, Endpoint
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.manifest import parse_manifest
from imgsync.oci.spec.reference import Repository
from imgsync.oci.transport import Transport
from imgsync.oci.upload import begin_upload
from tests.support.images import image

MEBIBYTE = 1 << 20


class Fence:
    """A fence that tests close; `asked` counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.closes_at: int | None = None

    def __call__(self) -> None:
        self.asked += 1
        if self.closes_at is not None and self.asked >= self.closes_at:
            raise StoppedError("the lease is lost")


@pytest.fixture
def fence() -> Fence:
    return Fence()


@pytest.fixture
def connect(fence) -> Iterator[Callable[..., RegistryClient]]:
    """Return clients of a destination whose writes *fence* must allow."""
    with contextlib.ExitStack() as ends:

        def make(host: str, *, tls: ssl.SSLContext | None = None) -> RegistryClient:
            endpoint = Endpoint(
                host,
                "destination",
                lambda _: tls or pytest.fail("no TLS here"),
                DeclaredCredentials(Credentials("", "")),
                plain_http=tls is None,
                check_write=fence,
            )
            transport = ends.enter_context(contextlib.closing(Transport(endpoint, RateLimit(host, None), on_warning=pytest.fail)))
            return RegistryClient(transport, RetryPolicy(attempts=2, interval_seconds=0.0))

        yield make


def push_blob(client: RegistryClient, repository: Repository, content: bytes) -> None:
    blob = Descriptor("application/octet-stream", compute_digest(content), len(content))
    session = begin_upload(client, repository, blob, mount_from="")
    assert session is not None
    session.put(content[at : at + MEBIBYTE] for at in range(0, len(content), MEBIBYTE))


@pytest.mark.row("LEASE-01")
def test_closed_fence_lets_reads_through_and_no_write(lab, fence, connect):
    """A manifest, an upload and a deletion are not sent; tags can still be read."""
    content = lab.push_to_destination("app", "1", image(1))
    client = connect(lab.destination.host)
    repository = Repository(lab.destination.host, f"m/{lab.name}/app")
    assert client.resolve(repository.with_tag("1")).digest == content.digest
    assert fence.asked == 0, "reads ask for nothing"
    fence.closes_at = 1

    for write in (
        lambda: client.push_manifest(repository.with_tag("2"), parse_manifest(content.raw)),
        lambda: push_blob(client, repository, b"x"),
        lambda: client.delete_manifest(repository.with_digest(content.digest)),
    ):
        with pytest.raises(StoppedError, match="the lease is lost"):
            write()

    assert client.resolve(repository.with_tag("1")).digest == content.digest
    assert {one.method for one in lab.destination.seen} <= {"GET", "HEAD"}


@pytest.mark.row("LEASE-01")
def test_fence_that_closes_ends_an_upload_at_its_next_piece(lab, fence, connect):
    """Of a large blob, what the system had taken arrives, and no more."""
    client = connect(lab.destination.host)
    repository = Repository(lab.destination.host, f"m/{lab.name}/app")
    fence.closes_at = 6

    with pytest.raises(StoppedError, match="the lease is lost"):
        push_blob(client, repository, bytes(64 * MEBIBYTE))

    lab.destination.settle()
    uploads = lab.destination.recorded("PUT .*/uploads/")
    assert all(one.bytes_up < 64 * MEBIBYTE and one.status != 201 for one in uploads)


@pytest.mark.row("LEASE-01")
def test_each_write_asks_the_fence_anew(lab, fence, connect):
    """Also on a connection that was kept."""
    content = lab.push_to_destination("app", "1", image(2))
    client = connect(lab.destination.host)
    repository = Repository(lab.destination.host, f"m/{lab.name}/app")

    client.push_manifest(repository.with_tag("2"), parse_manifest(content.raw))
    once = fence.asked
    client.push_manifest(repository.with_tag("3"), parse_manifest(content.raw))

    assert fence.asked == 2 * once >= 2
    assert lab.served_tags("app") == ["1", "2", "3"]


@pytest.mark.row("LEASE-01")
def test_writes_over_tls_are_fenced_too(lab, fence, connect, tls_registry):
    """They are not queued on a shared connection, from which they would be sent later."""
    client = connect(f"127.0.0.1:{tls_registry.port}", tls=tls_registry.trust())
    repository = Repository(f"127.0.0.1:{tls_registry.port}", lab.name)
    push_blob(client, repository, b"small")
    assert client.has_blob(repository, Descriptor("application/octet-stream", compute_digest(b"small"), 5))
    fence.closes_at = fence.asked + 1

    with pytest.raises(StoppedError, match="the lease is lost"):
        push_blob(client, repository, b"another")

    assert not client.has_blob(repository, Descriptor("application/octet-stream", compute_digest(b"another"), 7))


def test_lost_fence_cancels_its_run():
    """The first write that is held back ends all other work too."""
    stop, fence = Stop(), Fence()
    stop.check_write()
    stop.fence = fence
    stop.check_write()
    assert not stop.is_cancelled
    fence.closes_at = 1

    with pytest.raises(StoppedError):
        stop.check_write()

    assert stop.is_cancelled
    assert stop.reason == "the lease is lost"
