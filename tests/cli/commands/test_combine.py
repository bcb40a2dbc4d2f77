"""`imgsync combine`: what all shards did, as one report and one state."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.plan.test_saved import sealed
from tests.support.images import image, layer

OTHER = "sha256:" + "0" * 64


@pytest.fixture
def shards(lab) -> Callable[..., list[str]]:
    """Return a function that plans four images on one base, applies some shards of two, and names their outcomes."""
    lab.declare("a b c d", registries="")

    def run(*which: str, images: bool = True, **options: Any) -> list[str]:
        if images:
            base = layer((lab.name, "base"), 2048)
            for name in "abcd":
                lab.push(name, "1", image((lab.name, name), layers=1, shared=base))
        assert lab.run("plan", "--out", "plan.json").code == 0
        return [apply(lab, one, **options) for one in which]

    return run


def apply(lab, which: str, *arguments: str, code: int = 0, **options: Any) -> str:
    """Run one shard; return the name of its outcome."""
    name = f"out-{which.replace('/', '-')}.json"
    ran = lab.run("apply", "--plan", "plan.json", "--shard", which, "--outcome", name, "--shared-wait", "0s", *arguments, **options)
    assert ran.code == code, ran.stderr
    return name


def combine(lab, *names: str, code: int = 0) -> Any:
    """Combine the outcomes; return the result."""
    ran = lab.run("combine", "--plan", "plan.json", *names, "-o", "json")
    assert ran.code == code, ran.stderr
    return ran


def edit(lab, name: str, change: Callable[[dict[str, Any]], object], *, to: str = "") -> str:
    """Write an outcome again, changed; return its name."""
    document = json.loads((lab.folder / name).read_text())
    change(document)
    (lab.folder / (to or name)).write_text(json.dumps(document))
    return to or name


def test_report_and_state_are_those_of_one_process(lab, shards):
    """The next run has nothing to do, and asks no destination."""
    names = shards("shared", "1/2", "2/2")
    assert not (lab.folder / ".imgsync" / "state" / "cache.db").exists()

    report = combine(lab, *names).json

    assert [(one["destination"].rpartition("/")[2], one["result"]) for one in report["outcomes"]] == [(f"{name}:1", "copied") for name in "abcd"]
    assert report["summary"]["copied"] == 4
    blobs = [json.loads((lab.folder / name).read_text())["summary"] for name in names]
    assert report["summary"]["bytes_copied"] == sum(one["bytes_copied"] for one in blobs)
    lab.destination.forget()
    again = lab.run("apply", "-o", "json")
    assert (again.code, again.json["summary"]["kept"], lab.destination.seen) == (0, 4, [])


def test_files_and_formats_are_those_of_apply(lab, shards):
    """HTML, JUnit, metrics, Markdown and table."""
    names = shards("1/2", "2/2")

    table = lab.run("combine", "--plan", "plan.json", *names, "--report", "r.html", "--junit", "j.xml", "--metrics", "m.prom")
    markdown = lab.run("combine", "--plan", "plan.json", *names, "-o", "markdown")

    assert table.stdout.startswith("Copied 4 images (")
    assert markdown.stdout.startswith("<!-- imgsync-report -->\n### imgsync apply")
    assert "<!doctype html>" in (lab.folder / "r.html").read_text().lower()
    assert 'tests="4"' in (lab.folder / "j.xml").read_text()
    assert 'imgsync_images{mirror="a",result="copied"} 4.0' in (lab.folder / "m.prom").read_text()
    sent = sum(one["requests"].get("PUT", 0) for name in names for one in json.loads((lab.folder / name).read_text())["traffic"])
    counted = re.findall(r'imgsync_registry_requests{method="PUT",registry="[^"]+",side="destination"} ([\d.]+)', (lab.folder / "m.prom").read_text())
    assert sum(map(float, counted)) == sent > 0


def test_missing_shard_is_named_and_left(lab, shards):
    """What the other one did is recorded."""
    names = shards("1/2")

    ran = combine(lab, *names, code=1)

    left = [one for one in ran.json["outcomes"] if one["result"] == "remaining"]
    assert 0 < len(left) < 4
    assert {one["error"] for one in left} == {"shard 2/2 has no outcome"}
    hint = "run the shard, then combine again: imgsync apply --plan plan.json --shard 2/2 --outcome FILE"
    assert {error["message"] for error in ran.json["errors"]} == {f"no outcome of shard 2/2 was given ({hint})"}
    assert all(error["planned"] for error in ran.json["errors"])
    # Once, with what to do.
    assert ran.json["notes"] == []
    assert "no outcome of shard" not in ran.stderr
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == len(left)


def test_missing_shard_is_no_stop_and_no_planning_error(lab, shards):
    """No image failed, and the plan is whole."""
    names = shards("1/2")

    shown = lab.run("combine", "--plan", "plan.json", *names).stdout

    assert re.search(r"^\d left \(shard 2/2 has no outcome\)\.$", shown, re.MULTILINE), shown
    assert "Stopped" not in shown
    assert "planned" not in shown
    assert re.search(r"^\d errors?\.$", shown, re.MULTILINE), shown


def test_missing_shard_doubts_only_what_it_may_have_changed(lab, shards, state):
    """A record that another run made since of the same digest stays confirmed."""
    names = shards("1/2", "2/2")
    combine(lab, *names)

    combine(lab, names[0], code=1)

    with state() as store:
        assert [record.is_confirmed for record in store.iter_records()] == [True] * 4
    lab.destination.forget()
    assert lab.run("plan", "--detailed-exitcode").code == 0
    assert lab.destination.seen == []


def test_missing_shard_doubts_what_was_recorded_before_the_plan(lab, shards, state):
    """The shard may have pushed what the plan says, or not."""
    combine(lab, *shards("1/2", "2/2"))
    for name in "abcd":
        lab.push(name, "1", image((lab.name, name, "new"), layers=1))
    names = shards("1/2", images=False)

    combine(lab, *names, code=1)

    with state() as store:
        records = list(store.iter_records())
    done = {one["destination"] for one in json.loads((lab.folder / names[0]).read_text())["outcomes"]}
    assert {record.destination for record in records if record.is_confirmed} == done
    assert 0 < len(done) < 4


def test_missing_shard_without_work_is_named_too(lab, shards):
    """Only its own run can say that it had nothing to do."""
    shards()
    names = [apply(lab, f"{number}/5") for number in range(1, 5)]

    ran = lab.run("combine", "--plan", "plan.json", *names)

    assert ran.code == 1
    assert "error: no outcome of shard 5/5 was given; it has no changes, but must run to say so\n" in ran.stderr
    assert "note: no outcome of shard 5/5 was given" in ran.stdout


def test_worst_exit_code_is_that_of_all(lab, shards):
    """A stopped shard leaves work: 75; a failure is worse, and a bug worse still."""
    names = shards("1/2", "2/2")
    edit(lab, names[0], lambda document: document.update(exit_code=75))
    combine(lab, *names, code=75)
    edit(lab, names[1], lambda document: document.update(exit_code=1))
    combine(lab, *names, code=1)
    edit(lab, names[0], lambda document: document.update(exit_code=70))
    combine(lab, *names, code=70)


_OTHER_PLANS = (
    (lambda one: one.update(plan_id="deadbeef"), r"forged.json is of the plan deadbeef, not of \w{8}"),
    (lambda one: one.update(partition="0" * 32), r"forged.json is of another file of the plan \w{8}, which divides it differently"),
    (lambda one: one.update(shard="2/2"), "forged.json and out-2-2.json are both of shard 2/2"),
    (lambda one: one.update(shard="1/3"), r"the outcomes are of different divisions: forged.json \(1/3\) and out-2-2.json \(2/2\)"),
)


def test_outcomes_of_other_plans_are_refused(lab, shards):
    """With exit 1, the file's name, and no record."""
    names = shards("1/2", "2/2")

    for forge, says in _OTHER_PLANS:
        ran = combine(lab, edit(lab, names[0], forge, to="forged.json"), names[1], code=1)

        assert re.search(f"error: {says}", ran.stderr), ran.stderr
        assert ran.stdout == ""
        assert "hint: " in ran.stderr
    assert combine(lab, names[0], names[0], names[1], code=1).stderr == "error: out-1-2.json is given twice\nhint: name each file once\n"
    assert not (lab.folder / ".imgsync" / "state" / "cache.db").exists()


def first(document: dict[str, Any]) -> dict[str, Any]:
    """Return the first outcome of a document."""
    return document["outcomes"][0]


_FORGED = (
    (lambda one: first(one).update(digest=OTHER), f"serves {OTHER}, and the plan pushes sha256:"),
    (lambda one: first(one).update(destination="evil.example/m/a:1"), "evil.example/m/a:1 is not in it"),
    (lambda one: first(one).update(source="evil.example/a:1"), "has another mirror or source there"),
    (lambda one: first(one).update(mirror="b"), "has another mirror or source there"),
    (lambda one: first(one).update(result="deleted"), "is deleted, which a planned create cannot become"),
    (lambda one: first(one).update(action="delete"), "is copied by an action delete"),
    (lambda one: one["outcomes"].append(first(one)), "is there twice"),
    (lambda one: one["blobs"][0].update(repository="evil.example/m/a"), "shard 1/2 does not copy these blobs to evil.example/m/a"),
    (lambda one: one["outcomes"].pop(), "is missing in it, although its exit code is 0"),
    (lambda one: first(one).update(result="failed"), "is failed, although its exit code is 0"),
    (lambda one: first(one).update(result="remaining"), "is remaining, although its exit code is 0"),
    (lambda one: one["shared"].append({"mirror": "evil"}), "it has no changes of a mirror evil"),
)


@pytest.mark.row("GIT-12")
def test_forged_outcome_claims_nothing_else(lab, shards):
    """Only how a change of its own part of the plan ended; nothing is recorded."""
    names = shards("1/2", "2/2")
    of_other = first(json.loads((lab.folder / names[1]).read_text()))
    more = (lambda one: one["outcomes"].append(of_other), "is of shard 2/2, not of 1/2")

    for forge, says in (*_FORGED, more):
        ran = combine(lab, edit(lab, names[0], forge, to="forged.json"), names[1], code=1)

        assert "error: forged.json does not fit the plan: " in ran.stderr
        assert says in ran.stderr
    assert not (lab.folder / ".imgsync" / "state" / "cache.db").exists()


@pytest.mark.row("GIT-12")
def test_records_are_made_from_the_plan(lab, shards, state):
    """Which source gave a blob is not believed, nor a time before the plan or after now."""
    names = shards("1/2", "2/2")
    for name in names:
        edit(lab, name, lambda document: [one["record"].update(applied_at="2099-01-01T00:00:00Z") for one in document["outcomes"]])
    combine(lab, *names)

    with state() as store:
        records = list(store.iter_records())
        blobs = [store.find_blob(lab.destination.host, digest) for digest in image((lab.name, "a"), layers=1, shared=layer((lab.name, "base"), 2048)).blobs]

    assert [record.selection for record in records] == ["platforms=all;referrers=all"] * 4
    assert all(record.applied_at < "2099" for record in records)
    assert all(note.repositories and not note.sources for note in blobs)


@pytest.mark.row("GIT-12")
def test_tag_that_another_run_pushed_meanwhile_stays_its_own(lab, shards, state):
    """A shard found it there, so `prune` of the plan's mirror must not delete it."""
    shards()
    target = f"{lab.destination.host}/m/{lab.name}/a:1"
    assert lab.run("copy", f"{lab.source.host}/{lab.name}/a:1", target).code == 0
    with state() as store:
        copied = store.get(target)

    combine(lab, *(apply(lab, which) for which in ("1/2", "2/2")))

    with state() as store:
        assert {record.destination: record.mirror for record in store.iter_records()} == {
            f"{lab.destination.host}/m/{lab.name}/{name}:1": "imgsync copy" if name == "a" else "a" for name in "abcd"
        }
        assert store.get(target) == copied


@pytest.mark.row("GIT-12")
@pytest.mark.parametrize("phase", ["1/2", "shared"])
def test_blobs_of_another_shard_are_refused(lab, shards, phase):
    """A shard knows its own repositories, and of the homes only the blobs that it copies there."""
    names = shards("shared", "1/2", "2/2")
    forged = names[0] if phase == "shared" else names[1]
    repositories = {one["destination"].rpartition(":")[0] for one in json.loads((lab.folder / names[2]).read_text())["outcomes"]}

    for repository in repositories:
        edit(
            lab, forged, lambda document, name=repository: document["blobs"].append({"repository": name, "found": {OTHER: 1}, "missing": []}), to="forged.json"
        )
        ran = combine(lab, *(("forged.json" if name == forged else name) for name in names), code=1)

        assert f"shard {phase} does not copy these blobs to {repository}" in ran.stderr
    assert not (lab.folder / ".imgsync" / "state" / "cache.db").exists()


_DAMAGED = (
    lambda one: one.update(outcomes="x"),
    lambda one: one.update(exit_code=2),
    lambda one: one.update(seconds=-1.0),
    lambda one: first(one).update(digest="sha256:x"),
    lambda one: first(one).update(crc32="<script>"),
    lambda one: first(one).update(bytes_copied=-1),
    lambda one: first(one)["record"].update(applied_at="yesterday"),
    lambda one: one["blobs"][0].update(found={"x": 1}),
    lambda one: one["traffic"].append({"side": "evil", "registry": "r", "requests": {}, "bytes_copied": 0}),
    lambda one: one["traffic"][0].update(registry="r.io\ud800"),
    lambda one: one.update(throttled={"r.io\ud800": 1}),
    lambda one: one.update(shard="auto"),
)


@pytest.mark.row("GIT-12")
def test_damaged_outcome_is_refused_by_its_name(lab, shards):
    """With exit 3, as every other file that is not what it should be."""
    names = shards("1/2", "2/2")

    for forge in _DAMAGED:
        ran = combine(lab, edit(lab, names[0], forge, to="forged.json"), names[1], code=3)

        assert "error: forged.json is damaged: not a complete outcome (" in ran.stderr


def test_plan_among_the_outcomes_is_named_as_one(lab, shards):
    """With what to give instead."""
    names = shards("1/2", "2/2")

    stderr = combine(lab, "plan.json", *names, code=3).stderr

    assert stderr.startswith("error: plan.json is imgsync.plan/v1, not imgsync.outcome/v1\nhint: give what `imgsync apply --shard I/N --outcome FILE` wrote; ")


def test_only_the_shared_phase_is_no_run(lab, shards):
    """The shards themselves are missing."""
    names = shards("shared")

    stderr = combine(lab, *names, code=1).stderr
    assert "error: no outcome of a shard I/N was given, only of the phase `shared`" in stderr
    assert "hint: run each shard: imgsync apply --plan plan.json --shard I/N --outcome FILE" in stderr


def test_plan_without_content_cannot_be_divided(lab, shards):
    """Such as one that `plan -o json` printed."""
    shards()
    document = json.loads((lab.folder / "plan.json").read_text())
    del document["content"]
    (lab.folder / "plan.json").write_text(sealed(document))

    ran = lab.run("apply", "--plan", "plan.json", "--shard", "1/2", "--outcome", "o.json")

    assert ran.code == 3
    assert "error: the plan does not say what its images consist of, so it cannot be divided" in ran.stderr


def test_shared_blobs_name_their_changes_beside_kept_tags(lab):
    """The numbers count the kept tags of the mirrors before, which follow the changes of each mirror."""
    base = layer((lab.name, "base"), 2048)
    lab.push("kept", "1", image((lab.name, "kept"), layers=1))
    lab.push("kept", "2", image((lab.name, "kept", 2), layers=1))
    lab.declare("kept")
    assert lab.run("apply").code == 0
    for name in ("a", "b"):
        lab.push(name, "1", image((lab.name, name), layers=1, shared=base))
    repositories = f"[{lab.name}/a, {lab.name}/b]"
    lab.write(
        "mirrors.d/b.yaml",
        f"version: 1\nmirrors:\n  - name: b\n    source: {{registry: '{lab.source.host}', repositories: {repositories}}}\n"
        f"    destinations: ['{lab.destination.host}/m']\n",
    )

    assert lab.run("plan", "--out", "plan.json").code == 0

    document = json.loads((lab.folder / "plan.json").read_text())
    assert [(change["mirror"], change["action"]) for change in document["changes"]] == [("a", "keep")] * 2 + [("b", "create")] * 2
    (shared,) = document["content"]["shared"]
    assert shared["changes"] == [2, 3]
