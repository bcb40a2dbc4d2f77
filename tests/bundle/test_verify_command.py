"""`imgsync bundle verify`: what it prints, and its exit codes."""

from __future__ import annotations

import json

import pytest

from tests.support.carried import Carried, carry
from tests.support.images import image
from tests.support.signing import signer
from tests.support.terminal import record, without_escapes


@pytest.fixture
def bundle(workplace):
    """Write a bundle of two images in two volumes."""
    images = {name: image(name, layer_bytes=900_000) for name in ("app", "web")}
    items = (Carried(one, f"s.example/{name}:1", f"registry.inside/m/{name}:1") for name, one in images.items())
    return carry(workplace.folder / "usb", *items, volume_bytes=2 << 20)


def flip(path, offset=-20_000):
    """Change one byte of a file."""
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)


def test_intact_bundle_is_described(bundle, imgsync):
    """Exit code 0."""
    ran = imgsync("bundle", "verify", "usb")

    assert ran.code == 0, ran.stderr
    first, second = (volume.file for volume in bundle.volumes)
    assert ran.stdout.splitlines()[0].startswith(f"Bundle {bundle.id.partition(':')[2][:12]}   2 images, 2 volumes, ")
    assert "  ? signature   none; `bundles` in registries.yaml requires none" in ran.stdout
    assert f"  = {first}   " in ran.stdout
    assert f"  = {second}   " in ran.stdout
    assert ran.stdout.splitlines()[-1] == "2 of 2 volumes intact, 2 of 2 images complete."


def test_damaged_volume_names_the_images_that_it_costs(bundle, imgsync, workplace):
    """Exit code 1."""
    flip(workplace.folder / "usb" / bundle.volumes[0].file)

    ran = imgsync("bundle", "verify", "usb")

    assert ran.code == 1
    assert f"  x {bundle.volumes[0].file}   " in ran.stdout
    assert "1 image cannot be loaded:" in ran.stdout
    assert "1 of 2 volumes intact, 1 of 2 images complete." in ran.stdout
    assert "--volume 1" in ran.stdout


def test_document_says_the_same(bundle, imgsync, workplace):
    """As JSON."""
    (workplace.folder / "usb" / bundle.volumes[1].file).unlink()

    ran = imgsync("bundle", "verify", "usb", "--output", "json")

    assert ran.code == 1
    assert (ran.json["format"], ran.json["bundle"], ran.json["is_intact"]) == ("imgsync.bundle-verification/v1", bundle.id, False)
    assert [volume["unusable"] for volume in ran.json["volumes"]] == [None, "it is missing"]
    assert {one["destination"] for one in ran.json["lost"]} == set(ran.json["volumes"][1]["costs"])
    assert all(one["volumes"] == [bundle.volumes[1].file] for one in ran.json["lost"])


def test_volumes_may_lie_in_several_folders(bundle, imgsync, workplace):
    """As on two disks."""
    (workplace.folder / "second").mkdir()
    (workplace.folder / "usb" / bundle.volumes[1].file).rename(workplace.folder / "second" / bundle.volumes[1].file)

    lacking = imgsync("bundle", "verify", "usb")
    assert (lacking.code, lacking.stdout.splitlines()[-1].rpartition(". ")[2]) == (1, "If they are in other folders, name each with --volumes.")
    assert imgsync("bundle", "verify", "usb", "--volumes", "second").code == 0


@pytest.mark.parametrize("command", ["verify", "load"])
def test_folder_of_volumes_that_is_not_there_is_refused(command, bundle, imgsync, workplace):
    """A disk that is not mounted is named, and not all the images that lie there."""
    ran = imgsync("bundle", command, "usb", "--volumes", "second")

    assert ran.code == 3
    assert "--volumes second is not a folder" in ran.stderr
    assert "mounted" in ran.stderr


def test_document_stands_for_its_folder(bundle, imgsync, workplace):
    """As in `--since`; another file is not a bundle."""
    assert imgsync("bundle", "verify", "usb/imgsync-bundle.json").code == 0

    ran = imgsync("bundle", "load", f"usb/{bundle.volumes[0].file}")

    assert ran.code == 3
    assert f"{bundle.volumes[0].file} is not a folder" in ran.stderr


def test_unfinished_bundle_is_recognized(bundle, imgsync, workplace):
    """What continues it is the hint."""
    (workplace.folder / "next" / ".imgsync-bundle.partial").mkdir(parents=True)

    ran = imgsync("bundle", "verify", "next")

    assert ran.code == 1
    assert "run `imgsync bundle create` again" in ran.stderr


@pytest.mark.parametrize("damaged", [False, True])
def test_one_volume_is_verified_alone(damaged, bundle, imgsync, workplace):
    """Without the document of its bundle."""
    path = workplace.folder / bundle.volumes[1].file
    (workplace.folder / "usb" / bundle.volumes[1].file).rename(path)
    if damaged:
        flip(path)

    ran = imgsync("bundle", "verify", path.name)
    document = imgsync("bundle", "verify", path.name, "-o", "json")

    assert ran.code == document.code == int(damaged)
    assert ran.stdout.startswith(f"Volume 2 of 2 of bundle {bundle.id.partition(':')[2][:12]}\n")
    assert ("every byte is as it should be" in ran.stdout) is not damaged
    assert document.json["is_intact"] is not damaged
    assert bool(document.json["volumes"][0]["problems"]) is damaged


def test_required_signature_is_named(bundle, imgsync, workplace):
    """Exit code 1 without it, and nothing else is read."""
    keys = {"transfer": {"pem": signer("transfer").pem}}
    workplace.registries_file(json.dumps({"version": 1, "keys": keys, "bundles": {"require": {"signed_by": ["transfer"]}}}))

    refused = imgsync("bundle", "verify", "usb")
    document = workplace.folder / "usb/imgsync-bundle.json"
    (workplace.folder / "usb/imgsync-bundle.json.sig").write_bytes(signer("transfer").sign(document.read_bytes()))
    signed = imgsync("bundle", "verify", "usb")

    assert (refused.code, refused.stdout) == (1, "")
    assert "is not signed by transfer" in refused.stderr
    assert signed.code == 0, signed.stderr
    assert "  = signature   by transfer, in imgsync-bundle.json.sig" in signed.stdout


def test_folder_without_a_bundle_is_an_error(imgsync, workplace):
    """Exit code 1, as for any bundle that cannot be used."""
    (workplace.folder / "mirrors.d").mkdir()

    ran = imgsync("bundle", "verify", "mirrors.d")

    assert ran.code == 1
    assert "there is no imgsync-bundle.json" in ran.stderr


@pytest.mark.parametrize("command", ["verify", "load"])
def test_place_that_is_not_there_ends_with_3(command, imgsync):
    """As any argument that names nothing."""
    ran = imgsync("bundle", command, "nothing")

    assert ran.code == 3
    assert "there is no nothing" in ran.stderr
    assert "check that the disk is mounted" in ran.stderr


def test_invalid_settings_end_with_3(bundle, imgsync, workplace):
    """As for `verify`."""
    workplace.registries_file("version: 1\nbundles: {require: {signed_by: [nobody]}}\n")

    assert imgsync("bundle", "verify", "usb").code == 3


def carry_large(folder):
    """Write a bundle of one image that takes more than a moment to verify."""
    large = image("large", layers=1, shared=bytes(128 << 20))
    return carry(folder, Carried(large, "s.example/large:1", "registry.inside/m/large:1"), volume_bytes=100 << 20)


def show(workplace, pattern, *arguments):
    """Record runs until one takes long enough to show its progress; return it."""
    for _ in range(8):
        seen = record(workplace, "bundle", "verify", *arguments)
        assert seen.code == 0
        assert "━" not in seen.text
        if seen.ever_shows(pattern):
            return seen
    raise AssertionError(f"no run showed {pattern}, such as {without_escapes(seen.raw)}")


def test_progress_is_shown_in_bytes_of_volumes(workplace):
    """As for create and load: on a terminal alone, and gone at the end."""
    bundle = carry_large(workplace.folder / "usb")

    show(workplace, r"[01] of 2 volumes [━─]+ +\d+\.\d/128\.0 MiB .*/s", "usb")
    show(workplace, r"0 of 1 volume [━─]+ +\d+\.\d/100\.0 MiB .*/s", f"usb/{bundle.volumes[0].file}")
    quiet = record(workplace, "bundle", "verify", "usb", "--no-progress")

    assert "2 of 2 volumes intact" in quiet.text
    assert "━" not in quiet.raw


def test_progress_is_logged_without_a_terminal(imgsync, workplace):
    """At intervals, with the same numbers."""
    bundle = carry_large(workplace.folder / "usb")

    ran = imgsync("bundle", "verify", "usb", "--heartbeat", "20ms")

    first = ran.events("bundle.progress")[0]
    assert ran.code == 0
    assert first["volumes_total"] == 2
    assert first["bytes_total"] == sum(volume.size_bytes for volume in bundle.volumes)
    assert 0 <= first["bytes_read"] <= first["bytes_total"]
    assert imgsync("bundle", "verify", "usb").stderr == ""
