"""`imgsync lock`: which digests it pins, keeps, takes and holds back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from imgsync.text.units import format_timestamp
from tests.policy.test_signatures import SIGNED, trusting
from tests.support.gcr_listing import GcrListing
from tests.support.images import image
from tests.support.locks import digest, read_images
from tests.support.signing import sig_tag, signature_image, signer, simple
from tests.switches import Respond, status


@pytest.fixture
def locked(lab) -> Callable[[], dict[str, str]]:
    """Return a function that reads the lock: digests by `repository:tag`, without what all have."""
    return lambda: {name.removeprefix(f"{lab.source.host}/{lab.name}/"): one for name, one in read_images(lab.folder / "mirrors.lock/a.yaml").items()}


def lock_bytes(lab) -> bytes:
    """Return the lock of the mirror a."""
    return (lab.folder / "mirrors.lock/a.yaml").read_bytes()


def rows(ran) -> dict[str, str]:
    """Return the action for each image of a result."""
    return {change["image"].rpartition("/")[2]: change["action"] for change in ran.json["changes"]}


def test_second_lock_is_byte_identical(lab, locked):
    """Tags of filters and exact names; the order of the listing does not matter."""
    contents = {tag: lab.push("app", tag, image(tag)) for tag in ("1.10", "1.9", "latest", "old")}
    lab.declare("app", "tags: {include: ['1.*'], names: [latest]}")

    first = lab.run("lock", "-o", "json")
    before = lock_bytes(lab)
    second = lab.run("lock", "-o", "json")

    assert (first.code, second.code) == (0, 0), first.stderr
    assert rows(first) == {"app:1.10": "add", "app:1.9": "add", "app:latest": "add"}
    assert second.json["changes"] == []
    assert locked() == {f"app:{tag}": contents[tag].digest for tag in ("1.10", "1.9", "latest")}
    assert lock_bytes(lab) == before
    assert lab.run("lock", "--check").code == 0
    assert not lab.destination.requests()


def test_moved_tag_is_one_line(lab, locked):
    """Which only `--update` changes."""
    for tag in ("1", "2", "3"):
        lab.push("app", tag, image(tag))
    lab.declare("app")
    lab.run("lock")
    before = lock_bytes(lab).splitlines()
    moved = lab.push("app", "2", image("moved"))

    kept, checked = lab.run("lock", "-o", "json"), lab.run("lock", "--update", "--check", "-o", "json")
    assert (kept.code, kept.json["changes"]) == (0, [])
    assert checked.code == 2
    assert lock_bytes(lab).splitlines() == before
    assert lab.run("lock", "--update").code == 0

    assert [new for old, new in zip(before, lock_bytes(lab).splitlines(), strict=True) if old != new] == [
        f"  - image: {lab.source.host}/{lab.name}/app:2@{moved.digest}".encode()
    ]


def test_new_tags_are_added_and_others_dropped(lab, locked):
    """Without `--update`; what is pinned stays."""
    old = lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    lab.declare("app", "tags: {newest: 2}")
    lab.run("lock")
    lab.push("app", "2", image("moved"))
    new = lab.push("app", "3", image(3))
    second = locked()["app:2"]

    ran = lab.run("lock", "-o", "json")

    assert rows(ran) == {"app:1": "drop", "app:3": "add"}
    assert locked() == {"app:2": second, "app:3": new.digest}
    assert old.digest not in locked().values()


def test_update_can_be_limited_to_images(lab, locked):
    """By a glob of the repository, or of repository and tag; one that matches nothing is an error."""
    for name in ("app", "tool"):
        for tag in ("1", "2"):
            lab.push(name, tag, image((name, tag)))
    lab.declare("app tool")
    lab.run("lock")
    before = locked()
    for name in ("app", "tool"):
        for tag in ("1", "2"):
            lab.push(name, tag, image((name, tag, "moved")))

    ran = lab.run("lock", "--update", "--image", f"{lab.source.host}/{lab.name}/app:2", "-o", "json")
    assert rows(ran) == {"app:2": "update"}
    assert {name for name, one in locked().items() if one != before[name]} == {"app:2"}
    assert rows(lab.run("lock", "--update", "--image", "**/tool", "-o", "json")) == {"tool:1": "update", "tool:2": "update"}

    wrong, alone = lab.run("lock", "--update", "--image", f"{lab.source.host}/{lab.name}/ap"), lab.run("lock", "--image", "**")
    assert (wrong.code, alone.code) == (3, 3)
    assert "matches no selected image" in wrong.stderr
    assert "add --update" in alone.stderr


def test_part_of_a_mirror_is_locked_alone(lab, locked):
    """`--only` with an image: the other lines stay, also with `--update`."""
    for name in ("app", "tool"):
        lab.push(name, "1", image(name))
    lab.declare("app tool")

    refused = lab.run("lock", "--only", f"a/{lab.name}/app")
    assert refused.code == 3
    assert "has no lock yet" in refused.stderr
    lab.run("lock")
    before = locked()
    for name in ("app", "tool"):
        lab.push(name, "1", image((name, "moved")))

    ran = lab.run("lock", "--update", "--only", f"a/{lab.name}/app", "-o", "json")

    assert rows(ran) == {"app:1": "update"}
    assert locked()["tool:1"] == before["tool:1"]
    lab.declare("app tool", "tags: {newest: 1}")
    assert "changed since its lock was made" in lab.run("lock", "--only", f"a/{lab.name}/app").stderr


def test_declared_digests_are_locked_as_declared(lab, locked):
    """A pin changes with its declaration, without `--update`."""
    first, second = lab.push("app", "1", image(1)), lab.push("app", "2", image(2))
    lab.declare("app", f"tags: {{names: ['1@{first.digest}']}}")

    assert lab.run("lock").code == 0
    assert locked() == {"app:1": first.digest}
    lab.declare("app", f"tags: {{names: ['1@{second.digest}']}}")
    assert rows(lab.run("lock", "-o", "json")) == {"app:1": "update"}
    assert locked() == {"app:1": second.digest}
    assert not lab.source.requests("/manifests/")


def test_digest_without_a_tag_is_a_line(lab, locked):
    """As it is declared, with a tag for the destination."""
    content = lab.push("app", "1", image(1))
    lab.declare("app", f"tags: {{names: ['{content.digest}']}}")
    file = lab.folder / "mirrors.d/a.yaml"
    file.write_text(file.read_text().replace(f"['{lab.destination.host}/m']", f"[{{registry: '{lab.destination.host}', namespace: m, tag: fixed}}]"))

    assert [lab.run("lock").code for _ in range(2)] == [0, 0]
    assert locked() == {f"app@{content.digest}": content.digest}
    assert lock_bytes(lab).endswith(f"/app@{content.digest}\n".encode())


def test_listing_with_digests_needs_no_other_request(lab, locked):
    """And brings size and age into the result."""
    contents = [lab.push("app", str(number), image(number)) for number in range(5)]
    lab.source.add(GcrListing(lab.source_registry), method="GET", target="tags/list")
    lab.declare("app")

    ran = lab.run("lock", "-o", "json")

    assert locked() == {f"app:{number}": one.digest for number, one in enumerate(contents)}
    assert lab.source.requests() == [f"GET /v2/{lab.name}/app/tags/list"]
    assert all(change["size_bytes"] and change["created_at"] for change in ran.json["changes"])


@pytest.mark.row("LOCK-05")
def test_young_digest_is_held_until_its_age(lab, locked):
    """A new tag is not locked, a moved one keeps its digest; a later run takes both. A run that writes records when it saw them."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.run("lock")
    before = locked()
    moved, new = lab.push("app", "1", image("moved")), lab.push("app", "2", image(2))
    lab.declare("app", "tags: {min_age: 3d}")

    checked, ran = (lab.run("lock", "--update", *extra, "-o", "json") for extra in (["--check"], []))

    assert (checked.code, ran.code) == (0, 0)
    assert rows(ran) == {"app:1": "hold", "app:2": "hold"}
    assert locked() == before
    assert all("held by min_age 3d" in change["reason"] for change in ran.json["changes"])
    assert all(change["held_until"] for change in lab.run("lock", "--update", "-o", "json").json["changes"])
    long_ago = format_timestamp(datetime.now(UTC) - timedelta(days=4))
    with open_state(str(lab.folder / ".imgsync/state"), thread=NativeThread(), lock_timeout_seconds=5, on_warning=pytest.fail) as state:
        state.put(seen=[(f"{lab.source.host}/{lab.name}/app", one.digest, long_ago) for one in (moved, new)])
    ran = lab.run("lock", "--update", "-o", "json")
    assert rows(ran) == {"app:1": "update", "app:2": "add"}
    assert all(change["first_seen"] == long_ago for change in ran.json["changes"])
    assert locked() == {"app:1": moved.digest, "app:2": new.digest}


def test_mirrored_digest_is_not_held(lab, locked):
    """A lock that begins with a mirror that runs for long has every tag."""
    content = lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    lab.declare("app", "tags: {min_age: 3d}")

    assert lab.run("lock").code == 0
    assert locked() == {"app:1": content.digest}


@pytest.mark.row("LOCK-05")
def test_moved_immutable_tag_is_refused(lab, locked):
    """It keeps its digest, the others are taken, and the exit code is 1."""
    first = lab.push("app", "v1", image(1))
    lab.push("app", "main", image(2))
    lab.declare("app", "immutable: ['v*']")
    lab.run("lock")
    lab.push("app", "v1", image("moved"))
    moved = lab.push("app", "main", image("moved too"))

    ran = lab.run("lock", "--update", "-o", "json")

    assert ran.code == 1
    assert rows(ran) == {"app:v1": "refuse", "app:main": "update"}
    assert locked() == {"app:v1": first.digest, "app:main": moved.digest}


@pytest.mark.row("LOCK-05")
def test_unsigned_digest_is_refused(lab, locked):
    """The signed one keeps its line, and the result names the key."""
    signed = lab.push("app", "1", image(1))
    lab.push("app", sig_tag(signed.digest), signature_image(simple(signer(), signed.digest, f"{lab.source.host}/{lab.name}/app")))
    lab.push("app", "2", image("unsigned"))
    lab.declare("app", SIGNED, registries=trusting(prod=signer()))

    ran = lab.run("lock", "-o", "json")

    assert ran.code == 1, ran.stderr
    assert rows(ran) == {"app:1": "add", "app:2": "refuse"}
    assert next(change["signed_by"] for change in ran.json["changes"] if change["action"] == "add") == ["prod"]
    assert locked() == {"app:1": signed.digest}


@pytest.mark.row("LOCK-06")
def test_mirror_with_an_error_keeps_its_lock(lab):
    """A listing that fails, an empty one, a name that does not exist: nothing is dropped, and others are locked."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.run("lock")
    before = lock_bytes(lab)
    lab.source.add(status(500), target="tags/list")
    failed = lab.run("lock", "--update", "-o", "json")
    assert (failed.code, len(failed.json["errors"]), failed.json["files"][0]["changed"]) == (1, 1, False)
    lab.source.clear()
    lab.declare("app", "tags: {names: ['9'], include: ['1']}")
    assert lab.run("lock").code == 1
    lab.declare("app", "tags: {include: ['9']}")
    few = lab.run("lock", "-o", "json")
    assert "0 tags are selected, fewer than at_least: 1" in few.json["errors"][0]["message"]

    assert lock_bytes(lab) == before


def test_line_endings_of_windows_are_no_change(lab):
    """As git checks them out there; nothing is written."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.run("lock")
    path = lab.folder / "mirrors.lock/a.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = path.read_bytes()

    assert (lab.run("lock", "--check").code, lab.run("lock").code, path.read_bytes()) == (0, 0, before)


@pytest.mark.row("LOCK-06")
def test_incomplete_listing_drops_nothing(lab, locked):
    """Nor is a locked tag that it lacks called unselected with `--locked`."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(tag))
    lab.declare("app")
    lab.run("lock")
    before = locked()
    lab.push("app", "3", image(3))
    lab.source.add(Respond(200, b'{"name": "x", "tags": ["1", "3", "not/a/tag"]}'), target="/tags/list")

    planned, ran = lab.run("plan", "--locked", "-o", "json"), lab.run("lock", "-o", "json")

    assert (ran.code, rows(ran)) == (0, {"app:3": "add"})
    assert locked().items() > before.items()
    assert ran.json["files"][0]["notes"] == ["a listing was incomplete, so 1 locked tag that it lacks stays"]
    assert not any("no longer selected" in note for note in planned.json["mirrors"][0]["notes"])


@pytest.mark.parametrize("answer", [Respond(200, b'{"name": "x", "tags": null}'), Respond(404)], ids=["empty", "hidden"])
def test_empty_list_of_one_repository_drops_nothing(lab, locked, answer):
    """Others of the mirror still have tags, so `at_least` does not notice; a mirrored repository that is hidden is the same."""
    for name in ("app", "other"):
        lab.push(name, "1", image(name))
    lab.declare("app other")
    lab.run("lock")
    lab.run("apply", "--locked")
    before = locked()
    lab.source.add(answer, target="/other/tags/list")

    ran, planned = lab.run("lock", "--update", "-o", "json"), lab.run("plan", "--locked", "-o", "json")

    assert (ran.code, ran.json["changes"], locked()) == (0, [], before)
    notes = planned.json["mirrors"][0]["notes"]
    assert f"the source lists nothing where 1 locked tag came from: {lab.name}/other:1; the lock keeps them" in notes
    assert not any("no longer selected" in note for note in notes)
    assert ran.json["files"][0]["notes"] == ["the source lists nothing where 1 locked tag came from; if it really deleted all tags, delete their lines"]


def test_locked_tag_that_is_gone_keeps_its_digest(lab, locked):
    """An exact name that the source no longer has."""
    content = lab.push("app", "1", image(1))
    lab.declare("app", "tags: {names: ['1']}")
    lab.run("lock")
    lab.source.add(status(404), target="/manifests/1")

    ran = lab.run("lock", "--update", "-o", "json")

    assert (ran.code, rows(ran)) == (0, {"app:1": "keep"})
    assert locked() == {"app:1": content.digest}


@pytest.mark.row("LOCK-07")
def test_check_finds_a_digest_that_never_belonged_to_the_tag(lab):
    """The source does not serve it. One that it serves may be an earlier one of the tag, which is not an error."""
    first = lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    lab.declare("app")
    lab.run("lock")
    file = lab.folder / "mirrors.lock/a.yaml"
    lab.push("app", "1", image("moved"))
    moved = lab.run("lock", "--check", "-o", "json")
    file.write_text(file.read_text().replace(first.digest, digest("made up")))

    wrong = lab.run("lock", "--check", "-o", "json")
    shown = lab.run("lock", "--check")

    assert f"hint: take the digest that the tag has now: imgsync lock --update --only a --image '{lab.source.host}/{lab.name}/app:1'" in shown.stdout
    assert (moved.code, rows(moved)) == (0, {"app:1": "keep"})
    assert (wrong.code, rows(wrong)) == (1, {"app:1": "mismatch"})
    assert "never belonged to the tag, or was deleted" in wrong.json["changes"][0]["reason"]


def test_check_asks_only_for_what_the_state_does_not_know(lab):
    """After an apply with these digests, no tag is asked for."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(tag))
    lab.declare("app")
    lab.run("lock")
    assert lab.run("apply").code == 0
    lab.source.forget()

    assert lab.run("lock", "--check").code == 0
    assert lab.source.requests() == [f"GET /v2/{lab.name}/app/tags/list"]


def test_check_writes_nothing(lab):
    """No lock, no state; exit 2 if it would change, in each format."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    table, markdown, document = (lab.run("lock", "--check", "-o", form) for form in ("table", "markdown", "json"))

    assert {ran.code for ran in (table, markdown, document)} == {2}
    assert not (lab.folder / "mirrors.lock").exists()
    assert "1 file would change: 1 image locked, 1 to add" in table.stdout
    assert table.stdout.endswith("\nhint: run `imgsync lock`, review the difference and commit it\n")
    assert "run `imgsync lock`, review the difference and commit it" in markdown.stdout
    assert re.search(r"^\| \+ \| `\S+/app:1` \| `[0-9a-f]{12}` \|", markdown.stdout, re.MULTILINE)
    assert document.json["check"] is True
    assert document.json["files"] == [{"mirror": "a", "file": "mirrors.lock/a.yaml", "changed": True, "images": 1, "notes": []}]


def test_file_that_changes_without_an_image_is_explained(lab):
    """Other filters may select the same tags."""
    lab.push("app", "1", image(1))
    lab.declare("app", "tags: {names: ['1']}")
    lab.run("lock")
    lab.declare("app", "tags: {include: ['1']}")

    checked, written = lab.run("lock", "--check"), lab.run("lock")

    assert (checked.code, written.code) == (2, 0)
    assert all("`source` or `tags` of the mirror a changed since the lock was made; its images stay the same" in ran.stdout for ran in (checked, written))
    assert lab.run("lock", "--check").code == 0


def test_suspended_mirror_and_unknown_lock_are_left_alone(lab):
    """The lock of a mirror that is not declared is named, and not deleted."""
    lab.push("app", "1", image(1))
    lab.declare("app", "suspend: true")
    other = lab.write("mirrors.lock/gone.yaml", "x")

    ran = lab.run("lock", "-o", "json")

    assert ran.code == 0
    assert ran.json["notes"] == ["mirrors.lock/gone.yaml is of a mirror that is not declared here; delete it if the mirror is gone"]
    assert other.read_text() == "x"
    assert not (lab.folder / "mirrors.lock/a.yaml").exists()


def test_invalid_lock_is_an_error_before_any_request(lab):
    """With file and line, exit 3, also as an annotation."""
    lab.declare("app")
    lab.write("mirrors.lock/a.yaml", "<<<<<<< HEAD\n")

    ran = lab.run("lock", env={"GITHUB_ACTIONS": "true"})

    assert ran.code == 3
    assert "mirrors.lock/a.yaml:1:1: a conflict marker of git" in ran.stderr
    assert "::error file=mirrors.lock/a.yaml,line=1" in ran.stderr
    assert not lab.source.requests()


def test_lock_folder_can_be_named(lab):
    """For two folders of declarations in one repository."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    assert lab.run("lock", env={"IMGSYNC_LOCK_DIR": "locks/team"}).code == 1
    (lab.folder / "locks").mkdir()
    assert lab.run("lock", "--lock-dir", "locks/team").code == 0
    assert json.loads(lab.run("lock", "--lock-dir", "locks/team", "--check", "-o", "json").stdout)["changes"] == []
