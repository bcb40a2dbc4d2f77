"""Pruning deletes only tags that imgsync pushed, and only when it is certain."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import image, index, pull_raw
from tests.support.registry_process import LOGIN
from tests.support.run_imgsync import finish
from tests.support.tag_deletion import TagDeletion
from tests.switches import Hold, Respond

UNDECLARED = "no mirror declares that repository for that destination"
NO_SUCH = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}


@pytest.fixture
def deletes_tags(destination):
    """Make the destination delete by tag."""
    destination.add(TagDeletion())
    return destination


@pytest.fixture
def mirrored(lab):
    """Push images as tags of `NAME/app`, mirror them, and forget the requests."""

    def mirror(**tags):
        contents = {tag.lstrip("v_"): lab.push("app", tag.lstrip("v_"), content) for tag, content in tags.items()}
        lab.declare("app", "prune: true")
        ran = lab.run("apply")
        assert ran.code == 0, ran.stderr
        lab.destination.forget()
        return contents

    return mirror


@pytest.fixture
def remembered(workplace):
    """Return the recorded destination tags and those that were left; change the records first if asked to."""

    def read(change=None, **fields):
        thread = NativeThread()
        with open_state(str(workplace.folder / ".imgsync" / "state"), thread=thread, lock_timeout_seconds=5, on_warning=pytest.fail) as state:
            if change is not None:
                state.put([change(record, **fields) for record in state.iter_records()])
            return sorted(record.destination.rpartition(":")[2] for record in state.iter_records()), state.remaining

    return read


def only(tags: str, prune: str = "true", more: str = "") -> str:
    """Return settings of a mirror that select *tags*, a glob."""
    return f"tags: {{include: ['{tags}']}}\nprune: {prune}\n{more}"


def declare_other(lab, repository: str, settings: str) -> None:
    """Declare the mirror `b` of *repository*, in a file of its own."""
    lab.write("mirrors.d/b.yaml", f"version: 1\nmirrors:\n  - {{name: b, source: {lab.source.host}/{lab.name}/{repository}, {settings}}}\n")


def deleted(document) -> list[str]:
    """Return the tags that a report lists as deleted."""
    return sorted(
        outcome["destination"].rpartition(":")[2]
        for outcome in document["outcomes"]
        if outcome["action"] == "delete" and outcome["error"] is None and outcome["digest"]
    )


# --- what is deleted


def test_tag_that_is_no_longer_selected_is_deleted(lab, deletes_tags, mirrored, remembered):
    """Only that tag is deleted; report, log and state say so; the next run has nothing to do."""
    mirrored(v1=image(1), v2=image(2), v3=image(3))
    lab.declare("app", only("[13]"))

    ran = lab.run("apply", "-o", "json")
    asked = deletes_tags.requests()

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"] == ran.json["summary"] | {"deleted": 1, "kept": 2, "failed": 0, "refused": 0, "remaining": 0}
    assert deleted(ran.json) == ["2"]
    assert asked == [f"HEAD /v2/m/{lab.name}/app/manifests/2", f"DELETE /v2/m/{lab.name}/app/manifests/2"]
    assert [event["destination"] for event in ran.events("image.deleted")] == [f"{deletes_tags.host}/m/{lab.name}/app:2"]
    assert [bool(pull_raw(deletes_tags, f"m/{lab.name}/app", tag)) for tag in "123"] == [True, False, True]
    assert remembered() == (["1", "3"], ())
    deletes_tags.forget()
    assert lab.run("apply", "-o", "json").json["summary"]["deleted"] == 0
    assert deletes_tags.seen == []


def test_plan_shows_deletions_and_deletes_nothing(lab, mirrored, remembered):
    """Each deletion is a change with a reason and counts for --detailed-exitcode; the destination gets no request."""
    contents = mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))

    plan = lab.run("plan", "-o", "json", "--detailed-exitcode")
    shown = lab.run("plan")

    assert plan.code == 2
    assert plan.json["summary"] == plan.json["summary"] | {"delete": 1, "keep": 1}
    change = next(one for one in plan.json["changes"] if one["action"] == "delete")
    assert (change["destination"], change["destination_digest"]) == (f"{lab.destination.host}/m/{lab.name}/app:2", contents["2"].digest)
    assert change["reason"].startswith("no longer selected; pushed by imgsync on 20")
    assert any(line.split()[:1] == ["-"] and "app:2" in line for line in shown.stdout.splitlines()), shown.stdout
    assert lab.destination.seen == []
    assert remembered()[0] == ["1", "2"]


def test_saved_plan_deletes_what_was_reviewed(lab, deletes_tags, mirrored):
    """A saved plan deletes what it lists, if the state still records it as pushed by imgsync."""
    mirrored(v1=image(1), v2=image(2), v3=image(3))
    lab.declare("app", only("1"))
    assert lab.run("plan", "--out", "plan.json").code == 0
    assert lab.run("state", "remove", f"{deletes_tags.host}/m/{lab.name}/app:3").code == 0

    ran = lab.run("apply", "--plan", "plan.json", "-o", "json")

    assert ran.code == 1
    assert deleted(ran.json) == ["2"]
    assert deletes_tags.requests("DELETE") == [f"DELETE /v2/m/{lab.name}/app/manifests/2"]


def test_copies_come_before_deletions(lab, deletes_tags, mirrored):
    """The first tag is deleted after the last manifest was pushed."""
    mirrored(v1=image(1))
    lab.push("app", "2", image(2))
    lab.push("app", "3", image(3))
    lab.declare("app", only("[23]"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 2, "deleted": 1}
    assert [one.method for one in deletes_tags.seen if one.method in {"PUT", "DELETE"} and "/manifests/" in one.target] == ["PUT", "PUT", "DELETE"]


def test_pruning_mirror_copies_while_it_is_planned(lab, mirrored):
    """Copies start before the deletions are known."""
    mirrored(v1=image(1))
    lab.push("app", "2", image(2))
    lab.push("app", "3", image(3))
    held = lab.source.add(Hold(), method="GET", target="/manifests/3$")
    # One by one: the first pull goes alone until it shows whether pulls are counted, and it must not be the one that is held.
    lab.declare("app", only("[23]", more="concurrency: {queries: 1}"))

    running = lab.start("apply", "-o", "json")
    held.reached()
    for _ in range(2000):
        # Each look is a request, which takes its own time.
        if arrived := lab.served_manifest("app", "2") is not None:
            break
    held.release()

    assert finish(running).code == 0
    assert arrived


# --- what is not


def test_tags_that_imgsync_did_not_push_stay(lab, deletes_tags, mirrored):
    """Older tags, tags of other writers and protected tags stay."""
    adopted = image("adopted")
    lab.push_to_destination("app", "adopted", adopted)
    lab.push_to_destination("app", "theirs", image("theirs"))
    mirrored(adopted=adopted, latest=image("latest"), old=image("old"), v1=image(1))
    lab.declare("app", only("1", "{protect: ['lat*']}"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deletes_tags.requests("DELETE") == [f"DELETE /v2/m/{lab.name}/app/manifests/old"]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("destinations: [{host}/m]", ""),
        ("destinations: [{host}/m], suspend: true, prune: true", "is suspended"),
        ("destinations: [{host}/m], prune: {{protect: ['2']}}", "has `protect` for this tag"),
        ("destinations: [{host}/elsewhere]", ""),
        ("destinations: [{host}/m], prune: true", ""),
    ],
    ids=["does not prune", "suspended", "protects", "elsewhere", "prunes too"],
)
def test_tag_that_another_mirror_protects_stays(other, why, lab, deletes_tags, mirrored):
    """A mirror deletes its own tag, unless another one that can write it is suspended or protects it; a note names that one."""
    mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))
    declare_other(lab, "app", f"tags: {{include: ['1']}}, {other.format(host=deletes_tags.host)}")

    planned = lab.run("plan", "-o", "json")
    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ([] if why else ["2"])
    place = f"{deletes_tags.host}/m/{lab.name}/app:2"
    assert planned.json["mirrors"][0]["notes"] == ([f"1 tag is not deleted, because mirror b can write the same destination and {why}: {place}"] if why else [])


def test_mirror_of_another_repository_prevents_no_deletion(lab, deletes_tags, mirrored):
    """It cannot write the tag, although it shares the registry and the namespace."""
    mirrored(v1=image(1), v2=image(2))
    lab.push("other", "1", image("other"))
    lab.declare("app", only("1"))
    declare_other(lab, "other", f"destinations: [{deletes_tags.host}/m]")

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, deleted(ran.json)) == (0, ["2"]), ran.stderr


@pytest.mark.row("GIT-10")
@pytest.mark.parametrize("how", ["removed", "new destination", "of an earlier version"])
def test_tags_that_another_mirror_pushed_stay(how, lab, deletes_tags, remembered):
    """A removed or moved mirror gives no other mirror tags to delete, although it has the repository's registry and destination."""
    for repository in ("app", "other"):
        lab.push(repository, "1", image(repository))
    lab.declare("app", "prune: true")
    declare_other(lab, "other", f"destinations: [{deletes_tags.host}/m]")
    assert lab.run("apply").code == 0
    (lab.folder / "mirrors.d/b.yaml").unlink(missing_ok=True)
    if how == "new destination":
        declare_other(lab, "other", f"destinations: [{deletes_tags.host}/new]")
    if how == "of an earlier version":
        remembered(replace, mirror="")
    why = {"new destination": "mirror b pushed it and no longer has that destination", "of an earlier version": UNDECLARED}

    explained = lab.run("plan", "--explain", env={"COLUMNS": "300"})
    ran = lab.run("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["deleted"]) == (0, 0), ran.stderr
    assert lab.served_tags("other") == ["1"]
    note = f"1 tag is not deleted, because {why.get(how, 'mirror b pushed it and is no longer declared')}: {deletes_tags.host}/m/{lab.name}/other:1"
    assert note in explained.stdout


@pytest.mark.parametrize("is_saved", [False, True], ids=["apply", "saved plan"])
def test_repository_removed_from_the_list_is_pruned(is_saved, lab, deletes_tags):
    """Its mirror pushed the tags and no longer declares them; the other repository stays."""
    for repository in ("app", "other"):
        lab.push(repository, "1", image(repository))
    lab.declare("app other", "prune: true")
    assert lab.run("apply").code == 0
    lab.declare("app", "prune: true")
    assert lab.run("plan", "--out", "plan.json").code == 0

    ran = lab.run("apply", "-o", "json", *(["--plan", "plan.json"] if is_saved else []))

    assert (ran.code, ran.json["summary"]["deleted"]) == (0, 1), ran.stderr
    assert [bool(pull_raw(deletes_tags, f"m/{lab.name}/{repository}", "1")) for repository in ("app", "other")] == [True, False]


def test_removed_mirror_of_the_same_repository_keeps_its_tags(lab, deletes_tags, mirrored):
    """Another mirror of the repository deletes only what it pushed; before, the two could not be told apart."""
    mirrored(v1=image(1), v2=image(2), v3=image(3))
    lab.push("app", "4", image(4))
    lab.declare("app", only("[1-3]"))
    declare_other(lab, "app", f"tags: {{include: ['4']}}, destinations: [{deletes_tags.host}/m]")
    assert lab.run("apply").code == 0
    (lab.folder / "mirrors.d/b.yaml").unlink()
    lab.declare("app", only("[12]"))

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, deleted(ran.json)) == (0, ["3"]), ran.stderr
    assert [tag for tag in "1234" if pull_raw(deletes_tags, f"m/{lab.name}/app", tag)] == ["1", "2", "4"]


def test_saved_deletion_of_another_mirrors_tag_is_refused(lab, deletes_tags, mirrored, remembered):
    """The record names the mirror; a plan from a file does not change that."""
    mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))
    assert lab.run("plan", "--out", "plan.json").code == 0
    remembered(replace, mirror="b")

    ran = lab.run("apply", "--plan", "plan.json", "-o", "json")

    assert (ran.code, deleted(ran.json)) == (1, [])
    assert "does not record that this mirror pushed this tag" in ran.stderr + ran.stdout
    assert lab.served_tags("app") == ["1", "2"]


def test_named_tag_stays_though_its_source_lost_it(lab, deletes_tags, mirrored):
    """A tag in `names` stays even if the source no longer has it: it is gone, also with `gone: true`."""
    contents = mirrored(v1=image(1), v2=image(2))
    lab.source_registry.delete(f"{lab.name}/app", contents["2"].digest)
    lab.declare("app", "tags: {include: ['1'], names: ['2']}\nprune: {gone: true}")

    for _ in range(2):
        ran = lab.run("apply", "-o", "json")
        assert ran.code == 0, ran.stderr
        assert [one["reason"] for one in ran.json["gone"]] == ["the tag is not found"]
    assert deletes_tags.requests("DELETE") == []


def test_lost_state_deletes_nothing(lab, deletes_tags, mirrored):
    """Without a record, nothing is deleted."""
    mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))
    shutil.rmtree(lab.folder / ".imgsync")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deletes_tags.requests("DELETE") == []


class SecondPage(switches.Switch):
    """A listing of two pages whose second page fails."""

    def request(self, request):
        return switches.plain_answer(500) if "last=" in request.target else request

    def answer(self, request, answer):
        return answer.with_headers(Link=f'<{request.path}?last=1&n=1>; rel="next"')


@pytest.mark.row("REG-23")
@pytest.mark.parametrize(
    ("switch", "code"), [(SecondPage(), 1), (Respond(200, {"name": "app", "tags": ["1", "no tag!"]}), 0)], ids=["fails on page two", "is incomplete"]
)
@pytest.mark.parametrize("where", ["app", "other"], ids=["own mirror", "another mirror"])
def test_incomplete_listing_deletes_nothing(where, switch, code, lab, deletes_tags, mirrored):
    """An error or an incomplete listing in any mirror keeps every tag; the log says why."""
    mirrored(v1=image(1), v2=image(2))
    lab.push("other", "1", image("other"))
    # Nothing but the listing's own failure is to hold the deletion back.
    lab.declare("app", only("1").replace("{", "{at_least: 0, ", 1))
    declare_other(lab, "other", f"destinations: ['{deletes_tags.host}/else'], retry: {{attempts: 1}}, tags: {{at_least: 0}}")
    lab.source.add(switch, method="GET", target=f"/{lab.name}/{where}/tags/list")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == code, ran.stderr
    assert ran.json["summary"]["deleted"] == 0
    assert deletes_tags.requests("DELETE") == []
    assert ran.events("prune.skipped")[0]["reason"] == ("not everything could be planned" if code else "a listing was incomplete")


@pytest.mark.parametrize("arguments", [("--only", "a"), ("mirrors.d/a.yaml",)], ids=["--only", "one file of two"])
def test_partial_configuration_deletes_nothing(arguments, lab, deletes_tags, mirrored):
    """A part of the files is not enough: another file may select the tag."""
    mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))
    declare_other(lab, "app", f"tags: {{names: ['2']}}, destinations: ['{deletes_tags.host}/m'], prune: true")

    ran = lab.run("apply", *arguments, "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deletes_tags.requests("DELETE") == []
    assert ran.events("prune.skipped")[0]["reason"] == "only a part of the mirrors is planned"


def test_single_file_configuration_prunes(lab, deletes_tags, mirrored):
    """A configuration that is a single file prunes."""
    mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))

    assert deleted(lab.run("apply", "mirrors.d/a.yaml", "-o", "json").json) == ["2"]


@pytest.mark.row("GIT-10")
def test_more_than_at_most_is_an_error_and_none_is_deleted(lab, deletes_tags, mirrored):
    """The error shows the count; raising the limit to that count deletes them."""
    mirrored(v1=image(1), v2=image(2), v3=image(3))
    lab.declare("app", only("1", "{at_most: 1}"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "2 tags are no longer selected, more than prune at_most: 1; none of them is deleted" in ran.json["errors"][0]["message"]
    assert deletes_tags.seen == []
    lab.declare("app", only("1", "{at_most: 2}"))
    raised = lab.run("apply")
    assert raised.code == 0, raised.stderr
    assert ", 2 deleted." in raised.stdout


def test_nothing_is_deleted_while_images_of_the_mirror_fail(lab, deletes_tags, mirrored, remembered):
    """If a copy of the mirror fails, its deletions wait for a run without failures."""
    mirrored(v1=image(1))
    lab.push("app", "2", image(2))
    lab.declare("app", only("2"))
    deletes_tags.add(Respond(403, {"errors": [{"code": "DENIED", "message": "no"}]}), method="PUT", target="/manifests/2$", times=1)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 1, "remaining": 1, "deleted": 0}
    assert deletes_tags.requests("DELETE") == []
    assert remembered() == (["1"], ()), "a deletion has no turn to keep, for which the next run would have to wait"
    assert deleted(lab.run("apply", "-o", "json").json) == ["1"]


def test_run_out_of_time_deletes_nothing(lab, deletes_tags, mirrored):
    """A run without time for its copies deletes nothing."""
    mirrored(v1=image(1))
    lab.push("app", "2", image(2))
    lab.declare("app", only("2", more="timeouts: {run: 0s}"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 75
    assert ran.json["summary"]["remaining"] == 2
    assert deletes_tags.requests("DELETE") == []


# --- how


def test_registry_without_deletion_by_tag_deletes_the_digest(lab, mirrored, remembered):
    """If all tags of a digest are pruned, the digest is deleted once."""
    same = image("same")
    contents = mirrored(v1=image(1), v2=same, v3=same)
    lab.declare("app", only("1"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2", "3"]
    by_digest = f"DELETE /v2/m/{lab.name}/app/manifests/{contents['2'].digest}"
    assert [str(one) for one in lab.destination.recorded("DELETE")][-1:] == [f"{by_digest} 202"]
    assert lab.destination.requests("DELETE").count(by_digest) == 1
    assert lab.served_tags("app") == ["1"]
    assert remembered()[0] == ["1"]


def test_digest_that_another_tag_shares_is_not_deleted(lab, mirrored, remembered):
    """The deletion is refused with the other tag's name and exit code 1."""
    same = image("same")
    mirrored(v1=same, v2=same, v3=image(3), v4=image(4))
    lab.push_to_destination("app", "theirs", image(3))
    lab.declare("app", only("1"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"refused": 2, "deleted": 1, "kept": 1}
    errors = {outcome["destination"][-1]: outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]}
    assert "this registry deletes by digest, and 1 has the same digest" in errors["2"]
    assert "this registry deletes by digest, and theirs has the same digest" in errors["3"]
    assert lab.served_tags("app") == ["1", "2", "3", "theirs"]
    assert remembered()[0] == ["1", "2", "3"]


@pytest.mark.parametrize("nested", [False, True], ids=["index", "nested index"])
def test_image_that_a_staying_index_names_is_not_deleted(nested, lab, mirrored):
    """An image stays while an index that stays refers to it."""
    part = image("part")
    mirrored(v1=index(children=(part, image("rest", platform="linux/arm64")), nested=nested), v2=part)
    lab.declare("app", only("1"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "the index 1 lists it" in next(outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"])
    assert lab.served_tags("app") == ["1", "2"]


def test_index_is_deleted_before_its_children(lab, mirrored):
    """A run cut in between leaves no tag with an incomplete index."""
    part = image("part")
    whole = index(children=(part, image("rest", platform="linux/arm64")))
    mirrored(v1=image(1), v2=part, v3=whole)
    lab.declare("app", only("1"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2", "3"]
    gone = [one.path.rpartition("/")[2] for one in lab.destination.recorded("DELETE") if one.status == 202]
    assert gone == [whole.digest, part.digest]


def test_index_that_was_moved_keeps_its_children(lab, mirrored):
    """A tag that another writer moved stays, and so do the children of its index."""
    part = image("part")
    mirrored(v1=image(1), v2=part, v3=image(3))
    lab.push_to_destination("app", "3", index(children=(part, image("rest", platform="linux/arm64"))))
    lab.declare("app", only("1"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["refused"] == 2
    errors = {outcome["destination"][-1]: outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]}
    assert "the index 3 lists it" in errors["2"]
    assert "it was not deleted" in errors["3"]
    assert lab.served_tags("app") == ["1", "2", "3"]


@pytest.mark.row("REG-23")
def test_digest_is_not_deleted_on_a_partial_list(lab, mirrored):
    """A listing without all tags may hide one that shares the digest."""
    mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))
    lab.destination.add(Respond(200, {"name": "app", "tags": ["1", "2", "no tag!"]}), method="GET", target="/tags/list")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "not all of its tags are known" in next(outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"])
    assert lab.served_tags("app") == ["1", "2"]


def test_registry_that_forbids_deletion_is_one_clear_error(lab, keeping_registry):
    """The error quotes the registry and says what to do; exit code 1, and the tag stays."""
    lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    lab.workplace.allow_plain_http(lab.source_registry, keeping_registry)
    settings = {"source": f"{lab.source_registry}/{lab.name}/app", "destinations": [f"{keeping_registry}/m"], "prune": True}
    lab.workplace.mirror("a", **settings)
    assert lab.run("apply").code == 0
    lab.workplace.mirror("a", **settings, tags={"names": ["1"]})

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 1, "deleted": 0}
    error = next(outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"])
    assert "(destination): 405 UNSUPPORTED" in error
    assert ran.events("image.failed")[0]["hint"].startswith("allow deletion at the registry, or delete the tag yourself")
    assert keeping_registry.tags(f"m/{lab.name}/app") == ["1", "2"]


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "no credentials for"), (403, "it does not allow this without a login"), (404, "allow deletion at the registry"), (500, "500")],
)
def test_deletion_without_effect_is_an_error_and_is_retried(status, says, lab, mirrored, remembered):
    """A tag that is still served was not deleted; the next run tries again."""
    mirrored(v1=image(1), v2=image(2))
    lab.destination.add(Respond(status, {"errors": [{"code": "X", "message": "no"}]}), method="DELETE")
    lab.declare("app", only("1"))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 1, "deleted": 0}
    failed = ran.events("image.failed")[0]
    assert says in f"{failed['error']} {failed.get('hint')}"
    assert remembered()[0] == ["1", "2"]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_tag_that_is_already_gone_is_dropped_from_the_state(when, lab, mirrored, remembered):
    """A tag that was deleted by hand counts as deleted."""
    contents = mirrored(v1=image(1), v2=image(2))
    lab.declare("app", only("1"))
    if when == "before":
        lab.destination_registry.delete(f"m/{lab.name}/app", contents["2"].digest)
    else:
        lab.destination.add(Respond(404, NO_SUCH), method="DELETE")
        lab.destination.add(Respond(404, NO_SUCH), method="HEAD", target="/manifests/2$", nth=2)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2"]
    assert remembered()[0] == ["1"]


def test_tag_that_serves_something_else_is_left_alone(lab, deletes_tags, mirrored):
    """A tag that another writer moved stays; the error says how to forget it."""
    mirrored(v1=image(1), v2=image(2))
    lab.push_to_destination("app", "2", image("theirs"))
    lab.declare("app", only("1"))

    shown = lab.run("apply")
    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"refused": 1, "deleted": 0}
    refused = ran.events("image.refused")[0]
    assert "which imgsync pushed; it was not deleted" in refused["reason"]
    assert refused["hint"].startswith(f"imgsync state remove {deletes_tags.host}/m/{lab.name}/app:2")
    assert f"hint: imgsync state remove {deletes_tags.host}/m/{lab.name}/app:2" in shown.stdout
    assert deletes_tags.requests("DELETE") == []
    assert lab.run("state", "remove", f"{deletes_tags.host}/m/{lab.name}/app:2").code == 0
    assert lab.run("apply").code == 0


def test_delete_scope_is_requested_for_deletions_only(lab, token_registry, token_server):
    """Other requests use tokens without `delete`; a token that does not allow it is a clear error."""
    lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    with FaultProxy(token_registry) as proxy:
        lab.workplace.allow_plain_http(lab.source_registry, proxy, settings={proxy.host: {"credentials": {"username": LOGIN[0], "password": LOGIN[1]}}})
        settings = {"source": f"{lab.source_registry}/{lab.name}/app", "destinations": [f"{proxy}/m"], "prune": True}
        lab.workplace.mirror("a", **settings)
        assert lab.run("apply").code == 0
        before = [one.scopes for one in token_server.requests]
        lab.workplace.mirror("a", **settings, tags={"names": ["1"]})
        token_server.grants = {"pull", "push"}
        refused = lab.run("apply", "-o", "json")
        token_server.reset()

        ran = lab.run("apply", "-o", "json")

        asked = {scope for one in token_server.requests for scope in one.scopes}
    assert not any("delete" in scope for scopes in before for scope in scopes)
    assert refused.code == 1
    assert "(destination): 401" in refused.events("image.failed")[0]["error"]
    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2"]
    assert f"repository:m/{lab.name}/app:pull,push,delete" in asked
