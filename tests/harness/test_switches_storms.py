"""The watch of the storms sees incomplete images, on disk and in memory."""

from __future__ import annotations

import pytest

from tests.storms.stores import DiskStore, GullibleRegistry, missing
from tests.support.faults import FaultProxy
from tests.support.images import image, index, pull_raw, push, request
from tests.switches.storms import DeletesTags, Watch


@pytest.fixture(params=["gullible", "real"])
def watched(request, second_registry):
    """Return a proxy, the registry's store, and the watch between them."""
    with GullibleRegistry() as gullible:
        store = gullible if request.param == "gullible" else DiskStore(second_registry)
        with FaultProxy(store.host) as proxy:
            watch = proxy.add(Watch(store, side="first"))
            yield proxy, store, watch


def test_watch_accepts_whole_images(watched, lab):
    """Pushed bottom up, a moved tag, an index."""
    proxy, store, watch = watched

    for content in (image(1), image(2), index(3)):
        push(proxy, lab.name, "1", content)

    assert (watch.violations, store.tags(lab.name)) == ([], {"1": index(3).digest})
    assert watch.changes >= 3


def test_watch_detects_an_incomplete_image(watched, lab):
    """At the moment its tag appears."""
    proxy, store, watch = watched
    whole = push(proxy, lab.name, "1", index(1))
    lost = whole.children[0]
    if isinstance(store, GullibleRegistry):
        other = index(2)
        assert request(proxy, "PUT", f"/v2/{lab.name}/manifests/2", headers={"Content-Type": other.media_type}, body=other.raw)[0] == 201
        assert [one for one in watch.violations if "the tag 2 is not whole" in one and other.children[0].digest in one]
        watch.violations.clear()

    assert request(proxy, "DELETE", f"/v2/{lab.name}/manifests/{lost.digest}")[0] == 202

    assert [one for one in watch.violations if "the tag 1 is not whole" in one and lost.digest in one]
    assert [lack for lack in missing(store, lab.name, whole.digest) if lost.digest in lack]


def test_watch_detects_lost_and_moved_tags(watched, lab):
    """A deleted selected tag, a moved immutable tag."""
    proxy, store, watch = watched
    watch.needed = {(lab.name, "2")}
    watch.fixed = lambda tag: tag == "1"
    if isinstance(store, DiskStore):
        proxy.add(DeletesTags(store))
    push(proxy, lab.name, "1", image(1))
    push(proxy, lab.name, "2", image(2))

    push(proxy, lab.name, "1", image(3))
    assert request(proxy, "DELETE", f"/v2/{lab.name}/manifests/2")[0] == 202

    assert len(watch.violations) == 2, watch.violations
    assert "the immutable tag 1 names" in watch.violations[0]
    assert f"took {lab.name}:2 away, which is needed" in watch.violations[1]
    assert pull_raw(proxy, lab.name, "2") is None


def test_watch_detects_wrong_bytes(lab):
    """The gullible registry accepts them."""
    content = image(1)
    with GullibleRegistry() as store, FaultProxy(store.host) as proxy:
        watch = proxy.add(Watch(store, side="first"))
        store.hold(lab.name, content)
        digest = next(iter(content.blobs))
        location = request(proxy, "POST", f"/v2/{lab.name}/blobs/uploads/")[1]["location"]
        assert request(proxy, "PUT", f"{location.partition(proxy.host)[2]}&digest={digest}", body=b"something else")[0] == 201

        assert request(proxy, "PUT", f"/v2/{lab.name}/manifests/1", headers={"Content-Type": content.media_type}, body=content.raw)[0] == 201

        assert [one for one in watch.violations if "has other bytes for the blob" in one]
