"""Layouts are destinations and sources as registries are."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess

import pytest

from tests.images.test_referrers import push_fallback
from tests.support.effort import effort
from tests.support.images import DOCKER, artifact, first_layer, image, index, push, shared_base_images
from tests.support.layouts import REF_NAME, LayoutOnDisk, named


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


def test_pruned_tag_takes_its_own_blobs_along(lab, usb):
    """Blobs that other images use stay, and so do referrers of those."""
    kept, gone = shared_base_images(2)
    lab.push("app", "1", kept)
    lab.push("app", "2", gone)
    bill = artifact(1, subject=gone)
    push(lab.source_registry, f"{lab.name}/app", "", bill)
    push_fallback(lab.source_registry, f"{lab.name}/app", gone, bill)
    declare(lab, f"{out(lab)}\nprune: true")
    assert lab.run("apply", "--yes").code == 0
    declare(lab, f"{out(lab)}\nprune: true\ntags: {{names: ['1']}}")

    report = lab.run("apply", "--yes", "-o", "json").json

    assert report["summary"]["deleted"] == 1
    assert set(usb.names) == {f"outside/{lab.name}/app:1"}
    assert [entry["digest"] for entry in usb.entries] == [kept.digest]
    assert usb.blobs == {*kept.all_blobs, kept.digest}


@pytest.mark.parametrize("loss", ["emptied", "replaced"])
def test_other_medium_is_filled_whatever_the_state_says(lab, usb, loss):
    """Media are exchanged: the state says that all is there."""
    content = lab.push("app", "1", image(1))
    declare(lab, f"{out(lab)}\nimmutable: ['*']")
    assert lab.run("apply", "--yes").code == 0
    shutil.rmtree(usb.folder)
    if loss == "replaced":
        usb.make().add(image("other"), annotations={REF_NAME: "other:1"})

    report = lab.run("apply", "--yes", "-o", "json").json

    assert report["summary"]["copied"] == 1
    usb.blob(content.digest).stat()
    assert {entry["digest"] for entry in usb.entries} >= {content.digest}


def test_lost_blob_is_found_by_verify_and_brought_by_refresh(lab, usb):
    """As at a registry."""
    content = lab.push("app", "1", image(1, layers=3))
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    usb.blob(first_layer(content)).unlink()

    assert lab.run("verify").code == 1
    report = lab.run("apply", "--yes", "--refresh", "-o", "json").json

    assert report["summary"]["blobs_copied"] == 1
    usb.assert_holds(f"outside/{lab.name}/app:1", content)
    assert lab.run("verify", "--deep").code == 0


def test_damaged_blob_is_found_by_its_bytes(lab, usb):
    """Its size is right."""
    content = lab.push("app", "1", image(1))
    declare(lab, out(lab))
    assert lab.run("apply", "--yes").code == 0
    blob = usb.blob(first_layer(content))
    blob.write_bytes(b"x" * blob.stat().st_size)

    ran = lab.run("verify", "--deep")

    assert ran.code == 1
    assert "app:1   damaged" in ran.stdout


def test_moved_immutable_tag_is_refused(lab, usb):
    """The layout keeps what it has."""
    content = lab.push("app", "1", image(1))
    declare(lab, f"{out(lab)}\nimmutable: ['*']")
    assert lab.run("apply", "--yes").code == 0
    lab.push("app", "1", image(2))

    ran = lab.run("apply", "--yes", "--refresh", "-o", "json")

    assert ran.json["summary"]["refused"] == 1
    usb.assert_holds(f"outside/{lab.name}/app:1", content)


def test_whole_layout_is_a_source(lab, usb):
    """All repositories below a namespace are listed; other entries are not theirs."""
    usb.make()
    one, two = usb.add(image(1), annotations=named(f"outside/{lab.name}/one:1")), usb.add(image(2), annotations=named(f"outside/{lab.name}/two:1"))
    usb.add(image(3), annotations=named("elsewhere/three:1"))
    declare(lab, f"{{layout: usb, namespaces: [outside]}} -> {{registry: '{lab.destination.host}', namespace: m, repository: '{{relative}}'}}")

    ran = lab.run("apply", "--yes", "-o", "json")

    assert ran.json["summary"]["copied"] == 2, ran.stderr
    lab.assert_served("one", "1", one)
    lab.assert_served("two", "1", two)


def test_platforms_are_selected_from_and_into_a_layout(lab, usb):
    """The index gets the digest that it gets at a registry."""
    lab.push("app", "1", index(1, platforms=("amd64", "arm64", "s390x")))
    declare(lab, f"{out(lab)}\nplatforms: [linux/amd64]")
    assert lab.run("apply", "--yes").code == 0
    (root,) = usb.entries
    assert lab.run("apply", "--yes", "-o", "json").json["summary"]["kept"] == 1

    declare(lab, back(lab))
    assert lab.run("apply", "--yes").code == 0

    assert lab.served_digest("app", "1") == root["digest"]


@pytest.mark.parametrize(
    ("mirror", "setting"),
    [("oci-layout:other/app -> 'oci-layout:usb'", "source"), ("oci-layout:usb/app -> {layout: other, namespace: x}", "destinations[0]")],
)
def test_undeclared_layout_is_an_error_at_its_place(lab, mirror, setting):
    """With what to write, and by whom."""
    declare(lab, mirror)

    ran = lab.run("validate")

    assert ran.code == 3
    assert f"mirrors[0].{setting}: registries.yaml has no layout named 'other'" in ran.stderr
    assert "declared: usb; the operator of registries.yaml can add it: `layouts: {other: {path: FOLDER}}`" in ran.stderr


@pytest.mark.row("LAY-01")
@pytest.mark.parametrize("written", ["'oci-layout:./dir'", "'oci-layout:/etc/x'", "'oci-layout:~/x'", "'oci-layout:../x'", "{layout: ../x}", "{layout: /etc}"])
def test_mirror_cannot_name_a_path(lab, written):
    """A pull request can name no folder of the machine."""
    declare(lab, f"r.io/app -> {written}")

    ran = lab.run("validate")

    assert ran.code == 3
    assert "mirrors[0].destinations[0]" in ran.stderr


def test_allow_list_covers_layouts(lab):
    """Prefixes are of the layout's name and the path."""
    declare(lab, "r.io/app -> 'oci-layout:usb/elsewhere'", more="allow: {destinations: ['oci-layout:usb/outside']}\n")

    ran = lab.run("validate")

    assert ran.code == 3
    assert "oci-layout:usb/elsewhere is not allowed by registries.yaml (allowed: oci-layout:usb/outside" in ran.stderr


def test_list_shows_repositories_and_tags_of_a_layout(lab, usb):
    """As of a registry."""
    usb.make().add(image(1), annotations=named("outside/one:1"))
    declare(lab)

    assert lab.run("list", "oci-layout:usb").stdout == "oci-layout:usb/outside/one\n"
    assert lab.run("list", "oci-layout:usb/outside/one").stdout == "1\n"


def test_login_check_finds_whether_layouts_can_be_written(lab, usb):
    """Nothing is changed by it."""
    lab.push("app", "latest", image(1))
    declare(lab, out(lab), f"{lab.source.host}/{lab.name}/app -> 'oci-layout:gone'", layouts="usb: {path: usb}\n  gone: {path: not/there}")

    ran = lab.run("login-check", "-o", "json")

    found = {row["registry"]: row for row in ran.json["access"]}
    assert ran.code == 1
    assert found["oci-layout:usb"]["allowed"] is True
    assert found["oci-layout:gone"]["allowed"] is False
    assert not usb.folder.exists()


def test_shown_configuration_has_layouts(lab):
    """`validate --show` prints what registries.yaml says."""
    declare(lab, out(lab), layouts="usb: {path: usb, repository: library/x}")

    assert "layouts:\n  usb:\n    path: usb\n    repository: library/x\n" in lab.run("validate", "--show").stdout


@pytest.mark.parametrize("runtime", ["containerd", "kyverno"])
def test_runtime_config_leaves_layouts_out(lab, runtime):
    """With a clear word: nodes pull from registries."""
    declare(lab, "registry.k8s.io/pause -> 'oci-layout:usb', mirror.example.com", "oci-layout:usb/app -> mirror.example.com", "quay.io/x/y -> 'oci-layout:usb'")

    ran = lab.run("runtime-config", runtime, "--out", "nodes")

    assert ran.code == 0, ran.stderr
    assert "m0: its OCI layout is left out: nodes pull from registries only" in ran.stderr
    assert "m1: left out: its source is an OCI layout" in ran.stderr
    assert "m2: left out: it copies into an OCI layout" in ran.stderr
    written = "".join(file.read_text() for file in (lab.folder / "nodes").rglob("*") if file.is_file())
    assert "mirror.example.com" in written
    assert "oci-layout" not in written


def test_layout_is_of_one_machine(lab):
    """Shards and fleets divide the work among several."""
    lab.push("app", "1", image(1))
    declare(lab, out(lab))
    assert lab.run("plan", "--out", "plan.json").code == 0

    ran = lab.run("apply", "--plan", "plan.json", "--shard", "1/2", "--outcome", "o.json")

    assert ran.code == 3
    assert "the mirror m0 uses oci-layout:usb, a folder of one machine, and --shard divides the work among machines" in ran.stderr


def test_lock_pins_images_of_a_layout(lab, usb):
    """As of a registry."""
    content = usb.make().add(image(1), annotations=named(f"outside/{lab.name}/app:1"))
    declare(lab, back(lab))

    assert lab.run("lock").code == 0
    assert content.digest in (lab.folder / "mirrors.lock/m0.yaml").read_text()
    assert lab.run("apply", "--yes", "--frozen").code == 0

    lab.assert_served("app", "1", content)


def test_state_is_not_kept_in_a_layout(lab):
    """It would be an image among those that are carried."""
    declare(lab, out(lab))

    ran = lab.run("plan", "--state", "oci://oci-layout:usb/state:1")

    assert ran.code == 3
    assert "is in an OCI layout, and a state is kept in a registry or a directory" in ran.stderr


def test_formatted_declaration_has_layouts_after_registries(lab):
    """`fmt` keeps what it is given."""
    declare(lab, "{namespaces: [outside], layout: usb} -> {namespace: x, layout: usb}")

    assert lab.run("fmt").code == 0

    text = (lab.folder / "mirrors.d/a.yaml").read_text()
    assert text.index("layout: usb") < text.index("namespaces")
    assert lab.run("validate").code == 0


def test_require_holds_for_images_of_a_layout(lab, usb, tmp_path):
    """A prefix of a layout is one of a registry."""
    usb.make().add(image(1), annotations=named(f"outside/{lab.name}/app:1"))
    declare(lab, back(lab), more="require: {'oci-layout:usb/outside': {artifacts: [application/vnd.example.sbom.v1+json]}}\n")

    ran = lab.run("apply", "--yes", "-o", "json")

    assert ran.json["summary"]["refused"] == 1
    assert lab.served_tags("app") == []


def test_layout_is_listed_by_its_path(lab):
    """Names are shown as copy takes them."""
    layout = LayoutOnDisk(lab.folder / "dir").make()
    layout.add(image(1), annotations=named("outside/one:1"))
    layout.add(image(2), annotations=named("two:2"))

    assert lab.run("list", "oci-layout:./dir").stdout == "oci-layout:./dir:outside/one\noci-layout:./dir:two\n"
    assert lab.run("list", "oci-layout:./dir:two").stdout == "2\n"
    assert lab.run("list", "oci-layout:./dir:two:2").code == 3


def test_newest_images_of_a_layout_are_found_by_their_dates(lab, usb):
    """Their configs are read, as at a registry."""
    usb.make()
    for number, tag in enumerate(("b", "a", "c"), 1):
        usb.add(image(number, created=f"2026-01-0{number}T00:00:00Z"), annotations=named(f"outside/{lab.name}/app:{tag}"))
    declare(lab, f"{back(lab)}\ntags: {{newest: 2, order: date}}")

    ran = lab.run("apply", "--yes", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert lab.served_tags("app") == ["a", "c"]


def test_damaged_layer_of_a_layout_is_never_pushed(lab, usb):
    """The hint is about the medium."""
    content = usb.make().add(image(1), annotations=named(f"outside/{lab.name}/app:1"))
    blob = usb.blob(first_layer(content))
    blob.write_bytes(b"x" * blob.stat().st_size)
    declare(lab, back(lab))

    ran = lab.run("apply", "--yes")

    assert ran.code == 1
    assert "the layout has damaged or changed content; nothing was pushed; check its medium" in ran.stdout + ran.stderr
    assert lab.served_tags("app") == []


@pytest.mark.row("LAY-07")
@pytest.mark.parametrize("seed", range(effort(3, 50)))
def test_killed_apply_is_completed_by_the_next(lab, usb, seed):
    """At a moment of chance, with all its threads; the layout is valid meanwhile."""
    contents = {str(tag): lab.push("app", str(tag), image((lab.name, seed, tag), layers=3)) for tag in range(8)}
    declare(lab, out(lab))
    process = lab.start("apply", "--yes")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=random.Random(seed).uniform(0.05, 0.6))
    process.kill()
    process.communicate()
    if (usb.folder / "oci-layout").exists():
        for name in usb.names:
            usb.assert_holds(name, contents[name.rpartition(":")[2]])

    ran = lab.run("apply", "--yes", "--lock-timeout", "10s")

    assert ran.code == 0, ran.stderr
    for tag, content in contents.items():
        usb.assert_holds(f"outside/{lab.name}/app:{tag}", content)
    assert sorted(file.name for file in (usb.folder / ".imgsync").iterdir()) == ["index", "writers"]


@pytest.fixture
def small_disk(tmp_path):
    """Return where a file system of 256 KiB is mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user cannot mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.row("LAY-09")
def test_full_disk_is_an_error_and_the_rest_is_whole(lab, small_disk):
    """The first error says it, no temporary file fills the disk, and after a cleaning the run goes on."""
    small, large = lab.push("app", "1", image(1)), lab.push("app", "2", image(2, layer_bytes=300_000))
    declare(lab, out(lab), layouts=f"usb: {{path: '{small_disk}/layout'}}")
    layout = LayoutOnDisk(small_disk / "layout")

    ran = lab.run("apply", "--yes")

    assert ran.code == 1
    assert "No space left on device" in ran.stdout + ran.stderr
    assert "free space at" in ran.stdout + ran.stderr
    layout.assert_holds(f"outside/{lab.name}/app:1", small)
    assert not [file for file in (layout.folder / ".imgsync").iterdir() if file.name.startswith("new-")]
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    assert lab.run("apply", "--yes").code == 0
    layout.assert_holds(f"outside/{lab.name}/app:2", large)


@pytest.mark.row("LAY-09")
def test_read_only_medium_is_an_error_with_a_hint(lab, small_disk):
    """As a source it is read."""
    content = LayoutOnDisk(small_disk / "layout").make().add(image(1), annotations=named(f"outside/{lab.name}/app:1"))
    lab.push("app", "2", image(2))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    declare(lab, out(lab), layouts=f"usb: {{path: '{small_disk}/layout'}}")
    ran = lab.run("apply", "--yes")
    assert ran.code == 1
    assert "Read-only file system" in ran.stdout + ran.stderr
    assert "not mounted read only" in ran.stdout + ran.stderr

    declare(lab, back(lab), layouts=f"usb: {{path: '{small_disk}/layout'}}")
    assert lab.run("apply", "--yes").code == 0
    lab.assert_served("app", "1", content)


@pytest.mark.row("LAY-09")
def test_medium_that_is_not_mounted_gets_and_loses_nothing(lab, tmp_path):
    """Neither is its tag taken for deleted, nor is the disk below filled."""
    content = lab.push("app", "1", image(1))
    declare(lab, out(lab), layouts="usb: {path: media/usb}")

    ran = lab.run("apply", "--yes")

    assert ran.code == 1
    assert "plugged in and mounted at media/usb" in ran.stdout + ran.stderr
    assert not (lab.folder / "media").exists()
    (lab.folder / "media").mkdir()
    assert lab.run("apply", "--yes").code == 0
    declare(lab, f"{back(lab)}\nprune: {{gone: true}}", layouts="usb: {path: media/usb}")
    assert lab.run("apply", "--yes").code == 0
    (lab.folder / "media").rename(lab.folder / "away")

    ran = lab.run("apply", "--yes")

    assert ran.code == 1
    lab.assert_served("app", "1", content)
