"""The states of a blob at one destination registry."""

from __future__ import annotations

import pytest

from imgsync.concurrency.greenlets import Event, spawn
from imgsync.oci.spec.reference import Repository
from imgsync.transfer.known_blobs import BlobState, KnownBlobs, Recorded

DIGEST = f"sha256:{'1' * 64}"
REGISTRY = "registry.example"
REPOSITORY = Repository(REGISTRY, "team/app")


def _none(_registry: str, _digest: str) -> tuple[str, ...]:
    return ()


def _repositories(registry: str, digest: str) -> tuple[str, ...]:
    return ("team/old", "team/app") if (registry, digest) == (REGISTRY, DIGEST) else ()


no_records = Recorded(_none, _none, lambda *_: None)
records = Recorded(_repositories, lambda *_: ("source.example",), lambda *_: None)


def test_delivered_blob_is_missing_then_arriving_then_present():
    """Each state is seen when its transition says so."""
    blob = KnownBlobs(no_records).at(REGISTRY, DIGEST)
    states = [blob.state]

    def deliver() -> None:
        states.append(blob.state)
        blob.mark_present("team/app")

    assert blob.deliver_once("team/app", deliver)
    assert [*states, blob.state] == [BlobState.MISSING, BlobState.ARRIVING, BlobState.PRESENT]


def test_blob_whose_delivery_failed_is_missing_again():
    """The next copy that needs it delivers it."""
    blob = KnownBlobs(no_records).at(REGISTRY, DIGEST)

    def fail() -> None:
        raise RuntimeError("upload failed")

    with pytest.raises(RuntimeError, match="upload failed"):
        blob.deliver_once("team/app", fail)

    assert blob.state is BlobState.MISSING
    assert blob.deliver_once("team/app", lambda: None)


def test_blob_missing_in_its_last_repository_is_missing():
    """A registry that lost it gets it again, though a record names the repository."""
    known = KnownBlobs(records)
    known.mark_present(REPOSITORY, DIGEST)

    known.mark_missing(REPOSITORY, DIGEST)

    assert known.at(REGISTRY, DIGEST).state is BlobState.MISSING
    assert not known.is_in(REPOSITORY, DIGEST)
    assert known.at(REGISTRY, DIGEST).repositories == ["team/old"]


def test_recorded_blob_is_in_its_repository_without_being_seen():
    """A record saves the copy, but parallel mounts wait until this run saw the blob."""
    known = KnownBlobs(records)

    assert known.is_in(REPOSITORY, DIGEST)
    assert not known.is_in(Repository("other.example", "team/app"), DIGEST)
    assert known.at(REGISTRY, DIGEST).state is BlobState.MISSING


def test_repositories_seen_in_this_run_come_before_recorded_ones():
    """A mount is tried first where it is sure to work."""
    blob = KnownBlobs(records).at(REGISTRY, DIGEST)

    blob.mark_present("team/new")
    blob.mark_present("team/app")

    assert blob.repositories == ["team/new", "team/app", "team/old"]


def test_blob_is_delivered_once_per_registry_then_once_per_repository():
    """Others wait while it arrives, then mount it in parallel."""
    blob = KnownBlobs(no_records).at(REGISTRY, DIGEST)
    may_end, ended = Event(), Event()
    delivered: list[str] = []

    def deliver(path: str) -> None:
        delivered.append(path)
        may_end.wait()
        blob.mark_present(path)

    def first() -> None:
        blob.deliver_once("team/one", lambda: deliver("team/one"))

    def second() -> None:
        while not blob.is_in("team/two"):
            blob.deliver_once("team/two", lambda: deliver("team/two"))
        ended.set()

    spawn(first)
    spawn(second)
    spawn(may_end.set)
    assert ended.wait(5)
    assert delivered == ["team/one", "team/two"]
    assert blob.state is BlobState.PRESENT


def test_source_is_known_from_records_and_from_this_run():
    """Only a registry that gave the blob, now or before, may have it mounted."""
    blob = KnownBlobs(records).at(REGISTRY, DIGEST)

    blob.mark_given("other.example")

    assert [blob.was_given_by(source) for source in ("source.example", "other.example", "evil.example")] == [True, True, False]
