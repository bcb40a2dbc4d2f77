"""Deletion of what is no longer selected: only what imgsync pushed, only when all is certain, and nothing else with it (design.md §2 `prune`)."""

from __future__ import annotations

import shutil

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import image, index, pull_raw, push
from tests.support.registry_process import LOGIN
from tests.support.run_imgsync import finish
from tests.support.tag_deletion import TagDeletion
from tests.switches import Hold, Respond

NO_SUCH = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}


@pytest.fixture
def deletes_tags(destination):
    """The destination deletes by tag."""
    destination.add(TagDeletion())
    return destination


@pytest.fixture
def mirrored(registry, name, declare, imgsync, destination):
    """Push images as tags of `NAME/app`, mirror them all, and forget what that took."""

    def mirror(**tags):
        contents = {tag.lstrip("v_"): push(registry, f"{name}/app", tag.lstrip("v_"), content) for tag, content in tags.items()}
        declare(f"[{name}/app]", "prune: true")
        ran = imgsync("apply")
        assert ran.code == 0, ran.stderr
        destination.forget()
        return contents

    return mirror


@pytest.fixture
def remembered(workplace):
    """Return the destination tags that the state remembers, and what the last run left."""

    def read():
        thread = NativeThread()
        with open_state(str(workplace.folder / ".imgsync" / "state"), thread=thread, lock_timeout_seconds=5, on_warning=pytest.fail) as state:
            return sorted(record.destination.rpartition(":")[2] for record in state.iter_records()), state.remaining

    return read


def only(tags: str, prune: str = "true", more: str = "") -> str:
    """Return a mirror's settings that select *tags*, as a glob, and no other."""
    return f"tags: {{include: ['{tags}']}}\nprune: {prune}\n{more}"


def deleted(document) -> list[str]:
    """Return the tags that a report says were deleted."""
    return sorted(
        outcome["destination"].rpartition(":")[2]
        for outcome in document["outcomes"]
        if outcome["action"] == "delete" and outcome["error"] is None and outcome["digest"]
    )


# --- what is deleted


def test_tag_that_is_no_longer_selected_is_deleted(name, declare, imgsync, deletes_tags, mirrored, remembered):
    """It goes by its tag, the others stay; the report, the log and the state say so, and the next run has nothing to do."""
    mirrored(v1=image(1), v2=image(2), v3=image(3))
    declare(f"[{name}/app]", only("[13]"))

    ran = imgsync("apply", "-o", "json")
    asked = deletes_tags.requests()

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"] == ran.json["summary"] | {"deleted": 1, "kept": 2, "failed": 0, "refused": 0, "remaining": 0}
    assert deleted(ran.json) == ["2"]
    assert asked == [f"HEAD /v2/m/{name}/app/manifests/2", f"DELETE /v2/m/{name}/app/manifests/2"]
    assert [event["destination"] for event in ran.events("image.deleted")] == [f"{deletes_tags.host}/m/{name}/app:2"]
    assert [bool(pull_raw(deletes_tags, f"m/{name}/app", tag)) for tag in "123"] == [True, False, True]
    assert remembered() == (["1", "3"], ())
    deletes_tags.forget()
    assert imgsync("apply", "-o", "json").json["summary"]["deleted"] == 0
    assert deletes_tags.seen == []


def test_plan_shows_deletions_and_deletes_nothing(name, declare, imgsync, destination, mirrored, remembered):
    """Each is a change of its own with its reason; nobody is asked for it, and --detailed-exitcode says that something is pending."""
    contents = mirrored(v1=image(1), v2=image(2))
    declare(f"[{name}/app]", only("1"))

    plan = imgsync("plan", "-o", "json", "--detailed-exitcode")
    shown = imgsync("plan")

    assert plan.code == 2
    assert plan.json["summary"] == plan.json["summary"] | {"delete": 1, "keep": 1}
    change = next(one for one in plan.json["changes"] if one["action"] == "delete")
    assert (change["destination"], change["destination_digest"]) == (f"{destination.host}/m/{name}/app:2", contents["2"].digest)
    assert change["reason"].startswith("no longer selected; pushed by imgsync on 20")
    assert any(line.split()[:1] == ["-"] and "app:2" in line for line in shown.stdout.splitlines()), shown.stdout
    assert destination.seen == []
    assert remembered()[0] == ["1", "2"]


def test_saved_plan_deletes_what_was_reviewed(name, declare, imgsync, deletes_tags, mirrored, workplace):
    """And nothing that the state does not call imgsync's own any more."""
    mirrored(v1=image(1), v2=image(2), v3=image(3))
    declare(f"[{name}/app]", only("1"))
    assert imgsync("plan", "--out", "plan.json").code == 0
    assert imgsync("state", "remove", f"{deletes_tags.host}/m/{name}/app:3").code == 0

    ran = imgsync("apply", "--plan", "plan.json", "-o", "json")

    assert ran.code == 1
    assert deleted(ran.json) == ["2"]
    assert deletes_tags.requests("DELETE") == [f"DELETE /v2/m/{name}/app/manifests/2"]


def test_copies_come_first(registry, name, declare, imgsync, deletes_tags, mirrored):
    """Not until the last manifest is there is the first tag deleted."""
    mirrored(v1=image(1))
    push(registry, f"{name}/app", "2", image(2))
    push(registry, f"{name}/app", "3", image(3))
    declare(f"[{name}/app]", only("[23]"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 2, "deleted": 1}
    assert [one.method for one in deletes_tags.seen if one.method in {"PUT", "DELETE"} and "/manifests/" in one.target] == ["PUT", "PUT", "DELETE"]


def test_pruning_mirror_copies_while_it_is_planned(registry, second_registry, name, declare, start_imgsync, source, mirrored):
    """Deletions are known last; copies do not wait for them."""
    mirrored(v1=image(1))
    push(registry, f"{name}/app", "2", image(2))
    push(registry, f"{name}/app", "3", image(3))
    held = source.add(Hold(), method="GET", target="/manifests/3$")
    # One by one: the first pull goes alone until it shows whether pulls are counted, and it must not be the one that is held.
    declare(f"[{name}/app]", only("[23]", more="concurrency: {queries: 1}"))

    running = start_imgsync("apply", "-o", "json")
    held.reached()
    for _ in range(2000):
        # Each look is a request, which takes its own time.
        if arrived := pull_raw(second_registry, f"m/{name}/app", "2") is not None:
            break
    held.release()

    assert finish(running).code == 0
    assert arrived


# --- what is not


def test_what_imgsync_did_not_push_stays(registry, second_registry, name, declare, imgsync, deletes_tags, mirrored):
    """A tag that was there before, one of somebody else's, and one that `protect` names: only the fourth goes."""
    adopted = image("adopted")
    push(second_registry, f"m/{name}/app", "adopted", adopted)
    push(second_registry, f"m/{name}/app", "theirs", image("theirs"))
    mirrored(adopted=adopted, latest=image("latest"), old=image("old"), v1=image(1))
    declare(f"[{name}/app]", only("1", "{protect: ['lat*']}"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deletes_tags.requests("DELETE") == [f"DELETE /v2/m/{name}/app/manifests/old"]


@pytest.mark.parametrize(
    ("other", "goes"),
    [
        ("destinations: [{host}/m]", False),
        ("destinations: [{host}/m], suspend: true, prune: true", False),
        ("destinations: [{host}/m], prune: {{protect: ['2']}}", False),
        ("destinations: [{host}/elsewhere]", True),
        ("destinations: [{host}/m], prune: true", True),
    ],
    ids=["does not prune", "suspended", "protects", "elsewhere", "prunes too"],
)
def test_what_another_mirror_may_have_pushed_stays(other, goes, registry, name, declare, write, imgsync, source, deletes_tags, mirrored):
    """A tag goes only where every mirror that could have written it would have it gone."""
    mirrored(v1=image(1), v2=image(2))
    push(registry, f"{name}/other", "1", image("other"))
    declare(f"[{name}/app]", only("1"))
    settings = other.format(host=deletes_tags.host)
    write("mirrors.d/b.yaml", f"version: 1\nmirrors:\n  - {{name: b, source: {source.host}/{name}/other, {settings}}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == (["2"] if goes else [])


def test_named_tag_stays_though_its_source_lost_it(registry, name, declare, imgsync, deletes_tags, mirrored):
    """What `names` declares is wanted, be it there or not."""
    contents = mirrored(v1=image(1), v2=image(2))
    registry.delete(f"{name}/app", contents["2"].digest)
    declare(f"[{name}/app]", "tags: {include: ['1'], names: ['2']}\nprune: true")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deletes_tags.requests("DELETE") == []


def test_lost_state_deletes_nothing(name, declare, imgsync, workplace, deletes_tags, mirrored):
    """Without a record nobody knows who pushed."""
    mirrored(v1=image(1), v2=image(2))
    declare(f"[{name}/app]", only("1"))
    shutil.rmtree(workplace.folder / ".imgsync")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deletes_tags.requests("DELETE") == []


class SecondPage(switches.Switch):
    """A listing of two pages, the second of which fails."""

    def request(self, request):
        return switches.plain_answer(500) if "last=" in request.target else request

    def answer(self, request, answer):
        return answer.with_headers(Link=f'<{request.path}?last=1&n=1>; rel="next"')


@pytest.mark.row("REG-23")
@pytest.mark.parametrize(
    ("switch", "code"), [(SecondPage(), 1), (Respond(200, {"name": "app", "tags": ["1", "no tag!"]}), 0)], ids=["fails on page two", "is incomplete"]
)
@pytest.mark.parametrize("where", ["app", "other"], ids=["own mirror", "another mirror"])
def test_nothing_is_deleted_unless_every_listing_is_whole(where, switch, code, registry, name, declare, write, imgsync, source, deletes_tags, mirrored):
    """An error or a doubt in any mirror, and every tag stays; the log says why."""
    mirrored(v1=image(1), v2=image(2))
    push(registry, f"{name}/other", "1", image("other"))
    # Nothing but the listing's own failure is to hold the deletion back.
    declare(f"[{name}/app]", only("1").replace("{", "{at_least: 0, ", 1))
    write(
        "mirrors.d/b.yaml",
        f"version: 1\nmirrors:\n  - {{name: b, source: {source.host}/{name}/other, destinations: ['{deletes_tags.host}/else'], retry: {{attempts: 1}}, "
        "tags: {at_least: 0}}\n",
    )
    source.add(switch, method="GET", target=f"/{name}/{where}/tags/list")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == code, ran.stderr
    assert ran.json["summary"]["deleted"] == 0
    assert deletes_tags.requests("DELETE") == []
    assert ran.events("prune.skipped")[0]["reason"] == ("not everything could be planned" if code else "a listing was incomplete")


@pytest.mark.parametrize("arguments", [("--only", "a"), ("mirrors.d/a.yaml",)], ids=["--only", "one file of two"])
def test_nothing_is_deleted_by_a_part_of_the_configuration(arguments, name, declare, write, imgsync, source, deletes_tags, mirrored):
    """What is left out may be what selects the tag."""
    mirrored(v1=image(1), v2=image(2))
    declare(f"[{name}/app]", only("1"))
    settings = f"tags: {{names: ['2']}}, destinations: ['{deletes_tags.host}/m'], prune: true"
    write("mirrors.d/b.yaml", f"version: 1\nmirrors:\n  - {{name: b, source: {source.host}/{name}/app, {settings}}}\n")

    ran = imgsync("apply", *arguments, "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deletes_tags.requests("DELETE") == []
    assert ran.events("prune.skipped")[0]["reason"] == "only some of the mirrors are planned"


def test_file_that_is_all_there_is_prunes(name, declare, imgsync, deletes_tags, mirrored):
    """A configuration may be a single file."""
    mirrored(v1=image(1), v2=image(2))
    declare(f"[{name}/app]", only("1"))

    assert deleted(imgsync("apply", "mirrors.d/a.yaml", "-o", "json").json) == ["2"]


@pytest.mark.row("GIT-10")
def test_more_than_at_most_is_an_error_and_none_is_deleted(name, declare, imgsync, deletes_tags, mirrored):
    """The error says how many would go; a limit raised to that many lets them."""
    mirrored(v1=image(1), v2=image(2), v3=image(3))
    declare(f"[{name}/app]", only("1", "{at_most: 1}"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "2 tags are no longer selected, more than prune at_most: 1; none of them is deleted" in ran.json["errors"][0]["message"]
    assert deletes_tags.seen == []
    declare(f"[{name}/app]", only("1", "{at_most: 2}"))
    raised = imgsync("apply")
    assert raised.code == 0, raised.stderr
    assert ", 2 deleted." in raised.stdout


def test_nothing_is_deleted_while_images_of_the_mirror_fail(registry, name, declare, imgsync, deletes_tags, mirrored, remembered):
    """What would replace it is not there; it remains, and goes with the first run that has no such trouble."""
    mirrored(v1=image(1))
    push(registry, f"{name}/app", "2", image(2))
    declare(f"[{name}/app]", only("2"))
    deletes_tags.add(Respond(403, {"errors": [{"code": "DENIED", "message": "no"}]}), method="PUT", target="/manifests/2$", times=1)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 1, "remaining": 1, "deleted": 0}
    assert deletes_tags.requests("DELETE") == []
    assert remembered() == (["1"], ()), "a deletion has no turn to keep, for which the next run would have to wait"
    assert deleted(imgsync("apply", "-o", "json").json) == ["1"]


def test_nothing_is_deleted_while_images_of_the_mirror_are_not_begun(registry, name, declare, imgsync, deletes_tags, mirrored):
    """A run without time for its images has none for deletions."""
    mirrored(v1=image(1))
    push(registry, f"{name}/app", "2", image(2))
    declare(f"[{name}/app]", only("2", more="timeouts: {run: 0s}"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 75
    assert ran.json["summary"]["remaining"] == 2
    assert deletes_tags.requests("DELETE") == []


# --- how


def test_registry_without_deletion_by_tag_deletes_the_digest(second_registry, name, declare, imgsync, destination, mirrored, remembered):
    """When all tags of a digest are to go it goes, once, and they with it."""
    same = image("same")
    contents = mirrored(v1=image(1), v2=same, v3=same)
    declare(f"[{name}/app]", only("1"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2", "3"]
    by_digest = f"DELETE /v2/m/{name}/app/manifests/{contents['2'].digest}"
    assert [str(one) for one in destination.recorded("DELETE")][-1:] == [f"{by_digest} 202"]
    assert destination.requests("DELETE").count(by_digest) == 1
    assert second_registry.tags(f"m/{name}/app") == ["1"]
    assert remembered()[0] == ["1"]


def test_digest_that_another_tag_shares_is_not_deleted(second_registry, name, declare, imgsync, destination, mirrored, remembered):
    """Deleting it would take the other tag too: refused, with that tag's name, exit 1; be the other selected, or somebody else's."""
    same = image("same")
    mirrored(v1=same, v2=same, v3=image(3), v4=image(4))
    push(second_registry, f"m/{name}/app", "theirs", image(3))
    declare(f"[{name}/app]", only("1"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"refused": 2, "deleted": 1, "kept": 1}
    errors = {outcome["destination"][-1]: outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]}
    assert "this registry deletes by digest, and 1 has the same digest" in errors["2"]
    assert "this registry deletes by digest, and theirs has the same digest" in errors["3"]
    assert second_registry.tags(f"m/{name}/app") == ["1", "2", "3", "theirs"]
    assert remembered()[0] == ["1", "2", "3"]


@pytest.mark.parametrize("nested", [False, True], ids=["index", "nested index"])
def test_image_that_a_staying_index_names_is_not_deleted(nested, second_registry, name, declare, imgsync, mirrored):
    """The index would lose a part."""
    part = image("part")
    mirrored(v1=index(children=(part, image("rest", platform="linux/arm64")), nested=nested), v2=part)
    declare(f"[{name}/app]", only("1"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "the index 1 lists it" in next(outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"])
    assert second_registry.tags(f"m/{name}/app") == ["1", "2"]


def test_index_goes_before_what_it_names(second_registry, name, declare, imgsync, destination, mirrored):
    """Were the run cut in between, no tag would name an index that lacks a part."""
    part = image("part")
    whole = index(children=(part, image("rest", platform="linux/arm64")))
    mirrored(v1=image(1), v2=part, v3=whole)
    declare(f"[{name}/app]", only("1"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2", "3"]
    gone = [one.path.rpartition("/")[2] for one in destination.recorded("DELETE") if one.status == 202]
    assert gone == [whole.digest, part.digest]


def test_index_that_somebody_moved_keeps_its_parts(second_registry, name, declare, imgsync, mirrored):
    """It is left alone, and so is what it names now."""
    part = image("part")
    mirrored(v1=image(1), v2=part, v3=image(3))
    push(second_registry, f"m/{name}/app", "3", index(children=(part, image("rest", platform="linux/arm64"))))
    declare(f"[{name}/app]", only("1"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["refused"] == 2
    errors = {outcome["destination"][-1]: outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]}
    assert "the index 3 lists it" in errors["2"]
    assert "it was not deleted" in errors["3"]
    assert second_registry.tags(f"m/{name}/app") == ["1", "2", "3"]


@pytest.mark.row("REG-23")
def test_digest_is_not_deleted_on_a_partial_list(second_registry, name, declare, imgsync, destination, mirrored):
    """A listing that leaves something out may leave out the tag that shares the digest."""
    mirrored(v1=image(1), v2=image(2))
    declare(f"[{name}/app]", only("1"))
    destination.add(Respond(200, {"name": "app", "tags": ["1", "2", "no tag!"]}), method="GET", target="/tags/list")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "not all of its tags are known" in next(outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"])
    assert second_registry.tags(f"m/{name}/app") == ["1", "2"]


def test_registry_that_forbids_deletion_is_one_clear_error(registry, keeping_registry, name, workplace, imgsync):
    """The registry's own words, and what to do about it; exit 1, and the tag stays."""
    push(registry, f"{name}/app", "1", image(1))
    push(registry, f"{name}/app", "2", image(2))
    workplace.trust_plain(registry, keeping_registry)
    settings = {"source": f"{registry}/{name}/app", "destinations": [f"{keeping_registry}/m"], "prune": True}
    workplace.mirror("a", **settings)
    assert imgsync("apply").code == 0
    workplace.mirror("a", **settings, tags={"names": ["1"]})

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 1, "deleted": 0}
    error = next(outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"])
    assert "(destination): 405 UNSUPPORTED" in error
    assert ran.events("image.failed")[0]["hint"].startswith("allow deletion at the registry, or delete the tag yourself")
    assert keeping_registry.tags(f"m/{name}/app") == ["1", "2"]


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "no credentials for"), (403, "check the permissions of the account"), (404, "allow deletion at the registry"), (500, "500")],
)
def test_deletion_that_is_not_done_is_an_error_and_stays_remembered(status, says, name, declare, imgsync, destination, mirrored, remembered):
    """Whatever the registry answers, a tag that it goes on to serve was not deleted; the next run tries again."""
    mirrored(v1=image(1), v2=image(2))
    destination.add(Respond(status, {"errors": [{"code": "X", "message": "no"}]}), method="DELETE")
    declare(f"[{name}/app]", only("1"))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"failed": 1, "deleted": 0}
    failed = ran.events("image.failed")[0]
    assert says in f"{failed['error']} {failed.get('hint')}"
    assert remembered()[0] == ["1", "2"]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_tag_that_is_gone_already_is_fine(when, registry, second_registry, name, declare, imgsync, destination, mirrored, remembered):
    """Somebody deleted it by hand: that it is gone is all that was wanted, and it is forgotten."""
    contents = mirrored(v1=image(1), v2=image(2))
    declare(f"[{name}/app]", only("1"))
    if when == "before":
        second_registry.delete(f"m/{name}/app", contents["2"].digest)
    else:
        destination.add(Respond(404, NO_SUCH), method="DELETE")
        destination.add(Respond(404, NO_SUCH), method="HEAD", target="/manifests/2$", nth=2)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2"]
    assert remembered()[0] == ["1"]


def test_tag_that_serves_something_else_is_left_alone(second_registry, name, declare, imgsync, deletes_tags, mirrored):
    """Somebody else moved it: it is not imgsync's any more, and the error says how to forget it."""
    mirrored(v1=image(1), v2=image(2))
    push(second_registry, f"m/{name}/app", "2", image("theirs"))
    declare(f"[{name}/app]", only("1"))

    shown = imgsync("apply")
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"refused": 1, "deleted": 0}
    refused = ran.events("image.refused")[0]
    assert "which imgsync pushed; it was not deleted" in refused["reason"]
    assert refused["hint"].startswith(f"imgsync state remove {deletes_tags.host}/m/{name}/app:2")
    assert f"hint: imgsync state remove {deletes_tags.host}/m/{name}/app:2" in shown.stdout
    assert deletes_tags.requests("DELETE") == []
    assert imgsync("state", "remove", f"{deletes_tags.host}/m/{name}/app:2").code == 0
    assert imgsync("apply").code == 0


def test_token_for_deletion_is_asked_for_deletions_alone(registry, token_registry, token_server, name, workplace, imgsync):
    """No other request's token allows to delete; one that does not allow it after all is a clear error."""
    push(registry, f"{name}/app", "1", image(1))
    push(registry, f"{name}/app", "2", image(2))
    with FaultProxy(token_registry) as proxy:
        workplace.trust_plain(registry, proxy, settings={proxy.host: {"credentials": {"username": LOGIN[0], "password": LOGIN[1]}}})
        settings = {"source": f"{registry}/{name}/app", "destinations": [f"{proxy}/m"], "prune": True}
        workplace.mirror("a", **settings)
        assert imgsync("apply").code == 0
        before = [one.scopes for one in token_server.requests]
        workplace.mirror("a", **settings, tags={"names": ["1"]})
        token_server.grants = {"pull", "push"}
        refused = imgsync("apply", "-o", "json")
        token_server.reset()

        ran = imgsync("apply", "-o", "json")

        asked = {scope for one in token_server.requests for scope in one.scopes}
    assert not any("delete" in scope for scopes in before for scope in scopes)
    assert refused.code == 1
    assert "(destination): 401" in refused.events("image.failed")[0]["error"]
    assert ran.code == 0, ran.stderr
    assert deleted(ran.json) == ["2"]
    assert f"repository:m/{name}/app:pull,push,delete" in asked
