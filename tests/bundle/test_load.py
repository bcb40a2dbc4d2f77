"""`imgsync bundle load`: apply whose source is a bundle."""

from __future__ import annotations

import dataclasses
import json

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests.support.carried import Attached, Carried, carry, expect
from tests.support.images import DOCKER, artifact, digest_of, image, index, layer, push, with_layer
from tests.support.signing import payload_of, signature_image, signer, simple
from tests.switches import refuse_mount, status

SOURCE = "source.example/team"
OLD = "sha256:" + "1" * 64


@pytest.fixture
def inside(lab):
    """Allow plain http at the destination; the source does not exist."""
    lab.workplace.allow_plain_http(lab.destination)
    return lab


def item(lab, content, name="app", tag="1.0", **more):
    """Return *content* to carry to where `lab` looks for it."""
    return Carried(content, f"{SOURCE}/{name}:{tag}", f"{lab.destination.host}/m/{lab.name}/{name}:{tag}", **more)


def actions(ran):
    """Return action and tag of each outcome, sorted."""
    return sorted((one["action"], one["source"].removeprefix(f"{SOURCE}/")) for one in ran.json["outcomes"])


def uploads(lab):
    """Return the digests that were sent whole to the destination."""
    return [one.target.rpartition("digest=")[2].replace("%3A", ":") for one in lab.destination.recorded("PUT .*blobs/uploads.*digest=") if one.status == 201]


def declare(lab, settings="tags: {include: ['*']}", source=SOURCE):
    """Declare the mirror of the bundle's source, which no test can reach."""
    host, _, namespace = source.partition("/")
    lines = "".join(f"    {line}\n" for line in settings.splitlines())
    lab.write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: {host}, namespaces: [{namespace}]}}\n"
        f"    destinations: [{{registry: '{lab.destination.host}', namespace: m/{lab.name}, repository: '{{relative}}'}}]\n{lines}",
    )


def test_images_go_where_the_bundle_says(inside):
    """Digests of OCI and Docker types are kept, of images and of indexes."""
    contents = {
        "app": image(inside.name),
        "docker": image((inside.name, "d"), kind=DOCKER),
        "index": index(inside.name),
        "list": index((inside.name, 2), kind=DOCKER),
    }
    carry(inside.folder / "usb", *(item(inside, content, name) for name, content in contents.items()))

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 4
    assert {one["mirror"] for one in ran.json["outcomes"]} == {"apps"}
    for name, content in contents.items():
        inside.assert_served(name, "1.0", content)


@pytest.mark.parametrize(
    ("had", "wanted"),
    [
        ("s.example/a/app:1", "m/{name}/a/app:1"),
        ("s.example/a/app:1", "a/app:1"),
        ("s.example/a/app:1", "m/{name}/a_app:1"),
        ("s.example/a/app:1", "m/{name}/other:2"),
        ("s.example/a/app:1", "m/{name}/app:stable"),
        ("docker.io/library/app@{digest}", "m/{name}/app:1"),
        ("s.example/a/app:1@{digest}", "m/{name}/app:1"),
        ("s.example/a/app:sha256-{hex}.sig", "m/{name}/app:sha256-{hex}.sig"),
    ],
)
def test_any_name_becomes_the_one_that_is_wanted(had, wanted, inside):
    """A template is found for it, or it is written out."""
    content = image((inside.name, had, wanted))
    names = {"name": inside.name, "digest": content.digest, "hex": "a" * 64}
    target = f"{inside.destination.host}/{wanted.format(**names)}"
    carry(inside.folder / "usb", Carried(content, had.format(**names), target))

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [(one["destination"], one["digest"]) for one in ran.json["outcomes"]] == [(target, content.digest)]


def test_second_load_moves_nothing_and_asks_nothing(inside):
    """The state answers, as for apply."""
    carry(inside.folder / "usb", item(inside, image(inside.name)))
    inside.run("bundle", "load", "usb")
    inside.destination.forget()

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["kept"] == 1
    assert inside.destination.requests() == []


def test_dry_run_pushes_nothing(inside):
    """It prints the plan."""
    carry(inside.folder / "usb", item(inside, image(inside.name)))

    ran = inside.run("bundle", "load", "usb", "--dry-run", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["create"] == 1
    assert not inside.destination.requests("PUT|POST|PATCH|DELETE")
    assert inside.served_digest("app", "1.0") is None


@pytest.mark.row("LOAD-01")
def test_no_source_is_contacted(inside):
    """Neither one of which the bundle has images, nor a declared one of which it has none."""
    carry(
        inside.folder / "usb", Carried(image(inside.name), f"{inside.source.host}/{inside.name}/app:1.0", f"{inside.destination.host}/m/{inside.name}/app:1.0")
    )
    inside.declare("app other", "tags: {include: ['*'], names: [latest]}")
    text = (inside.folder / "mirrors.d/a.yaml").read_text()
    inside.write("mirrors.d/b.yaml", text.replace("name: a", "name: b").replace("/m'", "/other'").replace(inside.source.host, inside.other_host.host))

    ran = inside.run("bundle", "load", "usb", "mirrors.d", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one["destination"] for one in ran.json["outcomes"]] == [f"{inside.destination.host}/m/{inside.name}/app:1.0"]
    assert inside.source.seen == inside.other_host.seen == []


def test_declared_mirrors_select_among_the_images(inside):
    """Filters count; nothing else of the mirror is missing or gone, and the rest is named."""
    carry(inside.folder / "usb", *(item(inside, image((inside.name, name, tag)), name, tag) for name in ("app", "web") for tag in ("1.0", "2.0")))
    declare(inside, "tags: {semver: '>=2', names: ['9.9'], at_least: 50}\nprune: true")

    ran = inside.run("bundle", "load", "usb", "mirrors.d", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert actions(ran) == [("create", "app:2.0"), ("create", "web:2.0")]
    assert ran.json["gone"] == []
    (unselected,) = ran.events("bundle.unselected")
    assert unselected["images"] == 2
    assert unselected["reason"] == f"no mirror selects {SOURCE}/app:1.0, {SOURCE}/web:1.0"


def test_tags_that_the_bundle_lacks_are_not_pruned(inside):
    """Loading deletes nothing, whatever the mirrors say."""
    declare(inside, "tags: {include: ['*']}\nprune: {gone: true}")
    carry(inside.folder / "one", *(item(inside, image((inside.name, tag)), tag=tag) for tag in "12"))
    inside.run("bundle", "load", "one", "mirrors.d")
    carry(inside.folder / "two", item(inside, image((inside.name, "3")), tag="3"))

    ran = inside.run("bundle", "load", "two", "mirrors.d", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert actions(ran) == [("create", "app:3")]
    assert inside.served_tags("app") == ["1", "2", "3"]


def test_immutable_and_minimum_age_hold_as_declared(inside):
    """As for apply."""
    carry(inside.folder / "one", item(inside, image(inside.name), tag="v1"))
    declare(inside, "immutable: ['v*']")
    inside.run("bundle", "load", "one", "mirrors.d")
    carry(inside.folder / "two", item(inside, image("moved"), tag="v1"), item(inside, image("new"), tag="w2"), parent=OLD)
    declare(inside, "immutable: ['v*']\ntags: {include: ['*'], min_age: 3d}")

    ran = inside.run("bundle", "load", "two", "mirrors.d", "-o", "json")

    assert ran.code == 1
    assert actions(ran) == [("hold", "app:w2"), ("refuse", "app:v1")]


@pytest.mark.row("LOAD-02")
@pytest.mark.parametrize("side", ["sources", "destinations"])
def test_allow_of_the_operator_holds(side, inside):
    """A bundle cannot name a place that the operator does not allow."""
    carry(inside.folder / "usb", item(inside, image(inside.name)))
    settings = json.loads((inside.folder / "registries.yaml").read_text())
    inside.write("registries.yaml", json.dumps(settings | {"allow": {side: ["elsewhere.example/x"]}}))

    ran = inside.run("bundle", "load", "usb")

    assert ran.code == 3
    assert f"1 {side.removesuffix('s')} repository not allowed by registries.yaml" in ran.stderr
    assert inside.destination.seen == []


@pytest.mark.row("LOAD-04")
@pytest.mark.parametrize("by", ["prod", "other"])
def test_signatures_of_images_are_checked_offline(by, inside):
    """With the referrers inside, by the operator's keys."""
    content = image(inside.name)
    repository = f"{SOURCE}/app"
    signed = signature_image(simple(signer(by), content.digest, repository, payload=payload_of(content.digest, repository)))
    tag = f"sha256-{content.digest.partition(':')[2]}.sig"
    carry(inside.folder / "usb", item(inside, content, attached=(Attached(signed, content.digest, tag),)))
    settings = json.loads((inside.folder / "registries.yaml").read_text())
    keys = {"keys": {"prod": {"pem": signer("prod").pem}}, "require": {SOURCE: {"signatures": {"keys": ["prod"]}}}}
    inside.write("registries.yaml", json.dumps(settings | keys))

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert (ran.code, actions(ran)) == ((0, [("create", "app:1.0")]) if by == "prod" else (1, [("refuse", "app:1.0")])), ran.stderr
    assert inside.served_digest("app", tag) == (signed.digest if by == "prod" else None)


def test_referrers_come_along(inside):
    """By the API or the fallback tag of the destination."""
    content = image(inside.name)
    sbom = artifact(inside.name, subject=content)
    carry(inside.folder / "usb", item(inside, content, attached=(Attached(sbom, content.digest),)))

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    fallback = json.loads(inside.served_manifest("app", content.digest.replace(":", "-")))
    assert [one["digest"] for one in fallback["manifests"]] == [sbom.digest]


def prepare_differential(lab, *, repositories=(), held_by=OLD, parent=OLD):
    """Carry an image without its base; return base and image."""
    base = layer(("base", lab.name), 40_000)
    content = image((lab.name, "new"), layers=1, shared=base)
    left_out = expect(base, digest_of(base), *repositories, held_by=held_by)
    carry(lab.folder / "usb", item(lab, content), item(lab, image((lab.name, "whole")), "whole"), expects=left_out, parent=parent)
    return base, content


def push_base(lab, base, repository="base"):
    """Push an image on *base* to the destination; return its repository."""
    path = f"m/{lab.name}/{repository}"
    push(lab.destination_registry, path, "1", image((lab.name, "first"), layers=1, shared=base))
    return path


def test_blob_that_was_left_out_is_mounted(inside):
    """From the repository that the bundle names."""
    base, content = prepare_differential(inside, repositories=(f"m/{inside.name}/none", f"m/{inside.name}/base"))
    push_base(inside, base)

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    inside.assert_served("app", "1.0", content)
    assert digest_of(base) not in uploads(inside)
    assert ran.json["summary"]["blobs_mounted"] == 1


def test_blob_is_read_from_the_destination_if_it_is_not_mounted(inside):
    """As from Artifactory, which mounts nothing across repositories."""
    base, content = prepare_differential(inside, repositories=(push_path := f"m/{inside.name}/base",))
    assert push_base(inside, base) == push_path
    inside.destination.add(refuse_mount())

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    inside.assert_served("app", "1.0", content)
    assert digest_of(base) in uploads(inside)


@pytest.mark.row("LOAD-05")
@pytest.mark.parametrize(
    ("held_by", "parent", "inventory", "kind"),
    [
        (OLD, OLD, "", "bundle"),
        ("sha256:" + "2" * 64, "", "sha256:" + "2" * 64, "inventory"),
        ("sha256:" + "2" * 64, "", "sha256:" + "3" * 64, "inventory"),
    ],
    ids=["bundle", "inventory", "one of several inventories"],
)
def test_what_is_missing_is_named_before_a_push(held_by, parent, inventory, kind, inside):
    """With the bundle or the inventory that had it, and nothing is pushed."""
    base = layer(("base", inside.name), 40_000)
    content = image((inside.name, "new"), layers=1, shared=base)
    left_out = expect(base, digest_of(base), "m/base", held_by=held_by)
    carry(inside.folder / "usb", item(inside, content), item(inside, image(inside.name), "whole"), expects=left_out, parent=parent, inventory=inventory)

    ran = inside.run("bundle", "load", "usb")

    assert ran.code == 1
    incomplete = next(json.loads(line) for line in ran.stderr.splitlines() if '"bundle.incomplete"' in line)
    assert incomplete["reference"] == f"{inside.destination.host}/m/{inside.name}/app:1.0"
    said = f"which {kind} {held_by.partition(':')[2][:12]} says is at the destination, in m/base"
    assert digest_of(base) in incomplete["reason"]
    assert said in incomplete["reason"]
    assert said in ran.stdout
    assert not inside.destination.requests("PUT|POST|PATCH")


def test_skip_missing_loads_the_complete_images(inside):
    """The others are errors."""
    prepare_differential(inside)

    ran = inside.run("bundle", "load", "usb", "--skip-missing", "-o", "json")

    assert ran.code == 1
    assert actions(ran) == [("create", "whole:1.0")]
    (error,) = ran.json["errors"]
    assert error["reference"] == f"{SOURCE}/app:1.0"
    assert inside.served_digest("app", "1.0") is None


@pytest.mark.row("LOAD-06")
def test_nothing_is_taken_from_a_repository_that_is_not_allowed(inside):
    """A bundle cannot publish a layer of another team by naming it."""
    base, _ = prepare_differential(inside, repositories=("private/team",))
    push(inside.destination_registry, "private/team", inside.name, image((inside.name, "private"), layers=1, shared=base))
    settings = json.loads((inside.folder / "registries.yaml").read_text())
    inside.write("registries.yaml", json.dumps(settings | {"allow": {"destinations": [f"{inside.destination.host}/m"]}}))

    ran = inside.run("bundle", "load", "usb")

    assert ran.code == 1
    assert not inside.destination.requests("private")


@pytest.mark.row("LOAD-09")
@pytest.mark.parametrize("has_bytes", [True, False])
def test_layer_is_mounted_only_for_who_has_its_bytes(has_bytes, inside):
    """An unsigned bundle that claims a digest gets no layer of another team published."""
    private = layer(("private", inside.name), 40_000)
    first = Carried(image((inside.name, "first"), layers=1, shared=private), "other.example/team/app:1", f"{inside.destination.host}/m/{inside.name}/private:1")
    carry(inside.folder / "one", first)
    assert inside.run("bundle", "load", "one").code == 0
    bundle = carry(inside.folder / "two", item(inside, image((inside.name, "second"), layers=1, shared=private)))
    if not has_bytes:
        path = inside.folder / "two" / bundle.volumes[0].file
        path.write_bytes(path.read_bytes().replace(private, bytes(len(private))))
    inside.destination.forget()

    ran = inside.run("bundle", "load", "two", "-o", "json")

    assert ran.code == (0 if has_bytes else 1), ran.stderr
    assert bool(inside.destination.recorded("mount=")) is has_bytes
    assert (inside.served_digest("app", "1.0") is not None) is has_bytes


def test_record_of_the_state_saves_the_question(inside):
    """What this state loaded before is not asked for."""
    base = layer(("base", inside.name), 40_000)
    carry(inside.folder / "one", item(inside, image((inside.name, "first"), layers=1, shared=base), "base"))
    first = inside.run("bundle", "load", "one", "-o", "json")
    assert first.code == 0, first.stderr
    prepare_differential(inside, repositories=(f"m/{inside.name}/base",))
    inside.destination.forget()

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert not inside.destination.requests("HEAD .*/blobs/")
    assert digest_of(base) not in uploads(inside)


def test_missing_volume_is_named_with_its_images(inside):
    """And nothing is pushed."""
    contents = [item(inside, image((inside.name, name), layer_bytes=900_000), name) for name in ("app", "web")]
    bundle = carry(inside.folder / "usb", *contents, volume_bytes=2 << 20)
    lost = bundle.volumes[-1].file
    (inside.folder / "usb" / lost).rename(inside.folder / lost)

    ran = inside.run("bundle", "load", "usb")

    assert ran.code == 1
    said = next(json.loads(line) for line in ran.stderr.splitlines() if '"bundle.volume_missing"' in line)
    assert (said["volume"], said["images"]) == (lost, 1)
    assert f"/m/{inside.name}/" in said["reason"]
    assert "--skip-missing" in ran.stderr
    assert not inside.destination.requests("PUT|POST|PATCH")

    again = inside.run("bundle", "load", "usb", "--volumes", ".", "-o", "json")

    assert again.code == 0, again.stderr
    for one in contents:
        inside.assert_served(one.source.rpartition("/")[2].partition(":")[0], "1.0", one.image)


@pytest.mark.row("LOAD-07")
def test_damaged_volume_is_named_and_other_images_go_on(inside):
    """Wrong bytes are never committed."""
    contents = [item(inside, image((inside.name, name), layer_bytes=900_000), name) for name in ("app", "web")]
    bundle = carry(inside.folder / "usb", *contents, volume_bytes=2 << 20)
    victim = max((blob for blob in bundle.blobs if blob.volume == 1), key=lambda blob: blob.size_bytes)
    path = inside.folder / "usb" / bundle.volumes[0].file
    raw = bytearray(path.read_bytes())
    raw[raw.index(next(content[:64] for one in contents for digest, content in one.image.all_blobs.items() if digest == victim.digest)) + 1000] ^= 1
    path.write_bytes(raw)

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 1
    results = {one["source"].rpartition("/")[2]: one["error"] for one in ran.json["outcomes"]}
    (failed,) = [error for error in results.values() if error]
    assert f"{victim.digest} in {bundle.volumes[0].file}" in failed
    assert "`imgsync bundle verify` names the volumes" in ran.stderr
    assert ran.json["summary"]["copied"] == 1


@pytest.mark.row("LOAD-07")
def test_damaged_manifest_is_named_with_its_volume(inside):
    """The image cannot be planned; the others are loaded."""
    contents = {name: image((inside.name, name)) for name in ("app", "web")}
    bundle = carry(inside.folder / "usb", *(item(inside, one, name) for name, one in contents.items()))
    path = inside.folder / "usb" / bundle.volumes[0].file
    raw = bytearray(path.read_bytes())
    raw[raw.index(contents["app"].raw) + 60] ^= 1
    path.write_bytes(raw)

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 1
    (error,) = ran.json["errors"]
    assert f"{contents['app'].digest} in {bundle.volumes[0].file}" in error["message"]
    assert "`imgsync bundle verify` names the volumes" in error["hint"]
    assert actions(ran) == [("create", "web:1.0")]


def test_part_of_the_declared_mirrors_can_be_loaded(inside):
    """By --only; a pin selects the digest that it names."""
    contents = {tag: image((inside.name, tag)) for tag in ("1.0", "2.0")}
    carry(inside.folder / "usb", *(item(inside, one, name, tag) for name in ("app", "web") for tag, one in contents.items()))
    declare(inside, f"tags: {{names: ['1.0@{contents['1.0'].digest}', '2.0@sha256:{'0' * 64}']}}")

    ran = inside.run("bundle", "load", "usb", "mirrors.d", "--only", "a/app", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert actions(ran) == [("create", f"app:1.0@{contents['1.0'].digest}")]


@pytest.mark.row("LOAD-03")
def test_unsigned_bundle_is_refused_where_a_signature_is_required(inside):
    """Before anything of it is used."""
    carry(inside.folder / "usb", item(inside, image(inside.name)))
    settings = json.loads((inside.folder / "registries.yaml").read_text())
    keys = {"keys": {"transfer": {"pem": signer("transfer").pem}}, "bundles": {"require": {"signed_by": ["transfer"]}}}
    inside.write("registries.yaml", json.dumps(settings | keys))

    refused = inside.run("bundle", "load", "usb")
    assert refused.code == 1
    assert "is not signed by transfer" in refused.stderr
    assert inside.destination.seen == []

    document = (inside.folder / "usb/imgsync-bundle.json").read_bytes()
    (inside.folder / "usb/imgsync-bundle.json.sig").write_bytes(signer("transfer").sign(document))
    ran = inside.run("bundle", "load", "usb", "-o", "json")
    assert ran.code == 0, ran.stderr
    assert not ran.events("bundle.unsigned")


def test_bundle_whose_signature_nobody_requires_is_named(inside):
    """With how to require one."""
    bundle = carry(inside.folder / "usb", item(inside, image(inside.name)))

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    (said,) = ran.events("bundle.unsigned")
    assert (ran.code, said["bundle"]) == (0, bundle.id)


@pytest.mark.row("LOAD-08")
def test_older_bundle_moves_no_tag_back(inside):
    """Unless asked to; what is new in it is loaded."""
    old, new = image((inside.name, "old")), image((inside.name, "new"))
    first = carry(inside.folder / "one", item(inside, old), item(inside, image(inside.name), "late"))
    carry(inside.folder / "two", item(inside, new), parent=first.id)
    assert inside.run("bundle", "load", "two").code == 0

    ran = inside.run("bundle", "load", "one", "-o", "json")

    assert ran.code == 1
    assert "is older than" in ran.events("bundle.older")[0]["reason"]
    assert actions(ran) == [("create", "late:1.0"), ("refuse", "app:1.0")]
    (refused,) = [one for one in ran.json["outcomes"] if one["action"] == "refuse"]
    assert refused["reason"].startswith("the bundle is older than one that was loaded: ")
    assert "with --allow-older" in inside.run("bundle", "load", "one", "--dry-run").stdout
    inside.assert_served("app", "1.0", new)
    assert inside.run("bundle", "load", "two", "-o", "json").json["summary"]["kept"] == 1

    assert inside.run("bundle", "load", "one", "--allow-older").code == 0
    inside.assert_served("app", "1.0", old)


@pytest.mark.row("LOAD-08")
def test_later_bundle_without_the_chain_moves_no_tag_back(inside):
    """One for the same tags without a parent, as after another inventory: the earlier one does not move them back."""
    old, new = image((inside.name, "old")), image((inside.name, "new"))
    carry(inside.folder / "one", item(inside, old))
    carry(inside.folder / "two", item(inside, new))
    assert [inside.run("bundle", "load", name).code for name in ("one", "two")] == [0, 0]

    ran = inside.run("bundle", "load", "one")

    assert ran.code == 1
    assert "is older than" in ran.events("bundle.older")[0]["reason"]
    inside.assert_served("app", "1.0", new)


def test_unrelated_bundles_are_not_newer(inside):
    """Those for other images, loaded later, with and without a gap: the bundle goes on where it failed, and moves its tag."""
    old, new = image((inside.name, "old")), image((inside.name, "new"))
    first = carry(inside.folder / "one", item(inside, old))
    second = carry(inside.folder / "two", item(inside, new), parent=first.id)
    assert inside.run("bundle", "load", "one").code == 0
    inside.destination.add(status(500), method="PUT", target="/manifests/")
    assert inside.run("bundle", "load", "two").code == 1
    inside.destination.clear()
    carry(inside.folder / "alone", item(inside, image(inside.name), "other"))
    carry(inside.folder / "gap", item(inside, image((inside.name, "gap")), "more"), parent=OLD)
    assert [inside.run("bundle", "load", name).code for name in ("alone", "gap")] == [0, 0]

    ran = inside.run("bundle", "load", "two")

    assert (ran.code, ran.events("bundle.older")) == (0, [])
    inside.assert_served("app", "1.0", new)
    assert second.parent == first.id


def test_newer_bundle_moves_tags(inside):
    """Which has no parent, or the older one."""
    for number in range(3):
        carry(inside.folder / str(number), item(inside, image((inside.name, number))))
        assert inside.run("bundle", "load", str(number)).code == 0

        inside.assert_served("app", "1.0", image((inside.name, number)))


def test_bundle_that_was_not_loaded_is_named(inside):
    """The one before has images that this one does not bring."""
    missing = carry(inside.folder / "one", item(inside, image((inside.name, 1)), "other"))
    last = carry(inside.folder / "two", item(inside, image((inside.name, 2))), parent=missing.id)

    ran = inside.run("bundle", "load", "two")

    (said,) = ran.events("bundle.gap")
    assert (ran.code, said["bundle"], said["parent"]) == (0, last.id, missing.id)
    assert inside.run("bundle", "load", "one").events("bundle.gap") == []
    assert inside.run("bundle", "load", "two").events("bundle.gap") == []


def test_bundle_that_may_fill_a_gap_moves_no_tag_back(inside):
    """One that was forgotten comes late, while a later one is still missing."""
    first = carry(inside.folder / "1", item(inside, image(inside.name), "other"))
    second = carry(inside.folder / "2", item(inside, image((inside.name, 2))), parent=first.id)
    third = carry(inside.folder / "3", item(inside, image((inside.name, 3)), "more"), parent=second.id)
    newest = image((inside.name, 4))
    carry(inside.folder / "4", item(inside, newest), parent=third.id)
    assert [inside.run("bundle", "load", name).code for name in ("1", "4")] == [0, 0]

    late = inside.run("bundle", "load", "2")

    assert late.code == 1
    assert "may be older than" in late.events("bundle.older")[0]["reason"]
    inside.assert_served("app", "1.0", newest)
    again = inside.run("bundle", "load", "4")
    assert (again.code, again.events("bundle.older")) == (0, [])


def test_limits_hold_as_for_apply(inside):
    """More changes than allowed: nothing is pushed."""
    carry(inside.folder / "usb", *(item(inside, image((inside.name, tag)), tag=tag) for tag in "12"))

    ran = inside.run("bundle", "load", "usb", "--max-changes", "1")

    assert ran.code == 1
    assert not inside.destination.requests("PUT|POST")


def test_second_load_at_once_is_refused(inside):
    """By the lock of the state."""
    carry(inside.folder / "usb", item(inside, image(inside.name)))
    with open_state(str(inside.folder / ".imgsync/state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail):
        ran = inside.run("bundle", "load", "usb")

    assert ran.code == 75
    assert "locked" in ran.stderr


def test_only_needs_declared_mirrors(inside):
    """Without PATH there are no mirrors to name."""
    carry(inside.folder / "usb", item(inside, image(inside.name)))

    ran = inside.run("bundle", "load", "usb", "--only", "a")

    assert ran.code == 3
    assert "needs PATH" in ran.stderr


def test_image_with_an_external_layer_is_loaded(inside):
    """The layer that nobody pushed is left out, as for apply."""
    content = with_layer(image(inside.name), urls=["https://files.example/layer"], mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    foreign = json.loads(content.raw)["layers"][0]["digest"]
    kept = {digest: blob for digest, blob in content.blobs.items() if digest != foreign}
    carry(inside.folder / "usb", item(inside, dataclasses.replace(content, blobs=kept)))

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert inside.served_digest("app", "1.0") == content.digest


def test_images_are_loaded_into_a_layout(inside):
    """The destination of a bundle may be a folder as well."""
    content = index(inside.name)
    inside.write("registries.yaml", json.dumps({"version": 1, "layouts": {"store": {"path": "store"}}}))
    carry(inside.folder / "usb", Carried(content, f"{SOURCE}/app:1.0", "oci-layout:store/m/app:1.0"))

    ran = inside.run("bundle", "load", "usb", "-o", "json")

    assert ran.code == 0, ran.stderr
    listed = json.loads((inside.folder / "store/index.json").read_text())["manifests"]
    assert [one["digest"] for one in listed if "annotations" in one] == [content.digest]
    assert inside.run("bundle", "load", "usb", "-o", "json").json["summary"]["kept"] == 1
