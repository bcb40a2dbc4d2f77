"""Layouts are destinations and sources as registries are."""

from __future__ import annotations

import pytest

from tests.images.test_referrers import push_fallback
from tests.support.images import DOCKER, artifact, image, index, push
from tests.support.layouts import LayoutOnDisk


@pytest.fixture
def usb(lab):
    """Return the layout `usb`, which registries.yaml declares."""
    return LayoutOnDisk(lab.folder / "usb")


def declare(lab, *mirrors: str, layouts: str = "usb: {path: usb}", more: str = "") -> None:
    """Declare *mirrors*, each as `SOURCE -> DESTINATION`, with the YAML lines of its settings."""
    lines = ["version: 1", "mirrors:"]
    for number, mirror in enumerate(mirrors):
        words, *settings = mirror.strip().splitlines()
        source, destination = words.split(" -> ")
        lines += [f"  - name: m{number}", f"    source: {source}", f"    destinations: [{destination}]", "    retry: {attempts: 2, interval: 0s}"]
        lines += [f"    {setting.strip()}" for setting in settings]
    lab.write("mirrors.d/a.yaml", "\n".join(lines) + "\n")
    plain = "".join(f"  {host}: {{tls: false}}\n" for host in (lab.source.host, lab.destination.host))
    lab.write("registries.yaml", f"version: 1\nregistries:\n{plain}layouts:\n  {layouts}\n{more}")


def out(lab, repository: str = "app") -> str:
    """Return a mirror from the source registry into the layout."""
    return f"{lab.source.host}/{lab.name}/{repository} -> 'oci-layout:usb/outside'"


def back(lab, repository: str = "app") -> str:
    """Return a mirror from the layout to the destination registry, as `m/NAME/REPOSITORY`."""
    return f"oci-layout:usb/outside/{lab.name}/{repository} -> {{registry: '{lab.destination.host}', repository: 'm/{lab.name}/{repository}'}}"


@pytest.mark.parametrize(
    "content", [image(1), index(2), image(3, kind=DOCKER), index(4, kind=DOCKER), index(5, nested=True)], ids=["oci", "index", "docker", "list", "nested"]
)
def test_image_goes_into_a_layout_and_back_byte_for_byte(lab, usb, content):
    """Digests stay for every type."""
    lab.push("app", "1", content)
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    usb.assert_holds(f"outside/{lab.name}/app:1", content)

    declare(lab, back(lab))
    ran = lab.run("apply", "--yes")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)


def test_second_run_moves_nothing(lab, usb):
    """The tag is in step."""
    lab.push("app", "1", image(1))
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    before = (usb.folder / "index.json").stat()

    report = lab.run("apply", "--yes", "-o", "json").json

    assert report["summary"]["kept"] == 1
    assert report["summary"]["bytes_copied"] == 0
    assert (usb.folder / "index.json").stat() == before


def test_referrers_go_along(lab, usb):
    """They are listed in index.json, and found there on the way back."""
    content = lab.push("app", "1", image(1))
    bill = artifact(1, subject=content)
    push(lab.source_registry, f"{lab.name}/app", "", bill)
    push_fallback(lab.source_registry, f"{lab.name}/app", content, bill)
    signature = lab.push("app", f"{content.digest.replace(':', '-')}.sig", image("signature"))
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    assert {entry["digest"] for entry in usb.entries} == {content.digest, bill.digest, signature.digest}

    declare(lab, back(lab))
    assert lab.run("apply", "--yes").code == 0

    lab.assert_served("app", "1", content)
    assert lab.served_manifest("app", bill.digest) == bill.raw
    assert lab.served_digest("app", f"{content.digest.replace(':', '-')}.sig") == signature.digest


def test_repositories_share_blobs(lab, usb):
    """The second repository mounts them, and nothing is read again."""
    content = image(1)
    lab.push("one", "1", content)
    lab.push("two", "1", content)
    declare(lab, f"{{registry: '{lab.source.host}', repositories: [{lab.name}/one, {lab.name}/two]}} -> 'oci-layout:usb/outside'")

    report = lab.run("apply", "--yes", "-o", "json").json

    assert report["summary"]["blobs_copied"] == len(content.all_blobs)
    assert report["summary"]["blobs_mounted"] == len(content.all_blobs)
    assert set(usb.names) == {f"outside/{lab.name}/one:1", f"outside/{lab.name}/two:1"}


def test_image_is_copied_into_a_path_and_back(lab):
    """The folder is made; the repository is the full name; the only image of the layout is taken."""
    content = lab.push("app", "1", index(1))
    declare(lab)

    out = lab.run("copy", f"{lab.source.host}/{lab.name}/app:1", "oci-layout:./dir")
    back = lab.run("copy", "oci-layout:./dir", f"{lab.destination.host}/m/{lab.name}/app:1")

    assert (out.code, back.code) == (0, 0), out.stderr + back.stderr
    LayoutOnDisk(lab.folder / "dir").assert_holds(f"{lab.source.host.replace(':', '_')}/{lab.name}/app:1", content)
    lab.assert_served("app", "1", content)
