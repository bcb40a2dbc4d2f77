"""Which tags to delete, from configuration, state and selection alone."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from imgsync.config.allowlist import get_fixed_prefix, is_allowed
from imgsync.config.model import Destination, Mirror, Prune, Source
from imgsync.config.templates import expand_repository
from imgsync.filters.globs import compile_glob
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import parse_reference
from imgsync.plan.gone_tag import Absence, GoneTag
from imgsync.plan.model import Action
from imgsync.plan.prune import plan_deletions
from imgsync.state import Record

DIGEST = "sha256:" + "a" * 64
RECORD = Record("r.io/m/app:1", DIGEST, "0123abcd", 10, "x/y", "s.io/app:1", DIGEST, "platforms=all", "2026-03-02T10:00:00Z")
MIRROR = Mirror("a", Source("s.io", repositories=("app",)), (Destination("r.io", "m"),), prune=Prune())

TAGS, REPOSITORIES = ("1", "latest"), ("m/app", "m/ns/app", "mm/app", "app")
sources = st.sampled_from(("s.io", "t.io"))
destinations = st.builds(
    Destination,
    registry=st.sampled_from(("r.io", "r.io", "q.io")),
    namespace=st.sampled_from(("m", "", "m/ns")),
    repository=st.sampled_from(("{path}", "{name}", "app", "ns/{name}", "ns-{name}")),
)
mirrors = st.lists(
    st.builds(
        Mirror,
        name=st.sampled_from("abcd"),
        source=st.builds(
            Source,
            registry=sources,
            repositories=st.sampled_from((("app",), ("app", "x/app"), ("x/app",), ())),
            namespaces=st.sampled_from(((), ("x",), ("",))),
            exclude=st.sampled_from(((), ("x/*",))),
        ),
        destinations=st.lists(destinations, min_size=1, max_size=2).map(tuple),
        suspend=st.sampled_from((False, False, False, True)),
        prune=st.just(Prune()) | st.none() | st.builds(Prune, protect=st.sampled_from(((), ("lat*",), ("*",))), gone=st.booleans()),
    ),
    max_size=3,
    unique_by=lambda mirror: mirror.name,
)
places = st.builds("{}/{}:{}".format, st.sampled_from(("r.io", "r.io", "q.io")), st.sampled_from(REPOSITORIES), st.sampled_from(TAGS))
records = st.lists(
    st.builds(
        replace,
        st.just(RECORD),
        destination=places | st.just("r.io/m/app@" + DIGEST) | st.just("not a reference"),
        source=st.builds("{}/{}:{}".format, sources, st.sampled_from(("app", "x/app")), st.sampled_from(TAGS)),
        applied_at=st.sampled_from(("2026-03-02T10:00:00Z", "")),
        mirror=st.sampled_from(("", "", "a", "b", "removed")),
    ),
    max_size=12,
    unique_by=lambda record: record.destination,
)


def doomed(declared, known, selected=(), gone=()) -> dict[str, str]:
    """Return the references to delete, and for which mirror."""
    found = plan_deletions(declared, sorted(known, key=attrgetter("destination")), selected=sorted(selected), gone={str(tag.destination): tag for tag in gone})
    return {str(change.destination): name for name, one in found.items() for change in one.changes}


def has_place(mirror: Mirror, record: Record) -> bool:
    """Return whether a destination of *mirror* covers *record*."""
    return any(is_allowed((get_fixed_prefix(one),), record.destination.rpartition(":")[0]) for one in mirror.destinations)


def may_have_written(mirror: Mirror, record: Record) -> bool:
    """Return whether *mirror* writes *record* if it selects every tag, even if suspended."""
    registry, _, rest = record.source.partition("/")
    path, _, tag = rest.partition(":")
    source = mirror.source
    is_declared = path in source.repositories or "" in source.namespaces or ("x" in source.namespaces and path.startswith("x/"))
    if registry != source.registry or not is_declared or (source.exclude and path.startswith("x/")):
        return False
    return record.destination in {f"{one.registry}/{expand_repository(one, path, relative=path, registry=registry)}:{tag}" for one in mirror.destinations}


@given(mirrors, records, st.sets(places, max_size=8))
@example([MIRROR], [RECORD], {RECORD.destination})
@example([MIRROR], [replace(RECORD, applied_at="")], set())
@example([MIRROR], [replace(RECORD, destination=f"r.io/m/app@{DIGEST}")], set())
@example([replace(MIRROR, source=Source("s.io", repositories=("other",)))], [replace(RECORD, mirror="a")], set())
@example([MIRROR, replace(MIRROR, name="b", prune=None)], [replace(RECORD, mirror="a")], set())
def test_tag_is_deleted_only_for_the_mirror_that_pushed_it(declared, known, selected):
    """
    A deleted tag was pushed by imgsync, is neither selected nor protected, and belongs to a mirror that prunes.

    Without the name of a mirror in its record, all possible writers prune.
    """
    by_destination = {record.destination: record for record in known}

    for destination, name in doomed(declared, known, selected).items():
        record = by_destination[destination]
        writers = [mirror for mirror in declared if may_have_written(mirror, record)]
        assert destination not in selected
        assert record.applied_at
        assert parse_reference(destination).tag
        (deleter,) = (mirror for mirror in declared if mirror.name == name)
        assert deleter.prune is not None
        assert record.mirror in {"", name}
        assert has_place(deleter, record)
        assert record.mirror or name in {mirror.name for mirror in writers}
        assert record.mirror or all(mirror.prune is not None for mirror in writers)
        assert not any(mirror.suspend for mirror in (deleter, *writers))
        patterns = [text for mirror in (deleter, *writers) if mirror.prune is not None for text in mirror.prune.protect]
        assert not any(compile_glob(text).fullmatch(destination.rpartition(":")[2]) for text in patterns)


@given(mirrors, st.data())
def test_tags_of_a_mirror_that_does_not_prune_stay(declared, data):
    """Whatever its source has at present, if it declares the repository for that destination."""
    keepers = [mirror for mirror in declared if mirror.prune is None or mirror.suspend]
    assume(keepers)
    keeper = data.draw(st.sampled_from(keepers))
    destination = data.draw(st.sampled_from(keeper.destinations))
    path = data.draw(st.sampled_from(("app", "x/app")))
    target = f"{destination.registry}/{expand_repository(destination, path, relative=path, registry=keeper.source.registry)}:1"
    record = replace(RECORD, destination=target, source=f"{keeper.source.registry}/{path}:1", mirror=data.draw(st.sampled_from(("", keeper.name))))
    assume(may_have_written(keeper, record))

    assert doomed(declared, [record]) == {}


@given(mirrors, records, st.sets(places, max_size=8))
@example([MIRROR], [RECORD], {RECORD.destination})
def test_more_selected_is_less_deleted(declared, known, selected):
    """Selecting more tags, or losing records, never deletes more."""
    without = doomed(declared, known)

    assert doomed(declared, known, selected) == {destination: name for destination, name in without.items() if destination not in selected}
    assert doomed(declared, known[1:]).items() <= without.items()


@given(records)
def test_each_tag_is_deleted_for_one_mirror(known):
    """Two possible writers delete a tag once; the second one only its own."""
    found = plan_deletions([MIRROR, replace(MIRROR, name="b")], sorted(known, key=attrgetter("destination")), selected=(), gone={})

    changes = [change.destination for one in found.values() for change in one.changes]
    assert len(changes) == len(set(changes))
    assert {str(change.destination) for change in found["b"].changes} <= {record.destination for record in known if record.mirror == "b"}


def gone_tag(record: Record, since: str | None = "2026-08-28T00:00:00Z", reason: str = Absence.UNLISTED) -> GoneTag:
    return GoneTag("a", parse_reference(record.source), parse_reference(record.destination), record.digest, since, reason)


@given(mirrors, records, st.sampled_from((None, "2026-08-28T00:00:00Z")), st.sampled_from(Absence))
def test_gone_tag_is_deleted_only_where_every_writer_declares_it(declared, known, since, absence):
    """An earlier run saw it, this one too, and no possible writer keeps what is gone; else exactly the others go."""
    tagged = [record for record in known if record.destination.endswith((":1", ":latest"))]
    without = doomed(declared, known)

    found = doomed(declared, known, gone=[gone_tag(record, since, absence) for record in tagged])

    assert found.items() <= without.items()
    for destination in found.keys() & {record.destination for record in tagged}:
        writers = [mirror for mirror in declared if any(may_have_written(mirror, record) for record in tagged if record.destination == destination)]
        assert since
        assert absence not in {Absence.EMPTY_LIST, Absence.UNCHECKED}
        assert all(mirror.prune.gone for mirror in writers)


@pytest.mark.parametrize("names", [("1",), (f"1@{DIGEST}",)])
def test_name_that_is_gone_is_never_deleted_for_that(names):
    """Whoever declared it by name takes the name away first."""
    mirror = replace(MIRROR, prune=Prune(gone=True), tags=TagFilter(names=names))
    record = replace(RECORD, source=f"s.io/app:{names[0]}")

    assert doomed([mirror], [record], gone=[gone_tag(record)]) == {}
    assert doomed([replace(mirror, tags=TagFilter())], [record], gone=[gone_tag(record)]) == {record.destination: "a"}


def test_deletion_says_what_it_takes_away_and_why():
    """The change shows the record and the date of the push."""
    (change,) = plan_deletions([MIRROR], [RECORD], selected=(), gone={})["a"].changes

    assert (change.action, str(change.source), change.source_digest) == (Action.DELETE, "s.io/app:1", None)
    assert (str(change.destination), change.destination_digest, change.size_bytes) == ("r.io/m/app:1", DIGEST, 10)
    assert change.reason == "no longer selected; pushed by imgsync on 2026-03-02"


@pytest.mark.parametrize(
    ("other", "goes"),
    [
        (replace(MIRROR, name="b"), True),
        (replace(MIRROR, name="b", prune=None), False),
        (replace(MIRROR, name="b", suspend=True), False),
        (replace(MIRROR, name="b", prune=Prune(protect=("1",))), False),
        (replace(MIRROR, name="b", prune=None, source=Source("t.io", repositories=("app",))), True),
        (replace(MIRROR, name="b", prune=None, destinations=(Destination("r.io", "other"), Destination("q.io", "m"))), True),
        (replace(MIRROR, name="b", prune=None, destinations=(Destination("r.io", "other"), Destination("r.io", "", "m/{name}"))), False),
        (replace(MIRROR, name="b", prune=None, destinations=(Destination("r.io", "m", "{path}", "{tag}-copy"),)), True),
        (replace(MIRROR, name="b", prune=None, destinations=(Destination("r.io"),)), True),
        (replace(MIRROR, name="b", prune=None, source=Source("s.io", repositories=("other",))), True),
        (replace(MIRROR, name="b", prune=None, source=Source("s.io", namespaces=("",), exclude=("a*",))), True),
        (replace(MIRROR, name="b", prune=None, source=Source("s.io", namespaces=("",))), False),
        (replace(MIRROR, name="b", prune=None, tags=TagFilter(names=("2",))), False),
    ],
    ids=[
        *("prunes", "does not", "suspended", "protects", "other source", "elsewhere", "one of two", "another tag", "above"),
        *("other repository", "excluded", "namespace", "other tags selected"),
    ],
)
def test_possible_writers_are_found_by_their_declaration(other, goes):
    """Source repository, destination and templates decide, not which tags are selected."""
    assert (RECORD.destination in doomed([MIRROR, other], [RECORD])) is goes


@pytest.mark.parametrize(
    "mirror",
    [
        replace(MIRROR, source=Source("s.io", repositories=("other",))),
        replace(MIRROR, source=Source("s.io", repositories=("app",), exclude=("app",))),
        replace(MIRROR, destinations=(Destination("r.io", "m", "{path}", "v{tag}"),)),
        replace(MIRROR, destinations=(Destination("r.io"),)),
    ],
    ids=["removed from the list", "excluded", "other tag template", "other namespace"],
)
def test_mirror_deletes_nothing_that_it_cannot_write(mirror):
    """Another mirror may have pushed it; a note says that it stays."""
    found = plan_deletions([mirror, replace(MIRROR, name="b", source=Source("t.io"))], [RECORD], selected=(), gone={})

    assert [one.changes for one in found.values()] == [[], []], "its record has no mirror"
    assert found["a"].notes == [f"1 tag is not deleted, because no mirror declares that repository for that destination: {RECORD.destination}"]
    assert found["b"].notes == []


def test_note_names_the_mirror_that_prevents_a_deletion():
    """Once for all its tags, in the mirror that would delete them."""
    known = [replace(RECORD, destination=f"r.io/m/app:{tag}", source=f"s.io/app:{tag}") for tag in "1234567"]

    found = plan_deletions([MIRROR, replace(MIRROR, name="big", prune=None)], known, selected=(), gone={})

    names = ", ".join(f"r.io/m/app:{tag}" for tag in "12345")
    assert found["a"].notes == [f"7 tags are not deleted, because mirror big can write the same destination and has no `prune`: {names} and 2 more"]
    assert found["big"].notes == []


LEFT = replace(MIRROR, source=Source("s.io", repositories=("other",)))


@pytest.mark.parametrize(
    ("mirror", "goes"),
    [
        (MIRROR, True),
        (LEFT, True),
        (replace(MIRROR, source=Source("s.io", repositories=("app",), exclude=("app",))), True),
        (replace(MIRROR, source=Source("t.io", repositories=("app",))), True),
        (replace(MIRROR, destinations=(Destination("r.io", "m", "{path}", "v{tag}"),)), True),
        (replace(LEFT, destinations=(Destination("r.io"),)), True),
        (replace(LEFT, destinations=(Destination("r.io", "mm"), Destination("q.io", "m"))), False),
        (replace(LEFT, suspend=True), False),
        (replace(LEFT, prune=None), False),
        (replace(LEFT, prune=Prune(protect=("1",))), False),
        (replace(LEFT, name="renamed"), False),
    ],
    ids=[
        *("declared", "removed from the list", "excluded", "other source", "other tag template", "below another namespace"),
        *("elsewhere", "suspended", "does not prune", "protected", "another name"),
    ],
)
def test_mirror_deletes_what_it_pushed_below_its_destinations(mirror, goes):
    """Its name in the record decides, not what it declares now."""
    assert doomed([mirror], [replace(RECORD, mirror="a")]) == ({RECORD.destination: "a"} if goes else {})


@pytest.mark.row("GIT-10")
@pytest.mark.parametrize("owner", ["b", "removed"])
def test_mirror_never_deletes_what_another_one_pushed(owner):
    """Neither of a declared mirror nor of one that was removed, although it can write the same tag."""
    other = replace(MIRROR, name="b", prune=None, source=Source("t.io"))

    found = plan_deletions([MIRROR, other], [replace(RECORD, mirror=owner)], selected=(), gone={})

    assert [one.changes for one in found.values()] == [[], []]
    why = "pushed it and has no `prune`" if owner == "b" else "pushed it and is no longer declared"
    assert found["a"].notes == [f"1 tag is not deleted, because mirror {owner} {why}: {RECORD.destination}"]


@pytest.mark.parametrize(
    ("other", "goes"),
    [
        (replace(MIRROR, name="b", prune=None), True),
        (replace(MIRROR, name="b", suspend=True), False),
        (replace(MIRROR, name="b", suspend=True, prune=None), False),
        (replace(MIRROR, name="b", prune=Prune(protect=("1",))), False),
    ],
    ids=["does not prune", "suspended", "suspended without prune", "protects"],
)
def test_second_mirror_of_a_repository_keeps_only_what_it_may_select(other, goes):
    """What it selects is not deleted anyway. A suspended mirror selects nothing at present, so its tags are not known."""
    known = [replace(RECORD, mirror="a")]

    assert doomed([MIRROR, other], known) == ({RECORD.destination: "a"} if goes else {})
    assert doomed([MIRROR, other], known, selected=[RECORD.destination]) == {}


@pytest.mark.parametrize(
    ("other", "goes"),
    [
        (replace(MIRROR, name="b"), False),
        (replace(MIRROR, name="b", prune=None), False),
        (replace(MIRROR, name="b", source=Source("t.io", repositories=("app",))), True),
        (replace(MIRROR, name="b", source=Source("s.io", repositories=("other",))), True),
        (replace(MIRROR, name="b", destinations=(Destination("q.io", "m"),)), True),
    ],
    ids=["prunes", "does not prune", "other source", "other repository", "elsewhere"],
)
def test_what_a_mirror_outside_of_the_run_may_select_stays(other, goes):
    """Its selection is not known, so only its declaration counts."""
    (found,) = [plan_deletions([MIRROR], [replace(RECORD, mirror="a")], selected=(), gone={}, others=[other])["a"]]

    assert [str(change.destination) for change in found.changes] == ([RECORD.destination] if goes else [])
    why = f"1 tag is not deleted, because mirror b can write the same destination and is not part of this run: {RECORD.destination}"
    assert found.notes == ([] if goes else [why])


def test_mirror_outside_of_the_run_deletes_nothing():
    """Not even what it pushed itself."""
    found = plan_deletions([replace(MIRROR, name="b")], [replace(RECORD, mirror="a")], selected=(), gone={}, others=[MIRROR])

    assert [one.changes for one in found.values()] == [[], []]


def test_note_names_a_mirror_that_lost_the_destination():
    """Its tags stay where it no longer writes, and its note lists them."""
    moved = replace(MIRROR, destinations=(Destination("q.io", "m"),))
    known = [replace(RECORD, destination=f"r.io/m/app:{tag}", source=f"s.io/app:{tag}", mirror="a") for tag in "12"]

    found = plan_deletions([moved], known, selected=(), gone={})

    assert (found["a"].changes, found["a"].notes) == (
        [],
        ["2 tags are not deleted, because mirror a pushed them and no longer has that destination: r.io/m/app:1, r.io/m/app:2"],
    )
