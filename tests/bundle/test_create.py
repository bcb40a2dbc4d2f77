"""`bundle create` carries what the other side lacks, and nothing else."""

from __future__ import annotations

import json
import os
import re

import pytest

from imgsync.bundle.document import decode_bundle
from imgsync.bundle.open_bundle import OpenBundle
from imgsync.oci.spec.digest import compute_digest, shorten_digest
from tests.support.images import artifact, first_layer, image, index, layer, push, shared_base_images, with_layer
from tests.support.signing import sig_tag
from tests.switches import headers, status


def create(lab, *options, out="out", code=0):
    """Create a bundle; return its document, None without one."""
    result = lab.run("bundle", "create", "--out", out, "-o", "json", *options)
    assert result.code == code, result.stderr + result.stdout
    summary = result.json
    path = lab.folder / out / "imgsync-bundle.json"
    if summary["bundle"] is None:
        assert not path.exists()
        return None
    found = decode_bundle(path.read_bytes(), name="bundle")
    assert summary["bundle"]["id"] == found.id
    assert_whole(lab.folder / out, found)
    return found


def assert_whole(folder, bundle):
    """Assert that the volumes hold each blob as listed, and nothing of the work is left."""
    opened = OpenBundle([folder], bundle)
    for blob in bundle.blobs:
        assert opened.read_whole(blob.digest, limit_bytes=1 << 24)
    opened.close()
    assert sorted(path.name for path in folder.iterdir()) == sorted(["imgsync-bundle.json", *(volume.file for volume in bundle.volumes)])


def digests(bundle):
    """Return the digests of all blobs in the volumes."""
    return {blob.digest for blob in bundle.blobs}


def whole(*images):
    """Return the digests of all blobs and manifests of *images*."""
    return {digest for one in images for digest in (*one.all_blobs, *one.manifests)}


def take_inventory(lab, out="inside.json"):
    """Take an inventory of the destination."""
    result = lab.run("inventory", f"{lab.destination.host}/m/{lab.name}", "--out", out)
    assert result.code == 0, result.stderr
    lab.destination.forget()


def test_bundle_has_all_of_new_images(lab):
    """Indexes, Docker types and signatures, byte for byte; the destination is not contacted."""
    one, two = lab.push("app", "1", index(1)), lab.push("app", "2", image(2))
    signature = lab.push("app", sig_tag(one.digest), image("sig", layers=1))
    lab.declare("app", "tags: {names: ['1', '2']}\nreferrers: true")

    bundle = create(lab)

    assert digests(bundle) == whole(one, two, signature)
    assert [str(found.destination) for found in bundle.images] == [f"{lab.destination.host}/m/{lab.name}/app:{tag}" for tag in "12"]
    assert [found.digest for found in bundle.images] == [one.digest, two.digest]
    assert bundle.images[0].manifests[-1] == one.digest
    assert [(found.subject, found.digest, found.tag) for found in bundle.images[0].referrers] == [(one.digest, signature.digest, sig_tag(one.digest))]
    assert lab.destination.requests() == []


def test_second_creation_gives_same_bytes(lab):
    """Into another folder, and again into the same one without reading a blob."""
    for number in range(5):
        lab.push("app", f"{number}", image(number, layer_bytes=300_000))
    lab.declare("app")
    create(lab, "--volume-size", "1MiB")
    create(lab, "--volume-size", "1MiB", out="again")

    first = {path.name: path.read_bytes() for path in (lab.folder / "out").iterdir()}
    assert first == {path.name: path.read_bytes() for path in (lab.folder / "again").iterdir()}
    assert len(first) > 3
    assert all(len(content) <= 1 << 20 for name, content in first.items() if name.endswith(".tar"))
    lab.source.forget()
    create(lab, "--volume-size", "1MiB")
    assert lab.source.requests("GET .*/blobs/") == []


def test_nothing_to_carry_writes_no_bundle(lab):
    """If the other side has everything, no folder is made, and the exit code is 0."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    take_inventory(lab)

    assert create(lab, "--have", "inside.json") is None
    result = lab.run("bundle", "create", "--out", "out", "--have", "inside.json")

    assert "Nothing to carry" in result.stdout
    assert not (lab.folder / "out").exists()


@pytest.mark.row("INV-06")
def test_blobs_of_other_side_are_expected(lab):
    """A blob that the other side has is named with the repositories that hold it, and is not read."""
    base, other = shared_base_images(2)
    lab.push("app", "1", base)
    lab.push("app", "2", other)
    lab.declare("app")
    assert lab.run("apply", "--only", "a/*/app:1").code == 0
    take_inventory(lab)
    lab.source.forget()

    bundle = create(lab, "--have", "inside.json")

    shared = base.all_blobs.keys() & other.all_blobs.keys()
    assert digests(bundle) == whole(other) - shared
    assert [(one.digest, one.repositories, one.held_by) for one in bundle.expects] == [(digest, (f"m/{lab.name}/app",), bundle.inventory) for digest in shared]
    assert [found.source.tag for found in bundle.images] == ["2"]
    assert not any(digest in request for digest in shared for request in lab.source.requests("GET .*/blobs/"))


def test_exported_state_says_what_other_side_has(lab):
    """The output of `state export` serves as an inventory."""
    base, other = shared_base_images(2)
    lab.push("app", "1", base)
    lab.push("app", "2", other)
    lab.declare("app")
    assert lab.run("apply", "--only", "a/*/app:1").code == 0
    assert lab.run("state", "export", "state.jsonl").code == 0

    bundle = create(lab, "--have", "state.jsonl")

    assert [found.source.tag for found in bundle.images] == ["2"]
    assert digests(bundle) == whole(other) - base.all_blobs.keys()


@pytest.mark.row("INV-07")
def test_blob_of_other_repository_needs_a_proof(lab):
    """A blob in another repository is left out only if the source shows that it has it."""
    base, other = shared_base_images(2)
    lab.push("one", "1", base)
    lab.push("two", "1", other)
    lab.declare("one two")
    assert lab.run("apply", "--only", "a/*/one").code == 0
    take_inventory(lab)
    shared = next(iter(base.all_blobs.keys() & other.all_blobs.keys()))
    lab.source.forget()

    bundle = create(lab, "--have", "inside.json")

    assert [one.digest for one in bundle.expects] == [shared]
    assert lab.source.requests(f"HEAD .*/two/blobs/{shared}") != []
    lab.source.add(status(404), method="HEAD", target=f"/two/blobs/{shared}")
    again = create(lab, "--have", "inside.json", out="carried")
    assert again.expects == ()
    assert digests(again) == whole(other)


def test_new_signature_travels_alone(lab):
    """An image whose bytes are there gets its new signature, without its blobs."""
    content = lab.push("app", "1", image(1))
    lab.declare("app", "tags: {names: ['1']}\nreferrers: true")
    assert lab.run("apply").code == 0
    take_inventory(lab)
    signature = lab.push("app", sig_tag(content.digest), image("sig", layers=1))
    lab.source.forget()

    bundle = create(lab, "--have", "inside.json")

    assert digests(bundle) == whole(signature) | {content.digest}
    assert {one.digest for one in bundle.expects} == content.all_blobs.keys()
    assert len(lab.source.requests("GET .*/blobs/")) == len(signature.all_blobs)


def test_changed_signature_travels_again(lab):
    """cosign's tag with another digest is carried; the same one is not."""
    content = lab.push("app", "1", image(1))
    lab.push("app", sig_tag(content.digest), image("sig", layers=1))
    lab.declare("app", "tags: {names: ['1']}\nreferrers: true")
    assert lab.run("apply").code == 0
    take_inventory(lab)
    assert create(lab, "--have", "inside.json") is None
    signature = lab.push("app", sig_tag(content.digest), image("sig2", layers=1))

    bundle = create(lab, "--have", "inside.json")

    assert [one.digest for one in bundle.images[0].referrers] == [signature.digest]


def test_referrers_by_api_are_carried(lab, knowing):
    """What the source's API lists is in the bundle, and what the other side lists is not."""
    content = push(knowing.host, f"{lab.name}/app", "1", image(1))
    sbom = push(knowing.host, f"{lab.name}/app", "", artifact(1, subject=content))
    lab.workplace.allow_plain_http(knowing)
    lab.workplace.mirror("a", source=f"{knowing.host}/{lab.name}/app", destinations=["inside.example/m"], referrers=True)

    bundle = create(lab)

    assert digests(bundle) == whole(content, sbom)
    assert [(one.subject, one.digest) for one in bundle.images[0].referrers] == [(content.digest, sbom.digest)]
    more = push(knowing.host, f"{lab.name}/app", "", artifact(2, subject=content))
    following = create(lab, "--since", "out", out="more")
    assert digests(following) == whole(content, sbom, more) - content.all_blobs.keys() - sbom.all_blobs.keys() | more.all_blobs.keys() - sbom.all_blobs.keys()


@pytest.mark.row("INV-08")
def test_chain_of_bundles_is_continued(lab):
    """Each bundle carries what those before it did not; a gap is named."""
    first, second = shared_base_images(2)
    lab.push("app", "1", first)
    lab.declare("app")
    one = create(lab, out="one")
    lab.push("app", "2", second)
    two = create(lab, "--since", "one", out="two")
    lab.push("app", "3", image(3))

    three = create(lab, "--since", "two/imgsync-bundle.json", "--since", "one", out="three")
    gap = lab.run("bundle", "create", "--out", "four", "--since", "three", "--since", "one")

    assert (two.parent, three.parent) == (one.id, two.id)
    assert [found.source.tag for found in two.images] == ["2"]
    assert [(found.held_by, found.repositories) for found in two.expects] == [(one.id, (f"m/{lab.name}/app",))]
    assert digests(two) == whole(second) - first.all_blobs.keys()
    assert [found.source.tag for found in three.images] == ["3"]
    assert gap.code == 3
    assert f"three continues bundle {shorten_digest(two.id)}, which is missing" in gap.stderr.replace("\n", " ")


def test_two_ends_of_a_chain_are_refused(lab):
    """Two bundles that continue the same one are not a chain."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    create(lab, out="one")
    lab.push("app", "2", image(2))
    create(lab, "--since", "one", out="two")
    lab.push("app", "3", image(3))
    create(lab, "--since", "one", out="three")

    result = lab.run("bundle", "create", "--out", "four", "--since", "one", "--since", "two", "--since", "three")

    assert result.code == 3
    assert "are not one chain" in result.stderr


def test_have_and_since_exclude_each_other(lab):
    """Both together are a usage error."""
    lab.declare("app")
    lab.write("inside.json", "{}")

    result = lab.run("bundle", "create", "--out", "out", "--have", "inside.json", "--since", "x")

    assert result.code == 3
    assert "--have and --since exclude each other" in result.stderr


@pytest.mark.row("INV-09")
def test_failed_image_is_left_out(lab):
    """An image that cannot be copied is named; the bundle has the others, placed as without it."""
    good = lab.push("app", "1", image(1))
    bad = lab.push("app", "0", image(0))
    broken = next(iter(bad.all_blobs))
    lab.declare("app")
    lab.source.add(status(404), method="GET", target=f"/blobs/{broken}")

    bundle = create(lab, code=1)

    assert [found.source.tag for found in bundle.images] == ["1"]
    assert digests(bundle) == whole(good)
    lab.source.clear()
    only = create(lab, "--only", "a/*/app:1", out="only")
    assert only.id == bundle.id


def test_unreadable_manifest_leaves_image_out(lab):
    """An image without one of its manifests is reported, and left out."""
    good, bad = lab.push("app", "1", image(1)), lab.push("app", "2", index(2))
    lab.declare("app")
    lab.source.add(status(404), target=f"/manifests/{bad.children[0].digest}")

    bundle = create(lab, code=1)

    assert digests(bundle) == whole(good)


@pytest.mark.row("INV-12")
def test_false_size_costs_its_own_image(lab):
    """An image that gives a shared layer a false size is left out, not those that are right."""
    base = layer("shared")
    false = with_layer(image("false", layers=1, shared=base), size=len(base) + 1)
    lab.push("app", "0", false)
    good = lab.push("app", "1", image("good", layers=1, shared=base))
    lab.declare("app")

    bundle = create(lab, code=1)

    assert digests(bundle) == whole(good)


def declare_without_blob_limit(lab):
    """Declare the mirror of `app`, whose source may have blobs of any size."""
    lab.declare("app")
    path = lab.folder / "registries.yaml"
    own = f"{lab.source.host}: {{tls: false"
    path.write_text(path.read_text().replace(own, f"{own}, max_blob_size: 999999999999GiB"))


def confirm_size(lab, content, size):
    """Let the source answer that the first layer of *content* has *size* bytes; return the image with that size."""
    lab.source.add(headers(**{"Content-Length": str(size)}), method="HEAD", target=f"/blobs/{first_layer(content)}")
    return with_layer(content, size=size)


@pytest.mark.row("INV-13")
@pytest.mark.parametrize("options", [(), ("--volume-size", "1MiB")])
def test_huge_false_size_costs_its_own_image(lab, options):
    """An image with a blob of 10^15 bytes fails with the reason, and the others are written."""
    lab.push("app", "0", with_layer(image("false"), size=10**15))
    good = lab.push("app", "1", image("good"))
    declare_without_blob_limit(lab)

    result = lab.run("bundle", "create", "--out", "out", "-o", "json", *options)

    assert result.code == 1, result.stderr
    (left_out,) = result.json["left_out"]
    assert re.search(r"gives the blob \w+ a size of 909.5 TiB, and the source has none of this size", left_out["reason"])
    assert digests(decode_bundle((lab.folder / "out/imgsync-bundle.json").read_bytes(), name="bundle")) == whole(good)


@pytest.mark.row("INV-13")
def test_image_that_can_never_fit_costs_only_itself(lab):
    """Also if the source confirms the size: what it needs and what there is are named."""
    lab.push("app", "0", confirm_size(lab, image("huge"), 10**15))
    good = lab.push("app", "1", image("good"))
    declare_without_blob_limit(lab)

    result = lab.run("bundle", "create", "--out", "out", "-o", "json")

    assert result.code == 1, result.stderr
    (left_out,) = result.json["left_out"]
    assert re.search(r"it needs 909.5 TiB alone, and out has room for \d", left_out["reason"])
    assert digests(decode_bundle((lab.folder / "out/imgsync-bundle.json").read_bytes(), name="bundle")) == whole(good)


@pytest.mark.row("BUN-09")
def test_plan_without_room_ends_before_a_blob_is_read(lab):
    """Images that fit alone and not together: what is needed and free is named, and nothing is carried."""
    system = os.statvfs(lab.folder)
    size = system.f_bavail * system.f_frsize * 2 // 3
    for number in range(2):
        lab.push("app", f"{number}", confirm_size(lab, image(number), size))
    declare_without_blob_limit(lab)

    result = lab.run("bundle", "create", "--out", "out")

    assert result.code == 1
    assert re.search(r"out has too little space: \S+ .iB more are needed, \S+ .iB are free", result.stderr)
    assert not [one for one in lab.source.requests() if one.startswith("GET") and "/blobs/" in one]


def test_saved_plan_is_carried_as_reviewed(lab):
    """`plan --have --out` and `create --plan` carry the reviewed digests."""
    first = lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("plan", "--out", "plan.json").code == 0
    lab.push("app", "1", image("moved"))
    lab.push("app", "2", image(2))

    bundle = create(lab, "--plan", "plan.json")

    assert [found.digest for found in bundle.images] == [first.digest]


@pytest.mark.row("INV-14")
@pytest.mark.parametrize("option", ["--have", "--since"])
def test_apply_refuses_the_plan_of_a_bundle(lab, option):
    """Before any request; the error says what the plan is for, and `bundle create` takes it."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    take_inventory(lab)
    create(lab, out="sent")
    lab.push("app", "2", image(2))
    known = "inside.json" if option == "--have" else "sent"
    assert lab.run("plan", option, known, "--out", "plan.json").code == 0
    lab.source.forget()

    result = lab.run("apply", "--plan", "plan.json")

    assert result.code == 3
    assert "plan.json is the plan of a bundle" in result.stderr
    assert "imgsync bundle create --plan plan.json" in result.stderr
    assert lab.source.requests() + lab.destination.requests() == []
    assert create(lab, "--plan", "plan.json", option, known) is not None


def test_plan_without_its_inventory_says_what_is_carried(lab):
    """All blobs of its images, as the other side may lack them."""
    first, second = shared_base_images(2)
    lab.push_to_destination("app", "1", first)
    lab.workplace.allow_plain_http(lab.destination)
    assert lab.run("inventory", f"{lab.destination.host}/m/{lab.name}", "--out", "inside.json").code == 0
    lab.push("app", "1", first)
    lab.push("app", "2", second)
    lab.declare("app")
    assert lab.run("plan", "--have", "inside.json", "--out", "plan.json").code == 0

    without = lab.run("bundle", "create", "--out", "a", "--plan", "plan.json")
    having = lab.run("bundle", "create", "--out", "b", "--plan", "plan.json", "--have", "inside.json")

    assert (without.code, having.code) == (0, 0)
    assert "give --have or --since as for the plan" in without.stdout
    assert "give --have or --since" not in having.stdout


def test_error_of_the_source_is_not_called_nothing_to_carry(lab):
    """The other side does not have what could not be planned."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.source.add(status(404), target="/tags/list")

    ran = lab.run("bundle", "create", "--out", "out")

    assert ran.code == 1
    assert ran.stdout.splitlines()[-1] == "No bundle was written."


def test_dry_run_plans_the_first_bundle(lab):
    """Without a word about the other side, and without a question to it."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    ran = lab.run("bundle", "create", "--out", "out", "--dry-run")

    assert (ran.code, lab.destination.seen) == (0, [])
    assert "1 to create" in ran.stdout
    assert not (lab.folder / "out").exists()
    assert lab.run("bundle", "create", "--out", "out", "--dry-run", "--max-changes", "0").code == 1
    assert lab.run("bundle", "create", "--out", "out", "--dry-run", "--volume", "1").code == 3


def test_volume_is_made_again_alone(lab):
    """`--volume N` makes the same bytes, and reads only what lies there."""
    for number in range(4):
        lab.push("app", f"{number}", image(number, layer_bytes=300_000))
    lab.declare("app")
    create(lab, "--volume-size", "1MiB")
    lost = lab.folder / "out" / "imgsync-bundle.002.tar"
    before = lost.read_bytes()
    lost.unlink()
    lab.source.forget()

    result = lab.run("bundle", "create", "--out", "out", "--volume", "2")

    assert result.code == 0, result.stderr
    assert lost.read_bytes() == before
    assert "Made imgsync-bundle.002.tar of bundle" in result.stdout
    assert "its signature stays valid" in result.stdout
    assert "Sign it" not in result.stdout
    document = json.loads((lab.folder / "out" / "imgsync-bundle.json").read_bytes())
    there = {blob["digest"] for blob in document["blobs"] if blob.get("volume") == 2}
    read = {request.rpartition("/")[2] for request in lab.source.requests("GET .*/blobs/")}
    assert read <= there


@pytest.mark.row("INV-10")
def test_user_state_is_not_touched(lab):
    """A creation neither reads nor writes the record of pushed images."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    create(lab)

    assert not (lab.folder / ".imgsync").exists()
    assert lab.run("apply").code == 0
    assert create(lab, out="again") is not None


def test_prune_is_said_to_be_not_carried(lab):
    """A bundle carries no deletions, and the plan says so."""
    lab.push("app", "1", image(1))
    lab.declare("app", "prune: true")

    result = lab.run("bundle", "create", "--out", "out")

    assert result.code == 0
    assert "carries no deletions" in result.stdout


def test_command_prints_summary_and_signing(lab):
    """Images, blobs, volumes with sizes, and the line that signs."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    result = lab.run("bundle", "create", "--out", "out")

    assert "1 image, 4 blobs" in result.stdout
    assert "imgsync-bundle.001.tar" in result.stdout
    assert "cosign sign-blob" in result.stdout


def test_report_files_are_those_of_apply(lab):
    """JUnit, HTML and metrics name the images, and the log has the events of apply."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    result = lab.run("bundle", "create", "--out", "out", "--junit", "junit.xml", "--report", "report.html", "--metrics", "metrics.prom")

    assert result.code == 0
    assert f"m/{lab.name}/app:1" in (lab.folder / "junit.xml").read_text()
    assert "app:1" in (lab.folder / "report.html").read_text()
    assert "imgsync_images" in (lab.folder / "metrics.prom").read_text()
    assert [one["destination"].rpartition("/")[2] for one in result.events("image.copied")] == ["app:1"]


def test_limits_stop_before_anything_is_read(lab):
    """`--max-changes` and `--max-bytes` hold for a bundle."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    result = lab.run("bundle", "create", "--out", "out", "--max-changes", "0")

    assert result.code == 1
    assert not (lab.folder / "out").exists()
    assert lab.source.requests("GET .*/blobs/") == []


def test_layout_is_a_source_of_bundles(lab):
    """Images of a layout are carried like those of a registry."""
    content = lab.push("app", "1", index(1))
    lab.declare("app", registries="layouts: {usb: {path: usb}}\n")
    assert lab.run("copy", f"{lab.source.host}/{lab.name}/app:1", "oci-layout:usb/app:1").code == 0
    lab.workplace.mirror("a", source="oci-layout:usb/app", destinations=["inside.example/m"])
    lab.source.forget()

    bundle = create(lab)

    assert digests(bundle) == whole(content)
    assert lab.source.requests() == []


def test_too_small_volume_is_refused(lab):
    """Before anything is copied."""
    lab.push("app", "1", image(1, layer_bytes=10))
    lab.declare("app")

    result = lab.run("bundle", "create", "--out", "out", "--volume-size", "1000")

    assert result.code == 3
    assert lab.source.requests("GET .*/blobs/") == []


def test_platforms_are_reduced_as_declared(lab):
    """An index is carried with the declared platforms only, under its new digest."""
    content = lab.push("app", "1", index(1))
    lab.declare("app", "platforms: [linux/amd64]")

    bundle = create(lab)

    (found,) = bundle.images
    assert found.digest != content.digest
    assert found.source.digest == content.digest
    assert digests(bundle) == {found.digest, *whole(content.children[0])}
    again = create(lab, "--volume", "1")
    assert again == bundle


def test_blob_is_read_once_for_many_images(lab):
    """A shared layer, also in several repositories and for two destinations, is read once."""
    base = layer("base")
    for number in range(3):
        lab.push(f"app{number}", "1", image(number, layers=1, shared=base))
    lab.declare("app0 app1 app2")
    text = (lab.folder / "mirrors.d" / "a.yaml").read_text()
    lab.write("mirrors.d/a.yaml", text.replace(f"['{lab.destination.host}/m']", f"['{lab.destination.host}/m', 'other.example/x']"))

    bundle = create(lab)

    assert len(bundle.images) == 6
    assert max(lab.source.requests("GET .*/blobs/").count(one) for one in lab.source.requests("GET .*/blobs/")) == 1
    assert len(lab.source.requests("GET .*/blobs/")) == 1 + 2 * 3


@pytest.mark.row("INV-15")
def test_what_each_of_several_registries_has_is_remembered(lab):
    """By a bundle that left a blob out for all of them; at another registry the blob is missing, and is carried."""
    base = layer("base")
    for number in range(3):
        lab.push("app", f"{number}", image(number, layers=1, shared=base))
    lab.declare("app", "tags: {names: ['0', '1']}")
    path = lab.folder / "mirrors.d" / "a.yaml"
    both = [f"{lab.destination.host}/m", "other.example/x"]
    path.write_text(path.read_text().replace(f"['{both[0]}']", json.dumps(both)))
    held = json.dumps([_hold_base(host, path, lab, base) for host, path in (one.split("/") for one in both)])
    lab.write("inside.json", f'{{"format":"imgsync.inventory/v1","places":[],"repositories":{held},"errors":[],"complete":true}}\n')
    first = create(lab, "--have", "inside.json", out="first")
    assert [str(place) for place in first.expects[0].places] == sorted(f"{one}/{lab.name}/app" for one in both)
    path.write_text(path.read_text().replace("['0', '1']", "['0', '1', '2']"))

    second = create(lab, "--since", "first", out="second")

    assert compute_digest(base) not in digests(second)
    assert [expected.digest for expected in second.expects] == [compute_digest(base)]
    path.write_text(path.read_text().replace("other.example/x", "third.example/x"))
    assert compute_digest(base) in digests(create(lab, "--since", "first", out="third"))


def _hold_base(registry, path, lab, base):
    """Return what an inventory says of a repository that has nothing but *base*."""
    name = f"{registry}/{path}/{lab.name}/app"
    return {"name": name, "complete": True, "tags": {}, "manifests": {}, "blobs": {compute_digest(base): len(base)}, "referrers": {}}


def test_plan_by_inventory_asks_no_destination(lab):
    """`plan --have` shows what a bundle would carry, and contacts no destination."""
    base, other = shared_base_images(2)
    lab.push("app", "1", base)
    lab.push("app", "2", other)
    lab.declare("app", "prune: true")
    assert lab.run("apply", "--only", "a/*/app:1").code == 0
    take_inventory(lab)

    result = lab.run("plan", "--have", "inside.json", "-o", "json", "--all", "--out", "plan.json", env={"IMGSYNC_STATE": "elsewhere"})

    assert result.code == 0
    assert {change["source"].rpartition(":")[2]: change["action"] for change in result.json["changes"]} == {"1": "keep", "2": "create"}
    shared = sum(map(len, (base.all_blobs[digest] for digest in base.all_blobs.keys() & other.all_blobs.keys())))
    assert result.json["summary"]["transfer_bytes"] == other.size_bytes - shared
    assert "carries no deletions" in json.dumps(result.json)
    assert lab.destination.requests() == []
    assert [found.source.tag for found in create(lab, "--plan", "plan.json", "--have", "inside.json").images] == ["2"]


def test_plan_since_bundle_asks_no_destination(lab):
    """`plan --since` shows what is new since a bundle."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    create(lab)
    lab.push("app", "2", image(2))

    result = lab.run("plan", "--since", "out", "-o", "json")

    assert {change["source"].rpartition(":")[2]: change["action"] for change in result.json["changes"]} == {"1": "keep", "2": "create"}
    assert lab.destination.requests() == []
    assert lab.run("plan", "--since", "out", "--refresh").code == 3


def test_inventory_of_other_registry_is_noticed(lab):
    """An inventory of a registry to which nothing goes has no effect, and the plan says so."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.workplace.allow_plain_http(lab.destination, lab.source)
    assert lab.run("inventory", f"{lab.source.host}/{lab.name}", "--out", "inside.json").code == 0
    lab.declare("app")

    result = lab.run("plan", "--have", "inside.json")

    (warning,) = result.events("inventory.unfit")
    assert "where no mirror writes" in warning["reason"]


def test_minimum_age_holds_until_seen_long_enough(lab):
    """The times of `min_age` are kept between creations, and only those."""
    lab.push("app", "1", image(1))
    lab.declare("app", "tags: {min_age: 1s}")

    assert create(lab) is None
    exported = lab.run("state", "export")
    assert [json.loads(line)["kind"] for line in exported.stdout.splitlines()[1:]] == ["seen"]
    found = wait_for_bundle(lab)

    assert [one.source.tag for one in found.images] == ["1"]


def wait_for_bundle(lab):
    """Create until the minimum age is over; return the bundle."""
    for _ in range(20):
        found = create(lab)
        if found is not None:
            return found
    raise AssertionError("the image is held forever")


def test_file_in_place_of_the_folder_is_an_error_in_words(lab):
    """No number of the system, and nothing is written."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.write("out", "mine")

    result = lab.run("bundle", "create", "--out", "out")

    assert (result.code, (lab.folder / "out").read_text()) == (3, "mine")
    assert "error: out is not a folder" in result.stderr
    assert "Errno" not in result.stderr


def test_volume_size_is_refused_before_anything_is_asked(lab):
    """It cannot become right later."""
    lab.declare("app")

    result = lab.run("bundle", "create", "--out", "out", "--volume-size", "10KiB")

    assert result.code == 3
    assert "a volume of 10.0 KiB is too small" in result.stderr
    assert lab.source.requests() == []
