"""`min_age` holds young digests; moved immutable tags are refused."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from imgsync.text.units import format_timestamp, parse_timestamp
from tests.support.gcr_listing import GcrListing
from tests.support.images import image


@pytest.fixture
def remembered(workplace):
    """Return a function that opens the state."""

    def opened():
        return open_state(str(workplace.folder / ".imgsync" / "state"), thread=NativeThread(), lock_timeout_seconds=5, on_warning=pytest.fail)

    return opened


@pytest.fixture
def seen_ago(remembered, lab):
    """Record when digests of `NAME/app` were first seen."""

    def plant(age: timedelta, *images) -> None:
        with remembered() as state:
            state.put(seen=[(f"{lab.source.host}/{lab.name}/app", one.digest, format_timestamp(datetime.now(UTC) - age)) for one in images])

    return plant


@pytest.fixture
def first_seen(remembered, lab):
    """Return the recorded first sight of an image of `NAME/app`, or None."""

    def read(content):
        with remembered() as state:
            return parse_timestamp(state.get_first_seen(f"{lab.source.host}/{lab.name}/app", content.digest))

    return read


def actions(document) -> dict[str, str]:
    """Return the action for each tag of a plan or a report."""
    return {change["source"].rpartition(":")[2]: change["action"] for change in document.get("changes") or document["outcomes"]}


YOUNG, OLD = timedelta(hours=71), timedelta(hours=73)


@pytest.mark.row("GIT-11")
def test_young_digest_is_held_and_nothing_of_it_is_copied(lab, first_seen):
    """Every plan has the same id; `apply` reads and sends nothing of it, and exits with 0."""
    content = lab.push("app", "1", image(1))
    lab.declare("app", "tags: {min_age: 3d}")

    plan, again = (lab.run("plan", "-o", "json") for _ in range(2))
    ran = lab.run("apply", "-o", "json")
    later = lab.run("plan", "-o", "json")

    assert plan.code == 0
    assert plan.json["id"] == again.json["id"], "a digest that was not seen yet has no time"
    assert actions(plan.json) == {"1": "hold"}
    assert plan.json["summary"] == plan.json["summary"] | {"hold": 1, "create": 0, "transfer_bytes": 0}
    assert plan.json["changes"][0]["reason"] == "first seen now, held by min_age 3d; not at the destination"
    until = later.json["changes"][0]["held_until"]
    assert f"held by min_age 3d until {until}; not at the destination" in later.json["changes"][0]["reason"]
    assert abs(parse_timestamp(until) - datetime.now(UTC) - timedelta(days=3)) < timedelta(minutes=2)
    assert ran.code == 0, ran.stderr
    assert actions(ran.json) == {"1": "hold"}
    assert ran.json["outcomes"][0]["error"] is None
    assert lab.served_manifest("app", "1") is None
    assert {one.method for one in lab.destination.seen} <= {"GET", "HEAD"}
    assert lab.source.requests("GET .*/(manifests|blobs)/") == []
    assert abs(first_seen(content) - datetime.now(UTC)) < timedelta(minutes=2)


def test_held_images_are_not_pending(lab):
    """`plan --detailed-exitcode` returns 0 if everything is held."""
    lab.push("app", "1", image(1))
    lab.declare("app", "tags: {min_age: 3d}")

    assert lab.run("plan", "--detailed-exitcode").code == 0


def test_plan_records_no_first_sight(lab):
    """A plan leaves no state behind."""
    lab.push("app", "1", image(1))
    lab.declare("app", "tags: {min_age: 3d}")

    assert lab.run("plan").code == 0

    assert not (lab.folder / ".imgsync").exists()


def test_first_sight_is_recorded_once(lab, seen_ago, first_seen):
    """Later runs and --refresh do not change it."""
    content = lab.push("app", "1", image(1))
    seen_ago(YOUNG, content)
    lab.declare("app", "tags: {min_age: 3d}")
    before = first_seen(content)

    ran = lab.run("apply", "--refresh", "-o", "json")

    assert actions(ran.json) == {"1": "hold"}
    one, other = (lab.run("plan", "-o", "json").json for _ in range(2))
    assert re.match(r"first seen \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, held by min_age 3d until ", one["changes"][0]["reason"])
    assert one["id"] == other["id"], "the same plan, however much later it is made"
    assert first_seen(content) == before


def test_digest_that_is_old_enough_is_copied(lab, seen_ago):
    """A digest seen longer ago than `min_age` is copied."""
    content = lab.push("app", "1", image(1))
    seen_ago(OLD, content)
    lab.declare("app", "tags: {min_age: 3d}")

    ran = lab.run("apply", "-o", "json")

    assert actions(ran.json) == {"1": "create"}
    lab.assert_served("app", "1", content)
    assert actions(lab.run("plan", "--all", "-o", "json").json) == {"1": "keep"}


@pytest.mark.row("GIT-11")
def test_moved_tag_waits_while_the_old_digest_is_served(lab, seen_ago, first_seen):
    """Each digest has its own age; a tag that moves back has the earlier one."""
    old = lab.push("app", "1", image(1))
    seen_ago(OLD, old)
    lab.declare("app", "tags: {min_age: 3d}")
    assert lab.run("apply").code == 0
    new = lab.push("app", "1", image(2))

    moved = lab.run("apply", "-o", "json")
    noted = first_seen(new)
    lab.push("app", "1", old)
    back = lab.run("apply", "-o", "json")
    lab.push("app", "1", new)
    again = lab.run("apply", "-o", "json")

    assert [actions(one.json)["1"] for one in (moved, back, again)] == ["hold", "keep", "hold"]
    assert [one.code for one in (moved, back, again)] == [0, 0, 0]
    assert first_seen(new) == noted
    lab.assert_served("app", "1", old)


def test_exceptions_are_copied_at_once(lab):
    """Tags in `except` are copied at once, the others are held."""
    lab.push("app", "1.0.1", image(1))
    lab.push("app", "1.1.0", image(2))
    lab.declare("app", "tags: {min_age: {age: 3d, except: ['1.0.*']}}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0
    assert actions(ran.json) == {"1.0.1": "create", "1.1.0": "hold"}


def test_served_digest_is_kept_not_held(lab):
    """A young digest that the destination already serves is kept."""
    content = lab.push("app", "1", image(1))
    lab.push_to_destination("app", "1", content)
    lab.declare("app", "tags: {min_age: 3d}")

    assert actions(lab.run("apply", "-o", "json").json) == {"1": "keep"}


def test_held_tags_count_for_at_least(lab, seen_ago):
    """Held tags count for `at_least`."""
    old = lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    seen_ago(OLD, old)
    lab.declare("app", "tags: {min_age: 3d, at_least: 2}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert actions(ran.json) == {"1": "create", "2": "hold"}


def test_lost_state_holds_again(lab, seen_ago):
    """Without a state, digests are held again."""
    content = lab.push("app", "1", image(1))
    seen_ago(OLD, content)
    lab.declare("app", "tags: {min_age: 3d}")
    shutil.rmtree(lab.folder / ".imgsync")

    assert actions(lab.run("apply", "-o", "json").json) == {"1": "hold"}


@pytest.mark.parametrize("moment", ["2999-01-01T00:00:00Z", "no moment"], ids=["to come", "damaged"])
def test_wrong_first_sight_holds_no_longer_than_min_age(moment, lab, remembered, first_seen):
    """A future or unreadable first sight is replaced by the next apply."""
    content = lab.push("app", "1", image(1))
    with remembered() as state:
        state.put(seen=[(f"{lab.source.host}/{lab.name}/app", content.digest, moment)])
    lab.declare("app", "tags: {min_age: 3d}")

    ran = lab.run("apply", "-o", "json")

    assert actions(ran.json) == {"1": "hold"}
    assert abs(first_seen(content) - datetime.now(UTC)) < timedelta(minutes=2)


# --- immutable tags


@pytest.fixture
def moved(lab):
    """Mirror an immutable tag, then move it; *digests* extends the listing."""

    def prepare(*, digests: bool):
        if digests:
            lab.source.add(GcrListing(lab.source_registry), method="GET", target="tags/list")
        old = lab.push("app", "v1", image(1))
        lab.declare("app", "immutable: ['v*']")
        assert lab.run("apply").code == 0
        lab.push("app", "v1", image(2))
        lab.source.forget()
        return old

    return prepare


def test_moved_immutable_tag_is_refused_by_its_listing(lab, moved):
    """The listing's digest is enough to refuse it in every run; the destination gets no request."""
    old = moved(digests=True)
    lab.destination.forget()

    first, second = lab.run("apply", "-o", "json"), lab.run("apply", "-o", "json")

    assert [one.code for one in (first, second)] == [1, 1]
    assert actions(first.json) == actions(second.json) == {"v1": "refuse"}
    assert "tag is declared immutable" in first.json["outcomes"][0]["error"]
    assert first.events("image.refused")
    assert lab.source.requests("/manifests/") == []
    assert lab.destination.seen == []
    lab.assert_served("app", "v1", old)


def test_immutable_tag_is_checked_only_with_refresh(lab, moved):
    """Without digests in the listing only --refresh finds and refuses the move."""
    moved(digests=False)
    lab.destination.forget()

    plan = lab.run("plan", "-o", "json")

    assert plan.json["changes"][0]["reason"] == "immutable and already mirrored"
    assert lab.source.requests("/manifests/") == lab.destination.seen == []
    refreshed = lab.run("apply", "--refresh", "-o", "json")
    assert refreshed.code == 1
    assert actions(refreshed.json) == {"v1": "refuse"}


def test_immutable_tag_that_moved_is_refused_rather_than_held(lab, moved):
    """A moved immutable tag is refused at once, not held."""
    moved(digests=True)
    lab.declare("app", "immutable: ['v*']\ntags: {min_age: 3d}")

    assert actions(lab.run("apply", "-o", "json").json) == {"v1": "refuse"}
