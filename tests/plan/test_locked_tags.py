"""`--locked` and `--frozen`: what is copied, what is asked, and what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from imgsync.text.units import format_timestamp
from tests.policy.test_signatures import NONE, SIGNED, refused, trusting
from tests.support.gcr_listing import GcrListing
from tests.support.images import image
from tests.support.locks import digest
from tests.support.signing import signer
from tests.switches import status

MODES = pytest.mark.parametrize("mode", ["--locked", "--frozen"])


@pytest.fixture
def moved(lab) -> dict[str, str]:
    """Lock the tags 1 and 2, then move 1 and add 3; return the locked digests."""
    locked = {tag: lab.push("app", tag, image(tag)).digest for tag in ("1", "2")}
    lab.declare("app")
    assert lab.run("lock").code == 0
    lab.push("app", "1", image("moved"))
    lab.push("app", "3", image(3))
    return locked


@pytest.fixture
def edit(lab) -> Callable[[str, str], None]:
    """Return a function that replaces text in the lock, as a bot or a person does."""
    file = lab.folder / "mirrors.lock/a.yaml"
    return lambda old, new: file.write_text(file.read_text().replace(old, new)) and None


def files(lab) -> dict[str, tuple[bytes, int]]:
    """Return content and time of each lock."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in (lab.folder / "mirrors.lock").iterdir()}


@pytest.mark.row("LOCK-08")
@MODES
def test_locked_digests_are_copied(mode, lab, moved):
    """Also of a tag that moved; a tag that is not in the lock is not copied, and the lock is never written."""
    before = files(lab)

    ran = lab.run("apply", mode, "-o", "json")

    assert ran.code == 0, ran.stderr
    assert lab.served_tags("app") == ["1", "2"]
    assert {tag: lab.served_digest("app", tag) for tag in moved} == moved
    assert {one["source"].rpartition("/")[2] for one in ran.json["outcomes"]} == {"app:1", "app:2"}
    assert files(lab) == before


@pytest.mark.row("LOCK-08")
def test_frozen_run_of_kept_tags_sends_no_request(lab, moved):
    """Neither to the source nor to the destination; it may even be down. As `plan`, `apply` and with `--only`."""
    assert lab.run("apply", "--frozen").code == 0
    for side in (lab.source, lab.destination):
        side.forget()
        side.add(status(500))

    ran = [lab.run(*command, "--frozen", "-o", "json") for command in (["plan"], ["apply"], ["plan", "--only", f"a/{lab.name}/app:1"])]

    assert [one.code for one in ran] == [0, 0, 0], ran[0].stdout
    assert ran[0].json["summary"]["keep"] == 2
    assert ran[2].json["summary"]["keep"] == 1
    assert not lab.source.seen
    assert not lab.destination.seen


def test_frozen_copy_asks_by_digest_only(lab, moved):
    """No listing of the tags to mirror, and no HEAD of them."""
    lab.declare("app", "referrers: false")
    lab.source.forget()

    assert lab.run("apply", "--frozen").code == 0
    assert not lab.source.requests("tags/list|^HEAD ")
    assert not [one for one in lab.source.requests("/manifests/") if "@" not in one and "sha256:" not in one]


def test_locked_run_notes_what_differs(lab, moved):
    """The tag that moved, where the listing has digests, the new one, and one that is no longer selected."""
    lab.source.add(GcrListing(lab.source_registry), method="GET", target="tags/list")
    lab.source.forget()

    (notes,) = [one["notes"] for one in lab.run("plan", "--locked", "-o", "json").json["mirrors"]]

    assert any(note.startswith(f"1 locked tag moved at the source, the locked digest is used: {lab.name}/app:1 {moved['1'][7:19]} → ") for note in notes)
    assert f"1 selected tag not in the lock: {lab.name}/app:3; `imgsync lock --only a` adds them" in notes
    assert not lab.source.requests("^HEAD ")


@pytest.mark.parametrize(
    ("settings", "code"),
    [("tags: {newest: 1}", 3), ("concurrency: {images: 1}", 0), ("tags: {min_age: 0s}", 0), ("platforms: [linux/amd64]", 0)],
)
def test_locked_needs_a_lock_of_the_declaration(settings, code, lab, moved):
    """Of what selects images; the error names the line and the command. `--frozen` takes the lock as it is."""
    lab.declare("app", settings)
    lab.source.forget()

    locked = lab.run("plan", "--locked")

    assert locked.code == code, locked.stderr
    assert lab.run("plan", "--frozen").code == 0
    if code:
        assert "mirrors.lock/a.yaml:4:1: `source` or `tags` of the mirror a changed since this lock was made" in locked.stderr
        assert "imgsync lock --only a" in locked.stderr


def test_missing_lock_names_the_command(lab):
    """Exit 3, before anything is asked."""
    lab.declare("app")

    ran = lab.run("apply", "--locked")

    assert ran.code == 3
    assert "mirrors.lock/a.yaml: the mirror a has no lock (make it, and commit it: imgsync lock --only a)" in ran.stderr
    assert not lab.source.seen


@pytest.mark.row("LOCK-04")
def test_undeclared_line_is_refused(lab, moved, edit):
    """A line for another repository, put into the lock."""
    edit(f"/{lab.name}/app:2@", f"/{lab.name}/other:2@")

    ran = lab.run("plan", "--frozen")

    assert ran.code == 3
    assert f"mirrors.lock/a.yaml:7:1: the mirror a does not declare the repository {lab.source.host}/{lab.name}/other" in ran.stderr


def test_digest_that_a_bot_changed_is_copied(lab, moved, edit):
    """It is believed as a declaration; the other digest is not asked for."""
    new = lab.push("app", "3", image("from a bot"))
    edit(moved["2"], new.digest)

    assert lab.run("apply", "--locked").code == 0
    assert lab.served_digest("app", "2") == new.digest


def test_digest_that_is_gone_is_an_error_of_its_image(lab, moved, edit):
    """The others are copied, and the hint has a command that works."""
    edit(moved["2"], digest("gone"))

    ran = lab.run("apply", "--locked", "-o", "json")

    assert ran.code == 1
    assert lab.served_tags("app") == ["1"]
    (error,) = ran.json["errors"]
    assert error["reference"] == f"{lab.source.host}/{lab.name}/app:2"
    assert error["message"].startswith(f"locked digest no longer served: the source does not have {digest('gone')[7:19]}")
    assert lab.run("lock", "--update", "--only", "a", "--image", error["reference"]).code == 0
    assert lab.run("apply", "--locked").code == 0


def test_mirrored_digest_that_is_gone_is_kept(lab, moved):
    """What the destination serves needs no source."""
    assert lab.run("apply", "--locked").code == 0
    lab.source.add(status(404), target="/manifests/")

    ran = lab.run("apply", "--locked", "-o", "json")

    assert (ran.code, ran.json["summary"]["kept"]) == (0, 2)


@pytest.mark.row("LOCK-08")
def test_rules_hold_with_a_lock(lab, moved, edit):
    """`require`, `immutable` and `min_age` refuse or hold a locked digest."""
    lab.declare("app", SIGNED, registries=trusting(prod=signer()))
    assert refused(lab.run("plan", "--frozen", "-o", "json")) == [NONE, NONE]
    lab.declare("app", "tags: {min_age: 3d}")
    assert lab.run("plan", "--frozen", "-o", "json").json["summary"]["hold"] == 2
    lab.declare("app", "immutable: ['*']")
    assert lab.run("apply", "--frozen").code == 0
    edit(moved["2"], lab.push("app", "4", image("other")).digest)
    changed = lab.run("apply", "--frozen", "-o", "json")
    assert (changed.code, changed.json["summary"]["refused"]) == (1, 1)
    assert lab.served_digest("app", "2") == moved["2"]
    lab.declare("app", registries="allow: {sources: [other.example], destinations: [other.example]}\n")
    assert lab.run("plan", "--frozen").code == 3


@pytest.mark.row("LOCK-09")
def test_prune_with_a_lock(lab, moved, edit):
    """`--locked` deletes what neither the lock nor the declaration selects, `--frozen` nothing."""
    lab.declare("app", "prune: true")
    assert lab.run("apply").code == 0
    lab.declare("app", "prune: true\ntags: {include: ['2', '3']}")
    lab.run("lock")
    edit(f"  - image: {lab.source.host}/{lab.name}/app:3@", "# ")

    frozen, locked = (lab.run("plan", mode, "-o", "json").json for mode in ("--frozen", "--locked"))

    assert frozen["summary"]["delete"] == 0
    assert frozen["mirrors"][0]["pruning_skipped"] == "--frozen asks no source"
    assert [change["destination"].rpartition(":")[2] for change in locked["changes"] if change["action"] == "delete"] == ["1"]


def test_saved_plan_of_a_lock_is_applied_as_reviewed(lab, moved):
    """Also in shards; `--locked` with `--plan` is refused."""
    assert lab.run("plan", "--locked", "--out", "plan.json").code == 0
    assert lab.run("apply", "--plan", "plan.json", "--locked").code == 3
    assert lab.run("apply", "--plan", "plan.json", "--shard", "shared", "--outcome", "s.json", env={"IMGSYNC_LOCKED": "true"}).code == 0
    for shard in ("1/2", "2/2"):
        assert lab.run("apply", "--plan", "plan.json", "--shard", shard, "--outcome", f"{shard[0]}.json").code == 0

    assert {tag: lab.served_digest("app", tag) for tag in moved} == moved


def test_only_uses_a_part_of_the_lock(lab, moved):
    """A mirror without a lock is not in the way, if it is not selected."""
    declared = (lab.folder / "mirrors.d/a.yaml").read_text()
    lab.write("mirrors.d/b.yaml", declared.replace("name: a", "name: b").replace("/m'", "/n'"))
    before = files(lab)

    assert lab.run("apply", "--locked").code == 3
    assert lab.run("apply", "--locked", "--only", f"a/{lab.name}/app:1").code == 0
    assert lab.served_tags("app") == ["1"]
    assert lab.run("apply", "--locked", "--only", "a").code == 0
    assert lab.served_tags("app") == ["1", "2"]
    assert files(lab) == before


def test_suspended_mirror_needs_no_lock(lab):
    """It is shown as without one."""
    lab.declare("app", "suspend: true")

    assert lab.run("plan", "--locked", "-o", "json").json["mirrors"][0]["suspended"] is True


def test_verify_compares_with_the_lock(lab, moved):
    """A tag that moved is no drift then."""
    assert lab.run("apply", "--locked").code == 0

    assert [lab.run("verify", *mode).code for mode in ([], ["--locked"], ["--frozen"])] == [1, 0, 0]


def test_both_modes_exclude_each_other(lab):
    """Also as variables of the environment."""
    ran = lab.run("plan", "--locked", env={"IMGSYNC_FROZEN": "1"})

    assert ran.code == 3
    assert "--locked and --frozen exclude each other" in ran.stderr


def test_tag_that_is_gone_stays_gone_with_a_frozen_lock(lab, moved):
    """A run that does not ask the source cannot say that a tag is back."""
    assert lab.run("apply", "--frozen").code == 0
    path = str(lab.folder / ".imgsync/state")
    place = f"{lab.destination.host}/m/{lab.name}/app:2"
    since = format_timestamp(datetime.now(UTC) - timedelta(days=1))
    with open_state(path, thread=NativeThread(), lock_timeout_seconds=5, on_warning=pytest.fail) as state:
        state.put_gone([(place, since)])

    ran = lab.run("apply", "--frozen", "-o", "json")

    assert [(one["destination"], one["since"]) for one in ran.json["gone"]] == [(place, since)]
    with open_state(path, thread=NativeThread(), lock_timeout_seconds=5, on_warning=pytest.fail) as state:
        assert dict(state.gone_since) == {place: since}


def test_declared_digest_is_used_with_a_lock(lab):
    """A pin in `tags.names`, in a namespace; the plan can be saved and applied."""
    content = lab.push("team/app", "1", image(1))
    lab.declare([], f"tags: {{names: ['1@{content.digest}']}}", namespaces=f"['{lab.name}/team']")
    assert lab.run("lock").code == 0, lab.run("lock").stderr
    lab.push("team/app", "1", image("moved"))

    assert lab.run("plan", "--frozen", "--out", "plan.json").code == 0
    assert lab.run("apply", "--plan", "plan.json").code == 0
    assert json.loads((lab.folder / "plan.json").read_text())["changes"][0]["source_digest"] == content.digest
    assert lab.served_digest("team/app", "1") == content.digest


def test_changed_lock_changes_its_mirror(lab, moved, edit):
    """With a lock, `--changed-since` selects the mirrors whose lock a bot changed."""
    declared = (lab.folder / "mirrors.d/a.yaml").read_text()
    lab.write("mirrors.d/b.yaml", declared.replace("name: a", "name: b").replace("/m'", "/n'"))
    assert lab.run("lock").code == 0
    for words in (["init", "-q"], ["add", "mirrors.d", "mirrors.lock"], ["commit", "-qm", "x"]):
        who = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        subprocess.run(["git", *words], cwd=lab.folder, env={**lab.workplace.environment(), **who}, check=True)
    edit(moved["1"], lab.push("app", "4", image(4)).digest)

    planned = {mode: lab.run("plan", "--changed-since", "HEAD", *mode.split(), "-o", "json").json["mirrors"] for mode in ("", "--locked", "--frozen")}

    assert {mode: [one["mirror"] for one in mirrors] for mode, mirrors in planned.items()} == {"": [], "--locked": ["a"], "--frozen": ["a"]}
