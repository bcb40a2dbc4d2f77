"""Tags that the source deletes: they stay, and this is said."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.gcr_listing import GcrListing
from tests.support.images import image
from tests.support.lab import Lab
from tests.switches import Respond

# The runs try again at once.
BUSY = Respond(429, headers={"Retry-After": "0"})
TODAY = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")


def delete_at_source(lab: Lab, repository: str, *tags: str) -> None:
    """Take *tags* away at the source, as its owner would; all without a name."""
    place = lab.source_registry.storage / f"repositories/{lab.name}/{repository}"
    for tag in tags:
        shutil.rmtree(place / "_manifests/tags" / tag)
    if not tags:
        shutil.rmtree(place)


def declare(lab: Lab, repositories: str, settings: str = "", *, namespace: str = "") -> None:
    """Declare the mirror `a` of *repositories*, or of a *namespace*."""
    lab.declare(repositories, settings, namespaces=f"['{lab.name}/{namespace}']" if namespace else "[]")
    if not repositories:
        file = lab.folder / "mirrors.d/a.yaml"
        file.write_text(file.read_text().replace(f"repositories: [{lab.name}/]", "repositories: []"))


@pytest.fixture
def mirrored(lab: Lab) -> Lab:
    """The lab with `app:1` to `app:4`, mirrored."""
    for number in range(1, 5):
        lab.push("app", str(number), image(number))
    declare(lab, "app")
    assert lab.run("apply").code == 0
    return lab


def gone(ran) -> dict[str, str]:
    """Return what the document says is gone, and why, by tag."""
    return {one["source"].rpartition(":")[2]: one["reason"] for one in ran.json["gone"]}


def test_deleted_tag_stays_and_says_so(mirrored):
    """Plan, report, log, state and the exit code; the date stays the first one."""
    delete_at_source(mirrored, "app", "3")

    planned = mirrored.run("plan", "-o", "json", "--detailed-exitcode")
    assert (planned.code, gone(planned), planned.json["summary"]["gone"]) == (0, {"3": "not in the list of tags"}, 1)
    assert planned.json["gone"][0]["since"] is None
    assert "gone at the source, first seen now; not in the list of tags" in mirrored.run("plan").stdout

    applied = mirrored.run("apply", "-o", "json")
    assert (applied.code, gone(applied)) == (0, {"3": "not in the list of tags"})
    since = applied.json["gone"][0]["since"]
    assert TODAY.fullmatch(since)
    assert [event["count"] for event in applied.events("tag.gone")] == [1]
    assert "3" in mirrored.served_tags("app")

    again = mirrored.run("apply", "-o", "json")
    assert again.json["gone"][0]["since"] == since
    text = mirrored.run("plan").stdout
    assert f"gone at the source since {since[:10]}; not in the list of tags" in text
    assert "No changes. 3 tags up to date, 1 gone at the source" in text
    assert f"| `{since[:10]}` | not in the list of tags |" in mirrored.run("plan", "-o", "markdown").stdout
    assert f"gone at the source since {since[:10]}" in mirrored.run("apply").stdout


def test_returned_tag_is_said_once(mirrored):
    """With another digest it is updated as any tag that moved."""
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")
    mirrored.push("app", "3", image(33))

    planned = mirrored.run("plan", "-o", "json")
    applied = mirrored.run("apply", "-o", "json")
    again = mirrored.run("apply", "-o", "json")

    place = f"{mirrored.destination.host}/m/{mirrored.name}/app:3"
    assert (planned.json["mirrors"][0]["returned"], gone(planned)) == ([place], {})
    assert [event["destination"] for event in applied.events("tag.returned")] == [place]
    assert f"{place} is back at the source" in applied.json["notes"]
    assert mirrored.served_digest("app", "3") == image(33).digest
    assert not again.events("tag.returned")
    assert "gone" not in mirrored.run("state", "show", place).stdout


def test_unchanged_run_sends_no_request_more(mirrored):
    """One listing and a HEAD for each tag that is there, nothing to the destination."""
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")
    mirrored.source.forget()
    mirrored.destination.forget()

    mirrored.run("apply")

    assert sorted(one.partition(" ")[0] for one in mirrored.source.requests("^(GET|HEAD) /v2/.")) == ["GET", "HEAD", "HEAD", "HEAD"]
    assert mirrored.destination.requests() == []


def test_listing_with_digests_shows_it_in_one_request(mirrored):
    """Nothing else is sent, and the unchanged tags are still kept."""
    mirrored.source.add(GcrListing(mirrored.source_registry), method="GET", target="tags/list")
    delete_at_source(mirrored, "app", "3")
    mirrored.source.forget()

    ran = mirrored.run("plan", "-o", "json")

    assert (ran.code, gone(ran), ran.json["summary"]["keep"]) == (0, {"3": "not in the list of tags"}, 3)
    assert len(mirrored.source.requests("/v2/.")) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Respond(401, b""), 1),
        (BUSY, 1),
        (Respond(200, b"<html>moved</html>"), 1),
        (Respond(200, b'{"name": "x", "tags": ["1", "not a tag"]}'), 0),
    ],
    ids=["401", "429", "page", "incomplete"],
)
@pytest.mark.row("REG-31")
def test_failed_listing_says_nothing_about_tags(answer, code, mirrored):
    """What was gone before stays gone; nothing else is, and nothing is deleted."""
    delete_at_source(mirrored, "app", "3")
    declare(mirrored, "app", "prune: {gone: true}")
    mirrored.run("apply")
    mirrored.source.add(answer, target="/tags/list")

    ran = mirrored.run("apply", "-o", "json")

    assert (ran.code, gone(ran)) == (code, {"3": "not checked in this run"})
    assert len(mirrored.served_tags("app")) == 4


@pytest.mark.row("REG-31")
def test_empty_list_is_suspicious(mirrored):
    """It is an error of the mirror, and makes nothing gone."""
    declare(mirrored, "app", "prune: {gone: true}")
    mirrored.source.add(Respond(200, b'{"name": "x", "tags": []}'), target="/tags/list")

    for _ in range(2):
        ran = mirrored.run("apply", "-o", "json")
        assert (ran.code, gone(ran)) == (1, {})
        assert "fewer than at_least: 1 (the source lists nothing where 4 tags came from" in ran.json["errors"][0]["message"]
    assert len(mirrored.served_tags("app")) == 4


@pytest.mark.row("REG-31")
def test_empty_list_of_one_repository_deletes_nothing(mirrored):
    """The other repository meets `at_least`: the tags are gone, but never deleted for it."""
    mirrored.push("other", "1", image(9))
    declare(mirrored, "app other", "prune: {gone: true}")
    mirrored.run("apply")
    mirrored.source.add(Respond(200, b'{"name": "x", "tags": []}'), target="/app/tags/list")

    for _ in range(2):
        ran = mirrored.run("apply", "-o", "json")
        assert (ran.code, set(gone(ran).values())) == (0, {"the list is empty"})
    assert len(mirrored.served_tags("app")) == 4


def test_deleted_repository_is_gone_where_it_is_named(mirrored):
    """A 404 of the repository: every tag stays, the exit code is 0."""
    delete_at_source(mirrored, "app")

    ran = mirrored.run("apply", "-o", "json")

    assert (ran.code, gone(ran)) == (0, dict.fromkeys("1234", "the repository is not found"))
    assert len(mirrored.served_tags("app")) == 4


def test_unknown_repository_is_an_error(lab):
    """Without a record there is nothing to keep."""
    lab.push("other", "1", image(1))
    declare(lab, "app")

    assert lab.run("plan").code == 1


@pytest.mark.parametrize("is_listed", [False, True], ids=["not listed", "listed, 404"])
def test_deleted_repository_is_gone_below_a_namespace(is_listed, lab):
    """Whether the list of repositories still has it or not."""
    lab.push("team/a", "1", image(1))
    lab.push("team/b", "2", image(2))
    declare(lab, "", "prune: {gone: false}", namespace="team")
    lab.run("apply")
    if is_listed:
        lab.source.add(Respond(404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'), target="/team/b/tags/list")
    else:
        delete_at_source(lab, "team/b")

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, gone(ran)) == (0, {"2": "the repository is not found" if is_listed else "the repository is not listed"})
    assert lab.served_tags("team/b") == ["2"]


@pytest.mark.row("REG-31")
def test_namespace_that_lists_nothing_is_an_error(lab):
    """Everything gone at once, by an empty list, is not believed."""
    lab.push("team/a", "1", image(1))
    declare(lab, "", "prune: {gone: true}", namespace="team")
    lab.run("apply")
    lab.source.add(Respond(200, b'{"repositories": []}'), target="/_catalog")

    for _ in range(2):
        ran = lab.run("apply", "-o", "json")
        assert (ran.code, gone(ran)) == (1, {})
    assert lab.served_tags("team/a") == ["1"]


@pytest.mark.parametrize("names", ["names: ['1', '2']", "names: ['1', '2'], include: ['3']"], ids=["names alone", "with filters"])
def test_exact_name_that_was_mirrored_becomes_gone(names, mirrored):
    """No error any more; an exact name that was never there still is one."""
    declare(mirrored, "app", f"tags: {{{names}}}")
    delete_at_source(mirrored, "app", "2")

    ran = mirrored.run("apply", "-o", "json")
    declare(mirrored, "app", f"tags: {{{names.replace(']', ', never]', 1)}}}")
    other = mirrored.run("plan", "-o", "json")

    assert (ran.code, gone(ran)) == (0, {"2": "the tag is not found"})
    assert (other.code, [one["reference"].rpartition(":")[2] for one in other.json["errors"]]) == (1, ["never"])


def test_single_exact_name_that_is_gone_fails_nothing(mirrored):
    """The mirror selects nothing else, and `at_least` counts what is still served."""
    declare(mirrored, "app", "tags: {names: ['2']}")
    delete_at_source(mirrored, "app", "2")

    assert mirrored.run("apply").code == 0


def test_exact_name_that_no_destination_has_is_an_error(mirrored):
    """Gone at the source and lost at the destination: `--refresh` sees both."""
    declare(mirrored, "app", "tags: {names: ['1', '2']}")
    delete_at_source(mirrored, "app", "2")
    mirrored.destination_registry.delete(f"m/{mirrored.name}/app", image(2).digest)

    ran = mirrored.run("plan", "--refresh", "-o", "json")

    assert (ran.code, gone(ran)) == (1, {})
    assert "does not exist at the source" in ran.json["errors"][0]["message"]


def test_window_of_the_newest_moves_up(lab):
    """The fourth is copied, the deleted one stays; once out of the window it is no longer selected."""
    for number in range(1, 6):
        lab.push("app", f"v{number}", image(number))
    declare(lab, "app", "tags: {newest: 3}\nprune: true")
    lab.run("apply")
    assert sorted(lab.served_tags("app")) == ["v3", "v4", "v5"]

    delete_at_source(lab, "app", "v4")
    ran = lab.run("apply", "-o", "json")
    assert (ran.code, gone(ran)) == (0, {"v4": "not in the list of tags"})
    assert sorted(lab.served_tags("app")) == ["v2", "v3", "v4", "v5"]

    for number in range(6, 9):
        lab.push("app", f"v{number}", image(number))
    ran = lab.run("apply", "-o", "json")
    assert (ran.code, gone(ran)) == (0, {})
    assert sorted(lab.served_tags("app")) == ["v6", "v7", "v8"]


def test_deleted_tag_outside_the_filters_is_not_gone(mirrored):
    """A filter that changed is no deletion: `prune` deletes it as before."""
    declare(mirrored, "app", "tags: {include: ['[12]']}\nprune: true")
    delete_at_source(mirrored, "app", "2", "3")

    ran = mirrored.run("apply", "-o", "json")

    assert gone(ran) == {"2": "not in the list of tags"}
    assert sorted(mirrored.served_tags("app")) == ["1", "2"]


def test_gone_tag_is_deleted_only_if_declared_and_seen_before(mirrored):
    """The first run only notes it; the second deletes it and forgets the date."""
    declare(mirrored, "app", "prune: {gone: true}")
    delete_at_source(mirrored, "app", "3")

    first = mirrored.run("apply", "-o", "json")
    assert (first.code, gone(first), len(mirrored.served_tags("app"))) == (0, {"3": "not in the list of tags"}, 4)

    second = mirrored.run("apply", "-o", "json")
    (deleted,) = [one for one in second.json["outcomes"] if one["result"] == "deleted"]
    assert re.match(r"gone at the source since [0-9-]{10}; not in the list of tags; pushed by imgsync on ", deleted["reason"])
    assert (gone(second), sorted(mirrored.served_tags("app"))) == ({}, ["1", "2", "4"])
    assert '"kind":"gone"' not in mirrored.run("state", "export").stdout


@pytest.mark.parametrize(
    ("settings", "deleted"),
    [
        ("prune: {gone: true, protect: ['3']}", []),
        ("prune: {gone: true}\ntags: {names: ['3'], include: ['*']}", []),
        ("prune: {gone: true}\nsuspend: true", []),
        ("prune: {gone: true, at_most: 0}", []),
        ("prune: {gone: true}\ntags: {at_least: 4}", []),
        ("prune: {gone: true}\nimmutable: ['*']", ["3"]),
    ],
    ids=["protect", "exact name", "suspend", "at_most", "at_least", "immutable"],
)
def test_other_guards_hold_for_gone_tags(settings, deleted, mirrored):
    """Nothing but an immutable tag is deleted here: that says what may not move, not what may not go."""
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")
    declare(mirrored, "app", settings)

    mirrored.run("apply")

    assert sorted(mirrored.served_tags("app")) == sorted({"1", "2", "3", "4"} - set(deleted))


@pytest.mark.row("REG-31")
def test_later_page_that_is_not_found_is_an_error(mirrored):
    """A 404 after a first page says nothing about the repository."""
    declare(mirrored, "app", "prune: {gone: true}\ntags: {at_least: 0}")
    mirrored.source.add(Respond(404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'), target="last=")
    link = f'</v2/{mirrored.name}/app/tags/list?last=2&n=2>; rel="next"'
    mirrored.source.add(Respond(200, b'{"name": "x", "tags": ["1", "2"]}', headers={"Link": link}), target="tags/list$")

    for _ in range(2):
        ran = mirrored.run("apply", "-o", "json")
        assert (ran.code, gone(ran)) == (1, {})
        assert "the listing is cut: a later page is not found" in ran.json["errors"][0]["message"]
    assert len(mirrored.served_tags("app")) == 4


@pytest.mark.row("REG-31")
def test_empty_list_is_no_earlier_sight(mirrored):
    """It gives no date: the deletion waits for two runs that see a list without the tags."""
    mirrored.push("other", "1", image(9))
    declare(mirrored, "app other", "prune: {gone: true}")
    mirrored.run("apply")
    delete_at_source(mirrored, "app", "2", "3", "4")
    mirrored.source.add(Respond(200, b'{"name": "x", "tags": []}'), target="/app/tags/list")
    emptied = mirrored.run("apply", "-o", "json")
    mirrored.source.clear()

    first = mirrored.run("apply", "-o", "json")
    second = mirrored.run("apply", "-o", "json")

    assert [one["since"] for one in emptied.json["gone"]] == [None] * 4
    assert (len(first.json["gone"]), first.json["summary"]["deleted"]) == (3, 0)
    assert (len(second.json["gone"]), second.json["summary"]["deleted"]) == (0, 3)


@pytest.mark.row("REG-31")
def test_gone_repository_is_never_deleted(mirrored):
    """A 404 may also mean that the login lost the right to see it."""
    mirrored.push("other", "1", image(9))
    declare(mirrored, "app other", "prune: {gone: true}")
    mirrored.run("apply")
    delete_at_source(mirrored, "app")

    for _ in range(2):
        ran = mirrored.run("apply", "-o", "json")
        assert (ran.code, gone(ran)) == (0, dict.fromkeys("1234", "the repository is not found"))
    assert len(mirrored.served_tags("app")) == 4


@pytest.mark.row("REG-31")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "not in the list of tags, but the source still serves it"),
        (BUSY, "not in the list of tags, but the source does not confirm it"),
    ],
    ids=["served", "429"],
)
def test_tag_is_deleted_only_if_the_source_denies_it(answer, reason, mirrored):
    """A list that is cut short hides tags that the source still serves, however often it is read."""
    declare(mirrored, "app", "prune: {gone: true}")
    mirrored.source.add(Respond(200, b'{"name": "x", "tags": ["1", "2", "4"]}'), target="/app/tags/list")
    if answer is not None:
        mirrored.source.add(answer, target="/manifests/3")

    mirrored.run("apply")
    ran = mirrored.run("apply", "-o", "json")

    assert (ran.code, gone(ran)) == (0, {"3": reason})
    assert len(mirrored.served_tags("app")) == 4


def test_failed_deletion_stays_gone(mirrored):
    """In the report and the metric: the destination still has the tag."""
    declare(mirrored, "app", "prune: {gone: true}")
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")
    mirrored.destination.add(Respond(405, b'{"errors": [{"code": "UNSUPPORTED"}]}'), method="DELETE")

    ran = mirrored.run("apply", "-o", "json", "--metrics", "metrics.prom")

    assert (ran.code, gone(ran), ran.json["summary"]["gone"]) == (1, {"3": "not in the list of tags"}, 1)
    assert 'imgsync_gone_tags{mirror="a"} 1.0' in (mirrored.folder / "metrics.prom").read_text()


@pytest.mark.parametrize(("answer", "reason"), [(None, "no longer gone"), (BUSY, "could not check")], ids=["back", "429"])
def test_saved_deletion_asks_the_source_again(answer, reason, mirrored):
    """The tag came back after the plan, and no apply saw it yet."""
    declare(mirrored, "app", "prune: {gone: true}")
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")
    mirrored.run("plan", "--out", "plan.json")
    mirrored.push("app", "3", image(3))
    if answer is not None:
        mirrored.source.add(answer, target="/manifests/3")

    ran = mirrored.run("apply", "--plan", "plan.json", "-o", "json")

    assert [one["reason"].startswith(reason) for one in ran.json["outcomes"] if one["result"] == "refused"] == [True]
    assert "3" in mirrored.served_tags("app")


def test_verify_finds_the_lost_copy_of_a_listed_tag(mirrored):
    """The source lists the tag and answers 404 for it; the destination lost it."""
    mirrored.source.add(Respond(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'), target="/manifests/3")
    lose_at_destination(mirrored, "app", "3")

    ran = mirrored.run("verify", "-o", "json")

    assert (ran.code, ran.json["summary"]["lost"]) == (1, 1)


def test_part_of_the_mirrors_deletes_nothing(mirrored):
    """`--only` reports what is gone, and deletes nothing."""
    declare(mirrored, "app", "prune: {gone: true}")
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")

    ran = mirrored.run("apply", "--only", "a", "-o", "json")

    assert gone(ran) == {"3": "not in the list of tags"}
    assert len(mirrored.served_tags("app")) == 4


def test_immutable_name_keeps_its_date(mirrored):
    """It is not asked for, so what `--refresh` saw stays."""
    declare(mirrored, "app", "tags: {names: ['1', '3']}\nimmutable: ['*']")
    delete_at_source(mirrored, "app", "3")

    assert gone(mirrored.run("apply", "-o", "json")) == {}
    assert gone(mirrored.run("apply", "--refresh", "-o", "json")) == {"3": "the tag is not found"}
    ran = mirrored.run("apply", "-o", "json")
    assert (gone(ran), ran.json["summary"]["kept"]) == ({"3": "not checked in this run"}, 2)


def test_second_destination_cannot_get_what_is_gone(mirrored):
    """A tag of the filters stays at the first; an exact name is an error, because the second lacks it."""
    delete_at_source(mirrored, "app", "3")
    file = mirrored.folder / "mirrors.d/a.yaml"
    more = file.read_text().replace("/m']", f"/m', '{mirrored.destination.host}/n']")
    file.write_text(more)
    assert gone(mirrored.run("apply", "-o", "json")) == {"3": "not in the list of tags"}

    file.write_text(f"{more}    tags: {{names: ['3'], include: ['*']}}\n")
    ran = mirrored.run("apply", "-o", "json")

    assert (ran.code, gone(ran)) == (1, {"3": "the tag is not found"})
    assert f"{mirrored.destination.host}/n/{mirrored.name}/app:3 does not have it" in ran.json["errors"][0]["message"]


def test_missing_pin_is_gone_where_it_was_mirrored(mirrored):
    """A second destination that lacks the pinned digest makes the plan ask for it."""
    pin = f"3@{image(3).digest}"
    declare(mirrored, "app", f"tags: {{names: ['{pin}']}}")
    mirrored.run("apply")
    mirrored.source_registry.delete(f"{mirrored.name}/app", image(3).digest)
    assert gone(mirrored.run("plan", "-o", "json")) == {}
    file = mirrored.folder / "mirrors.d/a.yaml"
    file.write_text(file.read_text().replace("/m']", f"/m', '{mirrored.destination.host}/n']"))

    ran = mirrored.run("plan", "-o", "json")

    assert ran.code == 1
    assert [one["destination"] for one in ran.json["gone"]] == [f"{mirrored.destination.host}/m/{mirrored.name}/app:3"]
    assert "does not exist at the source" in ran.json["errors"][0]["message"]


def test_held_update_that_is_deleted_is_gone(lab):
    """The old image stays, and its tag is gone; a held new tag just goes away."""
    lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    declare(lab, "app")
    lab.run("apply")
    lab.push("app", "1", image(11))
    lab.push("app", "3", image(3))
    declare(lab, "app", "tags: {min_age: 3d}")
    assert lab.run("apply", "-o", "json").json["summary"]["held"] == 2

    delete_at_source(lab, "app", "1", "3")
    ran = lab.run("apply", "-o", "json")

    assert (ran.code, gone(ran)) == (0, {"1": "not in the list of tags"})
    assert lab.served_digest("app", "1") == image(1).digest


def test_saved_plan_records_what_is_gone(mirrored):
    """With the clock of the apply, and only what the state knows."""
    delete_at_source(mirrored, "app", "3")
    mirrored.run("plan", "--out", "plan.json")

    ran = mirrored.run("apply", "--plan", "plan.json", "-o", "json")

    assert TODAY.fullmatch(ran.json["gone"][0]["since"])
    assert mirrored.run("plan", "-o", "json").json["gone"][0]["since"] == ran.json["gone"][0]["since"]


def test_saved_deletion_of_a_returned_tag_is_refused(mirrored):
    """The state no longer says that the tag is gone."""
    declare(mirrored, "app", "prune: {gone: true}")
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")
    mirrored.run("plan", "--out", "plan.json")
    assert json.loads(Path(mirrored.folder / "plan.json").read_text())["summary"]["delete"] == 1
    mirrored.push("app", "3", image(3))
    mirrored.run("apply")

    ran = mirrored.run("apply", "--plan", "plan.json", "-o", "json")

    assert ran.json["summary"]["refused"] == 1
    assert "3" in mirrored.served_tags("app")


def test_date_travels_with_the_state(mirrored):
    """Shown, exported and imported."""
    delete_at_source(mirrored, "app", "3")
    since = mirrored.run("apply", "-o", "json").json["gone"][0]["since"]
    place = f"{mirrored.destination.host}/m/{mirrored.name}/app:3"
    assert f"gone_since     {since}\n" in mirrored.run("state", "show", place).stdout
    assert [one.get("gone_since") for one in mirrored.run("state", "list", "-o", "json").json] == [None, None, since, None]

    mirrored.run("state", "export", "state.jsonl")
    mirrored.run("state", "import", "state.jsonl", "--state", "other")

    assert mirrored.run("plan", "--state", "other", "-o", "json").json["gone"][0]["since"] == since


def test_copy_of_a_deleted_tag_is_an_error(mirrored):
    """A user who names one image gets it, or hears that it is not there."""
    delete_at_source(mirrored, "app", "3")

    ran = mirrored.run("copy", f"{mirrored.source.host}/{mirrored.name}/app:3", f"{mirrored.destination.host}/m/{mirrored.name}/app:3")

    assert ran.code == 1


def test_gone_tags_are_a_metric(mirrored):
    """One gauge per mirror, also at zero."""
    mirrored.run("apply", "--metrics", "metrics.prom")
    assert 'imgsync_gone_tags{mirror="a"} 0.0' in (mirrored.folder / "metrics.prom").read_text()
    delete_at_source(mirrored, "app", "3")

    mirrored.run("apply", "--metrics", "metrics.prom")

    assert 'imgsync_gone_tags{mirror="a"} 1.0' in (mirrored.folder / "metrics.prom").read_text()


def lose_at_destination(lab: Lab, repository: str, tag: str = "") -> None:
    """Take a tag away at the destination, or the repository with its blobs."""
    place = lab.destination_registry.storage / f"repositories/m/{lab.name}/{repository}"
    shutil.rmtree(place / "_manifests/tags" / tag if tag else place)


@pytest.mark.parametrize("options", [[], ["--deep"]], ids=["", "deep"])
def test_verify_counts_gone_tags_apart(options, mirrored):
    """They are no drift as long as the destination has them."""
    delete_at_source(mirrored, "app", "3")

    ran = mirrored.run("verify", *options, "-o", "json")

    assert (ran.code, ran.json["summary"]["ok"], ran.json["summary"]["gone"], ran.json["summary"]["drift"]) == (0, 3, 1, 0)
    assert "No drift: 3 ok, 1 gone" in mirrored.run("verify").stdout


def test_verify_finds_the_lost_only_copy(mirrored):
    """Gone at the source and missing at the destination: drift that no apply repairs."""
    delete_at_source(mirrored, "app", "3")
    mirrored.run("apply")
    lose_at_destination(mirrored, "app", "3")

    ran = mirrored.run("verify")

    assert ran.code == 1
    assert "Drift: 3 ok, 1 lost" in ran.stdout
    assert "no run can repair it" in ran.stdout
    assert "imgsync apply" not in ran.stdout


@pytest.mark.parametrize("command", [("plan",), ("plan", "--refresh")])
def test_planned_bytes_of_a_lost_repository_count_its_blobs(command, mirrored):
    """What the state says of its blobs is not believed after `verify`, or where the plan asks."""
    lose_at_destination(mirrored, "app")
    mirrored.run("verify")

    ran = mirrored.run(*command, "-o", "json")

    assert ran.json["summary"]["create"] == 4
    assert ran.json["summary"]["transfer_bytes"] == sum(len(blob) for blob in {**image(1).blobs, **image(2).blobs, **image(3).blobs, **image(4).blobs}.values())
