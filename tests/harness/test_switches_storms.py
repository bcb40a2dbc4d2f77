"""The storms' watch sees what it is there to see, on a registry's disk and in memory; what it watches is what is served."""

from __future__ import annotations

import pytest

from tests.storms.stores import DiskStore, GullibleRegistry, missing
from tests.support.faults import FaultProxy
from tests.support.images import image, index, pull_raw, push, request
from tests.switches.storms import DeletesTags, Watch


@pytest.fixture(params=["gullible", "real"])
def watched(request, second_registry):
    """A proxy before a registry, its store and the watch between them."""
    with GullibleRegistry() as gullible:
        store = gullible if request.param == "gullible" else DiskStore(second_registry)
        with FaultProxy(store.host) as proxy:
            watch = proxy.add(Watch(store, side="first"))
            yield proxy, store, watch


def test_watch_is_content_with_whole_images(watched, lab):
    """An image pushed bottom up, a tag that moves, an index."""
    proxy, store, watch = watched

    for content in (image(1), image(2), index(3)):
        push(proxy, lab.name, "1", content)

    assert (watch.violations, store.tags(lab.name)) == ([], {"1": index(3).digest})
    assert watch.changes >= 3


def test_watch_sees_half_an_image(watched, lab):
    """A tag above content that is not there, at the very moment that it appears."""
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


def test_watch_sees_what_was_needed_go_and_what_was_fixed_move(watched, lab):
    """A deletion of a tag that is selected; an immutable tag that names something else."""
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


def test_gullible_registry_believes_wrong_bytes_and_the_watch_does_not(lab):
    """What a blob's digest says is not what it holds."""
    content = image(1)
    with GullibleRegistry() as store, FaultProxy(store.host) as proxy:
        watch = proxy.add(Watch(store, side="first"))
        store.hold(lab.name, content)
        digest = next(iter(content.blobs))
        location = request(proxy, "POST", f"/v2/{lab.name}/blobs/uploads/")[1]["location"]
        assert request(proxy, "PUT", f"{location.partition(proxy.host)[2]}&digest={digest}", body=b"something else")[0] == 201

        assert request(proxy, "PUT", f"/v2/{lab.name}/manifests/1", headers={"Content-Type": content.media_type}, body=content.raw)[0] == 201

        assert [one for one in watch.violations if "has other bytes for the blob" in one]
