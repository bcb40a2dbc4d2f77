"""What a copy does again after a refused manifest."""

from __future__ import annotations

import pytest

from imgsync.errors import ImmutableTagError, RegistryError
from imgsync.oci.errors import Operation, make_status_error
from imgsync.transfer.repair import Need, Repair
from tests.plan.test_verify import Behind
from tests.support.images import first_layer, image, index, to_json
from tests.switches import Respond

LAYER, CONFIG, CHILD, OTHER, EXTRA = (f"sha256:{digit * 64}" for digit in "12345")


def refusal(code: str, *digests: str, status: int = 400) -> RegistryError:
    body = to_json({"errors": [{"code": code, "message": f"required: {', '.join(digests)}"}]})
    return make_status_error(Operation("push manifest", "r/x:1", "destination"), status, headers={}, body=body)


def refused(error: RegistryError, *, believed: str = "", mounted: str = "") -> Repair:
    """Return a repair of an image, after one attempt that ended in *error*."""
    repair = Repair()
    repair.begin_attempt()
    for digest in (LAYER, CONFIG):
        repair.add_blob(digest)
    repair.add_manifest(CHILD)
    if believed:
        repair.note_believed(believed)
    if mounted:
        repair.note_mounted(mounted)
    repair.note_refusal(error, OTHER)
    return repair


def test_named_part_is_brought_again_alone():
    """First by asking the destination, then by sending it."""
    error = refusal("MANIFEST_BLOB_UNKNOWN", LAYER)
    repair = refused(error, believed=CONFIG)

    assert repair.plan(error) == {LAYER}
    assert (repair.need(LAYER), repair.need(CONFIG)) == (Need.ASK, Need.COPY)
    assert repair.plan(error) == {LAYER}
    assert repair.need(LAYER) is Need.SEND
    assert repair.plan(error) == frozenset(), "it was sent: only time can help"


def test_second_name_casts_doubt_on_all_that_was_believed():
    """Many registries name the first missing part alone; the others are asked for, not sent."""
    first, second = refusal("MANIFEST_BLOB_UNKNOWN", LAYER), refusal("MANIFEST_BLOB_UNKNOWN", CONFIG)
    repair = refused(first, believed=LAYER)
    assert repair.plan(first) == {LAYER}

    repair.begin_attempt()
    repair.note_believed(EXTRA)
    repair.note_refusal(second, OTHER)

    assert repair.plan(second) == {CONFIG, EXTRA}
    assert (repair.need(CONFIG), repair.need(EXTRA)) == (Need.ASK, Need.ASK)
    repair.plan(second)
    assert (repair.need(CONFIG), repair.need(EXTRA)) == (Need.SEND, Need.ASK)


def test_mounted_part_that_is_named_is_sent():
    """Some registries confirm mounts of what they do not have."""
    error = refusal("BLOB_UNKNOWN", LAYER)
    repair = refused(error, mounted=LAYER)

    assert repair.plan(error) == {LAYER}
    assert repair.need(LAYER) is Need.SEND


@pytest.mark.parametrize(("code", "status"), [("UNKNOWN", 500), ("MANIFEST_INVALID", 400), ("NAME_UNKNOWN", 404), ("", 400)])
def test_refusal_without_names_concerns_what_was_believed(code, status):
    """Whatever its code; without anything believed it is final."""
    error = refusal(code, status=status)

    assert refused(error, believed=LAYER).plan(error) == {LAYER}
    assert refused(error).plan(error) is None


def test_missing_part_without_a_name_may_be_any():
    """A registry of several nodes may not have seen yet what was just pushed."""
    error = refusal("MANIFEST_BLOB_UNKNOWN")

    assert refused(error).plan(error) == {LAYER, CONFIG, CHILD}


def test_source_that_lacks_a_blob_is_asked_once_more():
    """A pull-through cache may have it then; nothing is forgotten."""
    gone = make_status_error(Operation("pull blob", "r/x@sha256:1", "source"), 404, headers={}, body=b"")
    repair = Repair()

    assert repair.plan(gone) == frozenset()
    assert repair.plan(gone) is None


def test_other_errors_are_not_repaired():
    """An immutable tag, a denied push, and an error that is not about a manifest."""
    immutable = ImmutableTagError("push manifest", "r/x:1", origin="destination")
    denied = refusal("DENIED", LAYER, status=403)
    other = refusal("BLOB_UNKNOWN", LAYER)

    assert refused(immutable, believed=LAYER).plan(immutable) is None
    assert refused(denied, believed=LAYER).plan(denied) is None
    assert refused(immutable, believed=LAYER).plan(other) is None


@pytest.mark.row("REG-16")
@pytest.mark.parametrize(
    ("status", "code"), [(404, "BLOB_UPLOAD_UNKNOWN"), (500, "UNKNOWN"), (400, "MANIFEST_INVALID"), (400, "LayersNotFoundException")], ids=lambda value: value
)
def test_destination_that_lost_a_layer_gets_it(status, code, lab):
    """Whatever it answers to the manifest; nothing but the lost layer is sent."""
    base = b"base layer" * 100
    content = lab.push("app", "1", image(1, layers=0, shared=base))
    lab.declare("app", "referrers: false", retry="{attempts: 1, interval: 0s}")
    assert lab.run("apply").code == 0
    added = lab.push("app", "2", image(2, layers=0, shared=base))
    Behind(lab.destination_registry, f"m/{lab.name}/app").forget_blob(first_layer(content))
    lab.destination.forget()
    lab.destination.add(Respond(status, {"errors": [{"code": code, "message": "no"}]}), method="PUT", target="/manifests/2$", nth=1)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "2", added)
    assert len(lab.destination.recorded("PUT .*/uploads/")) == 2, "the new config and the lost layer"
    lab.declare("app", "referrers: false")
    lab.destination.forget()
    assert lab.run("apply", "-o", "json").json["summary"]["kept"] == 2
    assert lab.destination.seen == []


def test_child_that_is_seen_late_is_pushed_again_alone(lab):
    """With a pause, and no blob is sent again."""
    content = lab.push("app", "1", index(1))
    child = content.children[0].digest
    late = Respond(400, {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown", "detail": child}]})
    lab.destination.add(late, method="PUT", target="/manifests/1$", nth=1)
    lab.declare("app", "referrers: false", retry="{attempts: 4, interval: 1s}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    pushes = lab.destination.recorded("PUT .*/manifests/")
    assert [one.path.rpartition("/")[2] for one in pushes[2:]] == ["1", child, "1"]
    assert pushes[-1].began - pushes[2].began >= 1_000_000_000
    assert len(lab.destination.recorded("PUT .*/uploads/")) == len(content.all_blobs)
