"""A saved plan is applied exactly as it was reviewed, and one that is not what was reviewed is not applied at all."""

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
from tests.support.images import image, pull_raw, push

SAVED = "plan.json"
STEPS_ALONE = {"mirrors", "check"}


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def id_of(changes: object) -> str:
    return hashlib.sha256(canonical(changes)).hexdigest()[:8]


def sealed(document: dict[str, Any]) -> str:
    """Return *document* as somebody would write it who knows how ids and checks are made."""
    document["id"] = id_of(document["changes"])
    document["check"] = hashlib.sha256(canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()
    return json.dumps(document)


@pytest.fixture
def saved(workplace) -> Callable[[], dict[str, Any]]:
    """Read the plan that was saved."""
    return lambda: json.loads((workplace.folder / SAVED).read_text())


@pytest.fixture
def two_tags(registry, name, declare):
    """Two tags of one repository, declared and not yet mirrored; gives its images by tag."""
    found = {tag: push(registry, f"{name}/app", tag, image((name, tag), layers=1)) for tag in ("1", "2")}
    declare(f"[{name}/app]")
    return found


def test_saved_plan_is_the_document_for_its_owner_alone(two_tags, imgsync, saved, workplace):
    """What -o json prints, and how the filters chose; the id is that of its changes; what was there is replaced as a whole."""
    file = workplace.folder / SAVED
    file.write_text("what was here before")
    file.chmod(0o644)

    printed = imgsync("plan", "--out", SAVED, "-o", "json").json

    document = saved()
    assert {key: document[key] for key in document if key not in STEPS_ALONE} == {key: printed[key] for key in printed if key not in STEPS_ALONE}
    assert [step["step"] for step in document["mirrors"][0].pop("steps")]
    assert printed["mirrors"][0].pop("steps") == []
    assert document["mirrors"] == printed["mirrors"]
    assert document["id"] == printed["id"] == id_of(printed["changes"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in workplace.folder.iterdir() if "plan" in path.name] == [SAVED], "nothing unfinished is left"


def test_two_plans_of_the_same_things_are_the_same(two_tags, two_plans):
    """Same changes, same id, whenever they are made."""
    first, second = two_plans

    assert first["changes"] == second["changes"]
    assert first["id"] == second["id"]


@pytest.fixture
def two_plans(two_tags, imgsync):
    return [imgsync("plan", "-o", "json").json for _ in range(2)]


def test_plan_goes_through_a_link_to_its_file(two_tags, imgsync, saved, workplace):
    """The link stays one."""
    (workplace.folder / SAVED).symlink_to("elsewhere.json")

    assert imgsync("plan", "--out", SAVED).code == 0

    assert (workplace.folder / SAVED).is_symlink()
    assert saved()["summary"]["create"] == 2


@pytest.mark.parametrize("place", ["missing/plan.json", "mirrors.d", "pipe", "loop"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(place, two_tags, imgsync, source, destination, workplace):
    """Exit 3, no request; what is no file, such as a pipe or a device, is left what it is."""
    os.mkfifo(workplace.folder / "pipe")
    (workplace.folder / "loop").symlink_to("loop")

    ran = imgsync("plan", "--out", place)

    assert ran.code == 3
    assert f"error: {place} cannot be written" in ran.stderr
    assert (ran.stdout, source.seen, destination.seen) == ("", [], [])
    assert (workplace.folder / "pipe").is_fifo()


@pytest.mark.row("GIT-06")
def test_no_secret_is_saved(two_tags, imgsync, source, workplace):
    """Not even one that a registry says back."""
    workplace.trust_plain(source, settings={source.host: {"credentials": {"username": "me", "password": "echoed-SECRET"}}})
    source.add(switches.Respond(401, {"errors": []}, headers={"WWW-Authenticate": 'Basic realm="x"'}), times=1)
    source.add(switches.Echo(403))

    ran = imgsync("plan", "--out", SAVED, "-o", "json")

    text = (workplace.folder / SAVED).read_text()
    assert ran.code == 1
    assert "you sent" in text
    assert secrets_in(text) == []


def test_a_plan_that_holds_a_password_is_not_saved(two_tags, imgsync, source, destination, workplace):
    """One that is also a part of a digest: a file without it would be no plan, and that is said."""
    password = two_tags["1"].digest[10:20]
    settings = {source.host: {"credentials": {"username": "me", "password": password}}}
    workplace.trust_plain(source, destination, settings=settings)

    ran = imgsync("plan", "--out", SAVED)

    assert ran.code == 3
    assert "the plan cannot be saved" in ran.stderr
    assert not (workplace.folder / SAVED).exists()


@pytest.mark.row("DIG-13")
@pytest.mark.row("GIT-04")
def test_a_tag_that_moved_is_copied_as_reviewed_and_told_of(registry, second_registry, two_tags, name, imgsync, workplace):
    """The digest that was reviewed arrives; the log, the report, the table and Markdown say that the tag has another by now."""
    imgsync("plan", "--out", SAVED)
    moved = push(registry, f"{name}/app", "1", image((name, "moved"), layers=1))
    summary = workplace.folder / "summary.md"

    ran = imgsync("apply", "--plan", SAVED, "-o", "json", env={"GITHUB_STEP_SUMMARY": str(summary)})

    assert ran.code == 0, ran.stderr
    assert pull_raw(second_registry, f"m/{name}/app", "1") == two_tags["1"].raw
    (note,) = ran.json["notes"]
    was, now = two_tags["1"].digest[7:19], moved.digest[7:19]
    assert f"/{name}/app:1 moved since the plan was made, {was} → {now}; applying {was} as reviewed" in note
    (line,) = ran.events("tag.moved")
    assert (line["level"], line["mirror"], line["reason"]) == ("warning", "a", note)
    assert line["source"].endswith(f"/{name}/app:1")
    assert f"/{name}/app:1` moved since the plan was made" in summary.read_text()
    (workplace.folder / "report.json").write_text(ran.stdout)
    assert f"    note: {note}\n" in imgsync("show", "report.json").stdout


def test_what_was_applied_already_is_kept_unasked(two_tags, imgsync, source, destination):
    """The same plan again: no request to the destination, nothing of an image from the source."""
    imgsync("plan", "--out", SAVED)
    first = imgsync("apply", "--plan", SAVED, "-o", "json").json
    assert (first["plan_id"], first["summary"]["copied"]) == (imgsync("show", SAVED, "-o", "json").json["id"], 2)
    destination.forget()
    source.forget()

    ran = imgsync("apply", "--plan", SAVED, "-o", "json", "--max-bytes", "0B")

    assert ran.code == 0, ran.stderr
    assert (ran.json["summary"]["kept"], ran.json["plan_id"]) == (2, first["plan_id"])
    assert (destination.seen, source.seen) == ([], [])


def test_a_plan_that_found_a_tag_missing_brings_it_back(registry, second_registry, two_tags, name, imgsync):
    """What the state remembers from before the plan is not taken for what was applied since."""
    assert imgsync("apply").code == 0
    second_registry.delete(f"m/{name}/app", two_tags["1"].digest)
    assert imgsync("plan", "--refresh", "--out", SAVED, "-o", "json").json["summary"]["create"] == 1

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert ran.json["summary"]["copied"] == 1
    assert pull_raw(second_registry, f"m/{name}/app", "1") == two_tags["1"].raw


def test_a_kept_tag_that_was_updated_since_is_not_remembered_as_it_was(registry, second_registry, two_tags, name, imgsync):
    """An older plan says what it was, the state what it is: when the source goes back, so does the destination."""
    assert imgsync("apply").code == 0
    assert imgsync("plan", "--out", SAVED, "-o", "json").json["summary"]["keep"] == 2
    push(registry, f"{name}/app", "1", image((name, "moved"), layers=1))
    assert imgsync("apply", "-o", "json").json["summary"]["copied"] == 1
    assert imgsync("apply", "--plan", SAVED, "-o", "json").json["summary"]["kept"] == 2
    push(registry, f"{name}/app", "1", two_tags["1"])

    assert imgsync("apply", "-o", "json").json["summary"]["copied"] == 1
    assert pull_raw(second_registry, f"m/{name}/app", "1") == two_tags["1"].raw


def test_an_immutable_tag_that_was_mirrored_since_is_refused(registry, second_registry, two_tags, name, imgsync, declare):
    """It never moves, whatever was reviewed before it was there."""
    declare(f"[{name}/app]", "immutable: ['*']")
    imgsync("plan", "--out", SAVED)
    moved = push(registry, f"{name}/app", "1", image((name, "moved"), layers=1))
    assert imgsync("apply").code == 0

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert ran.code == 1
    assert (ran.json["summary"]["refused"], ran.json["summary"]["kept"]) == (1, 1)
    (error,) = [outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]]
    assert "was mirrored since the plan was made" in error
    assert pull_raw(second_registry, f"m/{name}/app", "1") == moved.raw


def test_a_reviewed_image_that_is_gone_fails_alone(registry, second_registry, two_tags, name, imgsync):
    """It says which image is gone; the others go on."""
    imgsync("plan", "--out", SAVED)
    registry.delete(f"{name}/app", two_tags["1"].digest)

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert ran.code == 1
    assert (ran.json["summary"]["copied"], ran.json["summary"]["failed"]) == (1, 1)
    (error,) = [outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]]
    assert f"/{name}/app@{two_tags['1'].digest} (source): 404" in error
    assert "make the plan again" in error
    (line,) = ran.events("tag.vanished")
    assert "is gone since the plan was made" in line["reason"]
    assert pull_raw(second_registry, f"m/{name}/app", "2") == two_tags["2"].raw


@pytest.mark.row("DOS-14")
@pytest.mark.row("GIT-10")
@pytest.mark.parametrize("brake", [("--max-changes", "1"), ("--max-bytes", "10B")], ids=lambda brake: brake[0])
def test_brakes_hold(brake, two_tags, imgsync, destination):
    """A plan that goes too far is not begun, reviewed or not."""
    imgsync("plan", "--out", SAVED)
    destination.forget()

    ran = imgsync("apply", "--plan", SAVED, *brake)

    assert ran.code == 1
    assert f"more than {brake[0]}" in ran.stderr
    assert destination.seen == []


def test_holds_and_refusals_are_reported(registry, two_tags, name, imgsync, declare):
    """What the plan held back or refused stays so, and the exit code says it."""
    declare(f"[{name}/app]", "immutable: ['*']")
    assert imgsync("apply").code == 0
    push(registry, f"{name}/app", "1", image((name, "moved"), layers=1))
    push(registry, f"{name}/app", "3", image((name, "3"), layers=1))
    declare(f"[{name}/app]", "immutable: ['*']\ntags: {min_age: 3d}")
    assert imgsync("plan", "--refresh", "--out", SAVED).code == 1

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert ran.code == 1
    assert {outcome["destination"].rpartition(":")[2]: outcome["result"] for outcome in ran.json["outcomes"]} == {"1": "refused", "2": "kept", "3": "held"}
    assert ran.json["summary"]["held"] == 1
    (held,) = [outcome["reason"] for outcome in ran.json["outcomes"] if outcome["result"] == "held"]
    assert "held by min_age 3d" in held


def test_deletions_are_applied_once(two_tags, name, imgsync, declare, second_registry, write):
    """What was pruned is gone; the same plan again finds it gone and is content; a tag that somebody else has put there since is left alone."""
    assert imgsync("apply").code == 0
    declare(f"[{name}/app]", "tags: {names: ['1']}\nprune: true")
    assert imgsync("plan", "--out", SAVED, "-o", "json").json["summary"]["delete"] == 1

    assert imgsync("apply", "--plan", SAVED, "-o", "json").json["summary"]["deleted"] == 1
    again = imgsync("apply", "--plan", SAVED, "-o", "json")
    assert (again.code, again.json["summary"]["deleted"], again.json["summary"]["kept"]) == (0, 0, 2)
    other = push(second_registry, f"m/{name}/app", "2", image((name, "somebody's"), layers=1))
    refused = imgsync("apply", "--plan", SAVED, "-o", "json")
    assert (refused.code, refused.json["summary"]["refused"]) == (1, 1)
    assert pull_raw(second_registry, f"m/{name}/app", "2") == other.raw


@pytest.fixture
def two_mirrors(registry, name, workplace, source, destination):
    """Two mirrors of one image each, in files of their own."""
    workplace.trust_plain(source, destination)
    for mirror in "ab":
        push(registry, f"{name}/{mirror}", "1", image((name, mirror), layers=1))
        workplace.mirror(mirror, source=f"{source}/{name}/{mirror}", destinations=[f"{destination}/m"])


def test_a_plan_of_some_mirrors_is_applied_to_them_alone(two_mirrors, name, imgsync, second_registry, workplace):
    """One made with --only, printed rather than saved; of the other mirror nothing is said, done or counted as done."""
    (workplace.folder / SAVED).write_text(imgsync("plan", "--only", "a", "-o", "json").stdout)

    ran = imgsync("apply", "mirrors.d", "--plan", SAVED, "-o", "json", "--metrics", "metrics.txt")

    assert ran.code == 0, ran.stderr
    assert [outcome["mirror"] for outcome in ran.json["outcomes"]] == ["a"]
    assert second_registry.tags(f"m/{name}/b") == []
    metrics = (workplace.folder / "metrics.txt").read_text()
    assert 'mirror="a"' in metrics
    assert 'mirror="b"' not in metrics
    assert (workplace.folder / "metrics.txt").stat().st_mode == (workplace.folder / SAVED).stat().st_mode, "others may read it, such as who collects it"


def test_a_plan_of_what_a_pull_request_changes_is_applied_as_it_is(two_mirrors, name, imgsync, second_registry, workplace, source, destination):
    """One made with --changed-since: the mirror that is as it was is left alone, and need not be named."""
    repository = Repository(workplace)
    repository.commit()
    workplace.mirror("b", source=f"{source}/{name}/b", destinations=[f"{destination}/m"], description="another")
    assert imgsync("plan", "--changed-since", "HEAD", "--out", SAVED).code == 0

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert (ran.code, [outcome["mirror"] for outcome in ran.json["outcomes"]]) == (0, ["b"])
    assert second_registry.tags(f"m/{name}/a") == []


@pytest.mark.row("GIT-04", "GIT-05")
def test_refused_plans_ask_nothing(two_tags, name, imgsync, saved, source, destination, workplace, write):
    """Edited, damaged, made otherwise: exit 3, no request to anybody, nothing on stdout, one error and what to do."""
    imgsync("plan", "--out", SAVED)
    whole = (workplace.folder / SAVED).read_text()
    digest, other = two_tags["1"].digest, "sha256:" + "0" * 64
    source.forget()
    destination.forget()

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
        "another imgsync": (edited(lambda document: document.update(imgsync="0.0.1")), f"made by imgsync 0.0.1, this is {program.__version__}"),
        "elsewhere": (edited(change(destination=f"{destination}/other/app:1")), "declares no such thing"),
    }
    for case, (text, said) in cases.items():
        write("edited.json", text)
        ran = imgsync("apply", "--plan", "edited.json")
        assert (ran.code, ran.stdout) == (3, ""), (case, ran.stderr)
        assert said in ran.stderr, (case, ran.stderr)
        assert ran.stderr.count("error: ") == ran.stderr.count("hint: ") == 1, (case, ran.stderr)
    for place, said in {"missing.json": "cannot be read", "mirrors.d": "cannot be read"}.items():
        ran = imgsync("apply", "--plan", place)
        assert (ran.code, ran.stdout) == (3, ""), place
        assert said in ran.stderr
    assert imgsync("apply", "--plan", SAVED, "--refresh").code == 3
    assert (source.seen, destination.seen) == ([], [])


def test_plans_of_later_minor_versions_are_applied(two_tags, imgsync, saved, write):
    """What they say more is passed over."""
    imgsync("plan", "--out", SAVED)
    document = saved()
    for one in (document, document["summary"], document["changes"][0], document["mirrors"][0]):
        one["from_a_later_version"] = ["x"]
    write(SAVED, sealed(document))

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert (ran.code, ran.json["summary"]["copied"], ran.json["plan_id"]) == (0, 2, document["id"])


@pytest.mark.row("GIT-04")
def test_a_plan_for_another_configuration_is_refused(two_mirrors, imgsync, source, destination, workplace, name):
    """A mirror that is another now, gone, new, or left out says so, and nothing is asked; how and where it is written does not matter, nor who is trusted."""
    imgsync("plan", "--out", SAVED)
    source.forget()
    destination.forget()
    file = workplace.folder / "mirrors.d" / "b.yaml"
    before = file.read_text()

    def refused(said: str, *arguments: str) -> None:
        ran = imgsync("apply", "--plan", SAVED, *arguments)
        assert (ran.code, ran.stdout) == (3, ""), ran.stderr
        assert f"made for another configuration ({said})" in ran.stderr
        assert "hint: make it again: imgsync plan --out FILE" in ran.stderr

    workplace.mirror("b", source=f"{source}/{name}/b", destinations=[f"{destination}/m"], platforms=["linux/amd64"])
    refused("changed: b")
    file.unlink()
    refused("no longer declared: b")
    file.write_text(before)
    refused("no longer declared: b", "--only", "a")
    workplace.mirror("c", source=f"{source}/{name}/c", destinations=[f"{destination}/c"])
    refused("added: c")
    (workplace.folder / "mirrors.d" / "c.yaml").unlink()
    assert (source.seen, destination.seen) == ([], [])

    file.rename(workplace.folder / "mirrors.d" / "renamed.yml")
    (workplace.folder / "mirrors.d" / "renamed.yml").write_text(f"# a comment\n\n{json.dumps(json.loads(before))}\n")
    workplace.trust_plain(source, destination, "another.example")
    ran = imgsync("apply", "--plan", SAVED, "-o", "json")
    assert (ran.code, ran.json["summary"]["copied"]) == (0, 2)
