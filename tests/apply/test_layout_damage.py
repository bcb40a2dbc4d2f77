"""Layouts that are damaged or ambiguous: found, mended, and nothing is pruned for it."""

from __future__ import annotations

import pytest

from tests.apply.test_layouts import back, declare, out
from tests.support.images import first_layer, image, index
from tests.support.layouts import CONTAINERD_NAME, REF_NAME, LayoutOnDisk


@pytest.fixture
def usb(lab):
    """Return the layout `usb`, which registries.yaml declares."""
    return LayoutOnDisk(lab.folder / "usb")


def both(name: str) -> dict[str, str]:
    """Return the two annotations of *name*."""
    return {REF_NAME: name, CONTAINERD_NAME: name}


def test_update_replaces_all_entries_of_a_tag(lab, usb):
    """skopeo names by the tag, imgsync by the full name: the old image must not stay beside the new one."""
    old = lab.push("app", "1", image(1))
    usb.make().add(old, annotations={REF_NAME: "1"})
    usb.add(old, annotations=both("usb:1"))
    declare(lab, f"{lab.source.host}/{lab.name}/app -> {{registry: 'oci-layout:usb', repository: usb}}")
    new = lab.push("app", "1", image(2))

    assert lab.run("apply", "--yes").code == 0

    assert [entry["digest"] for entry in usb.entries] == [new.digest]


def test_ambiguous_tag_at_a_destination_is_mended(lab, usb):
    """Readers would refuse it, or take one of the two."""
    wanted = lab.push("app", "1", image(1))
    name = f"outside/{lab.name}/app:1"
    usb.make().add(wanted, annotations=both(name))
    usb.add(image(2), annotations=both(name))
    declare(lab, out(lab))

    assert lab.run("apply", "--yes").code == 0

    assert [entry["digest"] for entry in usb.entries] == [wanted.digest]


def test_ambiguous_tag_of_a_source_is_an_error_and_not_gone(lab, usb):
    """It was pushed before; it is neither pruned nor left out without a word."""
    name = f"outside/{lab.name}/app"
    usb.make().add(image(1), annotations=both(f"{name}:1"))
    usb.add(image(2), annotations=both(f"{name}:2"))
    declare(lab, f"{back(lab)}\nprune: true")
    assert lab.run("apply", "--yes").code == 0
    usb.add(image(3), annotations=both(f"{name}:1"))

    ran = lab.run("apply", "--yes", "-o", "json")

    assert ran.code == 1
    assert "has two images named" in ran.stderr
    assert "gone" not in ran.stderr
    assert lab.served_tags("app") == ["1", "2"]


def test_changed_manifest_of_a_layout_is_brought_again(lab, usb):
    """One byte of the same size; the state says that all is well."""
    content = lab.push("app", "1", image(1))
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    usb.blob(content.digest).write_bytes(content.raw[:-1] + b" ")

    assert lab.run("verify").code == 1
    assert lab.run("apply", "--yes").code == 0

    usb.assert_holds(f"outside/{lab.name}/app:1", content)


def test_changed_child_of_an_index_is_found_and_brought_again(lab, usb):
    """`verify` finds it, the next `apply` mends it."""
    content = lab.push("app", "1", index(1))
    child = content.children[1]
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    usb.blob(child.digest).write_bytes(child.raw[:-1] + b" ")

    found = lab.run("verify", "-o", "json")

    assert (found.code, found.json["findings"][0]["condition"]) == (1, "incomplete")
    assert lab.run("apply", "--yes").code == 0
    usb.assert_holds(f"outside/{lab.name}/app:1", content)


def test_changed_manifest_of_a_source_is_named(lab, usb):
    """The layout is damaged, not the image that its publisher made."""
    content = usb.make().add(image(1), annotations=both(f"outside/{lab.name}/app:1"))
    usb.blob(content.digest).write_bytes(content.raw[:-1] + b" ")
    declare(lab, back(lab))

    ran = lab.run("plan")

    assert ran.code == 1
    assert content.digest in ran.stderr
    assert "not valid JSON" not in ran.stderr


def test_changed_blob_is_found_by_deep_and_brought_again_once_deleted(lab, usb):
    """The hint says so: a file of the right size counts as present otherwise."""
    content = lab.push("app", "1", image(1))
    blob = usb.blob(first_layer(content))
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")

    (found,) = lab.run("verify", "--deep", "-o", "json").json["findings"]

    assert found["condition"] == "damaged"
    assert found["hint"].startswith("check the medium; delete the file of the blob")
    blob.unlink()
    assert lab.run("apply", "--yes").code == 0
    usb.assert_holds(f"outside/{lab.name}/app:1", content)
