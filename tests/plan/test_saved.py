"""A saved plan is applied exactly as reviewed, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

import imgsync as program
from tests import switches
from tests.config.test_revision import Repository
from tests.support.canary import secrets_in
from tests.support.images import image

SAVED = "plan.json"
STEPS_ALONE = {"mirrors", "check"}


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def id_of(changes: object) -> str:
    return hashlib.sha256(canonical(changes)).hexdigest()[:8]


def sealed(document: dict[str, Any]) -> str:
    """Return *document* with a matching id and checksum."""
    document["id"] = id_of(document["changes"])
    document["check"] = hashlib.sha256(canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()
    return json.dumps(document)


@pytest.fixture
def saved(workplace) -> Callable[[], dict[str, Any]]:
    """Read the saved plan."""
    return lambda: json.loads((workplace.folder / SAVED).read_text())


@pytest.fixture
def two_tags(lab):
    """Declare two tags of one repository; return their images."""
    found = {tag: lab.push("app", tag, image((lab.name, tag), layers=1)) for tag in ("1", "2")}
    lab.declare("app")
    return found


def test_saved_plan_is_the_json_document_with_mode_0600(two_tags, lab, saved):
    """It holds what -o json prints and how the filters chose; an old file is replaced."""
    file = lab.folder / SAVED
    file.write_text("what was here before")
    file.chmod(0o644)

    printed = lab.run("plan", "--out", SAVED, "-o", "json").json

    document = saved()
    assert {key: document[key] for key in document if key not in STEPS_ALONE} == {key: printed[key] for key in printed if key not in STEPS_ALONE}
    assert [step["step"] for step in document["mirrors"][0].pop("steps")]
    assert printed["mirrors"][0].pop("steps") == []
    assert document["mirrors"] == printed["mirrors"]
    assert document["id"] == printed["id"] == id_of(printed["changes"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in lab.folder.iterdir() if "plan" in path.name] == [SAVED], "nothing unfinished is left"


def test_equal_changes_have_equal_ids(two_tags, two_plans):
    """The id depends on the changes, not on the time."""
    first, second = two_plans

    assert first["changes"] == second["changes"]
    assert first["id"] == second["id"]


@pytest.fixture
def two_plans(two_tags, imgsync):
    return [imgsync("plan", "-o", "json").json for _ in range(2)]


def test_plan_is_written_through_a_link(two_tags, lab, saved):
    """The link stays a link."""
    (lab.folder / SAVED).symlink_to("elsewhere.json")

    assert lab.run("plan", "--out", SAVED).code == 0

    assert (lab.folder / SAVED).is_symlink()
    assert saved()["summary"]["create"] == 2


@pytest.mark.parametrize("place", ["missing/plan.json", "mirrors.d", "pipe", "loop"])
def test_unwritable_plan_file_fails_before_any_request(place, two_tags, lab):
    """Exit 3; a pipe or device is left as it is."""
    os.mkfifo(lab.folder / "pipe")
    (lab.folder / "loop").symlink_to("loop")

    ran = lab.run("plan", "--out", place)

    assert ran.code == 3
    assert f"error: {place} cannot be written" in ran.stderr
    assert (ran.stdout, lab.source.seen, lab.destination.seen) == ("", [], [])
    assert (lab.folder / "pipe").is_fifo()


@pytest.mark.row("GIT-06")
def test_no_secret_is_saved(two_tags, lab):
    """A saved plan holds no secret, even if a registry repeats one."""
    lab.workplace.allow_plain_http(lab.source, settings={lab.source.host: {"credentials": {"username": "me", "password": "echoed-SECRET"}}})
    lab.source.add(switches.Respond(401, {"errors": []}, headers={"WWW-Authenticate": 'Basic realm="x"'}), times=1)
    lab.source.add(switches.Echo(403))

    ran = lab.run("plan", "--out", SAVED, "-o", "json")

    text = (lab.folder / SAVED).read_text()
    assert ran.code == 1
    assert "you sent" in text
    assert secrets_in(text) == []


def test_plan_with_a_password_in_a_digest_is_not_saved(two_tags, lab):
    """Redacting it would make the plan useless, so the error says why."""
    password = two_tags["1"].digest[10:20]
    settings = {lab.source.host: {"credentials": {"username": "me", "password": password}}}
    lab.workplace.allow_plain_http(lab.source, lab.destination, settings=settings)

    ran = lab.run("plan", "--out", SAVED)

    assert ran.code == 3
    assert "the plan cannot be saved" in ran.stderr
    assert not (lab.folder / SAVED).exists()


@pytest.mark.row("DIG-13")
@pytest.mark.row("GIT-04")
def test_moved_tag_is_copied_as_reviewed_with_a_warning(lab, two_tags):
    """The reviewed digest arrives; log, report and table say that the tag has moved."""
    lab.run("plan", "--out", SAVED)
    moved = lab.push("app", "1", image((lab.name, "moved"), layers=1))
    summary = lab.folder / "summary.md"

    ran = lab.run("apply", "--plan", SAVED, "-o", "json", env={"GITHUB_STEP_SUMMARY": str(summary)})

    assert ran.code == 0, ran.stderr
    assert lab.served_manifest("app", "1") == two_tags["1"].raw
    (note,) = ran.json["notes"]
    was, now = two_tags["1"].digest[7:19], moved.digest[7:19]
    assert f"/{lab.name}/app:1 moved since the plan was made, {was} → {now}; applying {was} as reviewed" in note
    (line,) = ran.events("tag.moved")
    assert (line["level"], line["mirror"], line["reason"]) == ("warning", "a", note)
    assert line["source"].endswith(f"/{lab.name}/app:1")
    assert f"/{lab.name}/app:1` moved since the plan was made" in summary.read_text()
    (lab.folder / "report.json").write_text(ran.stdout)
    assert f"    note: {note}\n" in lab.run("show", "report.json").stdout


def test_applied_plan_costs_no_request(two_tags, lab):
    """Applying it again sends the destination nothing and reads no image."""
    lab.run("plan", "--out", SAVED)
    first = lab.run("apply", "--plan", SAVED, "-o", "json").json
    assert (first["plan_id"], first["summary"]["copied"]) == (lab.run("show", SAVED, "-o", "json").json["id"], 2)
    lab.destination.forget()
    lab.source.forget()

    ran = lab.run("apply", "--plan", SAVED, "-o", "json", "--max-bytes", "0B")

    assert ran.code == 0, ran.stderr
    assert (ran.json["summary"]["kept"], ran.json["plan_id"]) == (2, first["plan_id"])
    assert (lab.destination.seen, lab.source.seen) == ([], [])


def test_plan_of_a_missing_tag_copies_it_again(lab, two_tags):
    """Records older than the plan do not count as applied."""
    assert lab.run("apply").code == 0
    lab.destination_registry.delete(f"m/{lab.name}/app", two_tags["1"].digest)
    assert lab.run("plan", "--refresh", "--out", SAVED, "-o", "json").json["summary"]["create"] == 1

    ran = lab.run("apply", "--plan", SAVED, "-o", "json")

    assert ran.json["summary"]["copied"] == 1
    assert lab.served_manifest("app", "1") == two_tags["1"].raw


def test_older_plan_does_not_overwrite_a_newer_record(lab, two_tags):
    """When the source moves back, the destination does too."""
    assert lab.run("apply").code == 0
    assert lab.run("plan", "--out", SAVED, "-o", "json").json["summary"]["keep"] == 2
    lab.push("app", "1", image((lab.name, "moved"), layers=1))
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert lab.run("apply", "--plan", SAVED, "-o", "json").json["summary"]["kept"] == 2
    lab.push("app", "1", two_tags["1"])

    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 1
    assert lab.served_manifest("app", "1") == two_tags["1"].raw


def test_an_immutable_tag_that_was_mirrored_since_is_refused(lab, two_tags):
    """It does not move, even if the plan is older."""
    lab.declare("app", "immutable: ['*']")
    lab.run("plan", "--out", SAVED)
    moved = lab.push("app", "1", image((lab.name, "moved"), layers=1))
    assert lab.run("apply").code == 0

    ran = lab.run("apply", "--plan", SAVED, "-o", "json")

    assert ran.code == 1
    assert (ran.json["summary"]["refused"], ran.json["summary"]["kept"]) == (1, 1)
    (error,) = [outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]]
    assert "was mirrored since the plan was made" in error
    assert lab.served_manifest("app", "1") == moved.raw


def test_a_reviewed_image_that_is_gone_fails_alone(lab, two_tags):
    """The error names the image; the others continue."""
    lab.run("plan", "--out", SAVED)
    lab.source_registry.delete(f"{lab.name}/app", two_tags["1"].digest)

    ran = lab.run("apply", "--plan", SAVED, "-o", "json")

    assert ran.code == 1
    assert (ran.json["summary"]["copied"], ran.json["summary"]["failed"]) == (1, 1)
    (error,) = [outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]]
    assert f"/{lab.name}/app@{two_tags['1'].digest} (source): 404" in error
    assert "make the plan again" in error
    (line,) = ran.events("tag.vanished")
    assert "is gone since the plan was made" in line["reason"]
    assert lab.served_manifest("app", "2") == two_tags["2"].raw


@pytest.mark.row("DOS-14")
@pytest.mark.row("GIT-10")
@pytest.mark.parametrize("limit", [("--max-changes", "1"), ("--max-bytes", "10B")], ids=lambda limit: limit[0])
def test_safety_limits_apply_to_saved_plans(limit, two_tags, lab):
    """A saved plan over a limit does not start."""
    lab.run("plan", "--out", SAVED)
    lab.destination.forget()

    ran = lab.run("apply", "--plan", SAVED, *limit)

    assert ran.code == 1
    assert f"more than {limit[0]}" in ran.stderr
    assert lab.destination.seen == []


def test_holds_and_refusals_are_reported(lab, two_tags):
    """Held and refused changes stay so, and set the exit code."""
    lab.declare("app", "immutable: ['*']")
    assert lab.run("apply").code == 0
    lab.push("app", "1", image((lab.name, "moved"), layers=1))
    lab.push("app", "3", image((lab.name, "3"), layers=1))
    lab.declare("app", "immutable: ['*']\ntags: {min_age: 3d}")
    assert lab.run("plan", "--refresh", "--out", SAVED).code == 1

    ran = lab.run("apply", "--plan", SAVED, "-o", "json")

    assert ran.code == 1
    assert {outcome["destination"].rpartition(":")[2]: outcome["result"] for outcome in ran.json["outcomes"]} == {"1": "refused", "2": "kept", "3": "held"}
    assert ran.json["summary"]["held"] == 1
    (held,) = [outcome["reason"] for outcome in ran.json["outcomes"] if outcome["result"] == "held"]
    assert "held by min_age 3d" in held


def test_deletions_are_applied_once(two_tags, lab):
    """Applied again, they find the tag gone; a tag that another writer pushed since stays."""
    assert lab.run("apply").code == 0
    lab.declare("app", "tags: {names: ['1']}\nprune: true")
    assert lab.run("plan", "--out", SAVED, "-o", "json").json["summary"]["delete"] == 1

    assert lab.run("apply", "--plan", SAVED, "-o", "json").json["summary"]["deleted"] == 1
    again = lab.run("apply", "--plan", SAVED, "-o", "json")
    assert (again.code, again.json["summary"]["deleted"], again.json["summary"]["kept"]) == (0, 0, 2)
    other = lab.push_to_destination("app", "2", image((lab.name, "somebody's"), layers=1))
    refused = lab.run("apply", "--plan", SAVED, "-o", "json")
    assert (refused.code, refused.json["summary"]["refused"]) == (1, 1)
    assert lab.served_manifest("app", "2") == other.raw


@pytest.fixture
def two_mirrors(lab):
    """Declare two mirrors of one image each, in files of their own."""
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    for mirror in "ab":
        lab.push(mirror, "1", image((lab.name, mirror), layers=1))
        lab.workplace.mirror(mirror, source=f"{lab.source}/{lab.name}/{mirror}", destinations=[f"{lab.destination}/m"])


def test_plan_of_some_mirrors_changes_only_those(two_mirrors, lab):
    """A plan made with --only says and changes nothing of other mirrors."""
    (lab.folder / SAVED).write_text(lab.run("plan", "--only", "a", "-o", "json").stdout)

    ran = lab.run("apply", "mirrors.d", "--plan", SAVED, "-o", "json", "--metrics", "metrics.txt")

    assert ran.code == 0, ran.stderr
    assert [outcome["mirror"] for outcome in ran.json["outcomes"]] == ["a"]
    assert lab.served_tags("b") == []
    metrics = (lab.folder / "metrics.txt").read_text()
    assert 'mirror="a"' in metrics
    assert 'mirror="b"' not in metrics
    assert (lab.folder / "metrics.txt").stat().st_mode == (lab.folder / SAVED).stat().st_mode, "others may read it, such as who collects it"


def test_plan_of_changed_mirrors_is_applied_as_it_is(two_mirrors, lab):
    """A plan made with --changed-since leaves unchanged mirrors alone."""
    repository = Repository(lab.workplace)
    repository.commit()
    lab.workplace.mirror("b", source=f"{lab.source}/{lab.name}/b", destinations=[f"{lab.destination}/m"], description="another")
    assert lab.run("plan", "--changed-since", "HEAD", "--out", SAVED).code == 0

    ran = lab.run("apply", "--plan", SAVED, "-o", "json")

    assert (ran.code, [outcome["mirror"] for outcome in ran.json["outcomes"]]) == (0, ["b"])
    assert lab.served_tags("a") == []


@pytest.mark.row("GIT-04", "GIT-05")
def test_refused_plans_make_no_request(two_tags, lab, saved):
    """Edited or damaged plans: exit 3, no request, empty stdout, one error with a hint."""
    lab.run("plan", "--out", SAVED)
    whole = (lab.folder / SAVED).read_text()
    digest, other = two_tags["1"].digest, "sha256:" + "0" * 64
    lab.source.forget()
    lab.destination.forget()

    def edited(edit: Callable[[dict[str, Any]], object]) -> str:
        document = json.loads(whole)
        edit(document)
        return sealed(document)

    def change(**fields: object) -> Callable[[dict[str, Any]], object]:
        return lambda document: document["changes"][0].update(fields)

    cases = {
        "a digest": (whole.replace(digest, other), "edited or damaged"),
        "another kind": (edited(change(size_bytes="5")), "'size_bytes' has the wrong type"),
        "cut": (whole[: len(whole) // 2], "truncated"),
        "a report": ('{"format": "imgsync.report/v1"}', "is imgsync.report/v1, not imgsync.plan/v1"),
        "v2": (edited(lambda document: document.update(format="imgsync.plan/v2")), "another version, imgsync.plan/v2"),
        "another imgsync": (edited(lambda document: document.update(imgsync="0.0.1")), f"made by imgsync 0.0.1, not {program.__version__}"),
        "elsewhere": (edited(change(destination=f"{lab.destination}/other/app:1")), "does not declare"),
    }
    for case, (text, said) in cases.items():
        lab.write("edited.json", text)
        ran = lab.run("apply", "--plan", "edited.json")
        assert (ran.code, ran.stdout) == (3, ""), (case, ran.stderr)
        assert said in ran.stderr, (case, ran.stderr)
        assert ran.stderr.count("error: ") == ran.stderr.count("hint: ") == 1, (case, ran.stderr)
    for place, said in {"missing.json": "cannot be read", "mirrors.d": "cannot be read"}.items():
        ran = lab.run("apply", "--plan", place)
        assert (ran.code, ran.stdout) == (3, ""), place
        assert said in ran.stderr
    assert lab.run("apply", "--plan", SAVED, "--refresh").code == 3
    assert (lab.source.seen, lab.destination.seen) == ([], [])


def test_plans_of_later_minor_versions_are_applied(two_tags, lab, saved):
    """Unknown fields are ignored."""
    lab.run("plan", "--out", SAVED)
    document = saved()
    for one in (document, document["summary"], document["changes"][0], document["mirrors"][0]):
        one["from_a_later_version"] = ["x"]
    lab.write(SAVED, sealed(document))

    ran = lab.run("apply", "--plan", SAVED, "-o", "json")

    assert (ran.code, ran.json["summary"]["copied"], ran.json["plan_id"]) == (0, 2, document["id"])


@pytest.mark.row("GIT-04")
def test_plan_for_another_configuration_is_refused(two_mirrors, lab):
    """The error names the changed, removed, new or left-out mirror; layout and registry settings do not matter."""
    lab.run("plan", "--out", SAVED)
    lab.source.forget()
    lab.destination.forget()
    file = lab.folder / "mirrors.d" / "b.yaml"
    before = file.read_text()

    def refused(said: str, *arguments: str) -> None:
        ran = lab.run("apply", "--plan", SAVED, *arguments)
        assert (ran.code, ran.stdout) == (3, ""), ran.stderr
        assert f"made for another configuration ({said})" in ran.stderr
        assert "hint: make it again: imgsync plan --out FILE" in ran.stderr

    lab.workplace.mirror("b", source=f"{lab.source}/{lab.name}/b", destinations=[f"{lab.destination}/m"], platforms=["linux/amd64"])
    refused("changed: b")
    file.unlink()
    refused("no longer declared: b")
    file.write_text(before)
    refused("no longer declared: b", "--only", "a")
    lab.workplace.mirror("c", source=f"{lab.source}/{lab.name}/c", destinations=[f"{lab.destination}/c"])
    refused("added: c")
    (lab.folder / "mirrors.d" / "c.yaml").unlink()
    assert (lab.source.seen, lab.destination.seen) == ([], [])

    file.rename(lab.folder / "mirrors.d" / "renamed.yml")
    (lab.folder / "mirrors.d" / "renamed.yml").write_text(f"# a comment\n\n{json.dumps(json.loads(before))}\n")
    lab.workplace.allow_plain_http(lab.source, lab.destination, "another.example")
    ran = lab.run("apply", "--plan", SAVED, "-o", "json")
    assert (ran.code, ran.json["summary"]["copied"]) == (0, 2)
