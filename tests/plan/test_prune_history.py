"""Whichever mirrors come, change and go, none deletes the images of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgsync.apply.tag_owner import TagOwners
from imgsync.config.model import Config, Destination, Mirror, Prune, RegistriesConfig, Source
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Repository
from imgsync.plan.destinations import find_reference
from imgsync.plan.prune import plan_deletions
from imgsync.state import Record
from tests.support.plans import change as make_change

DIGEST = "sha256:" + "a" * 64
TAGS = ("1", "2")
# What mirrors with `prune` declare, and what others do. Their names meet at destinations with {name} or {relative}.
PRUNED, KEPT = ("team/app", "web", "kept/web"), ("team/other", "app", "other/app")

destinations = st.builds(
    Destination,
    registry=st.sampled_from(("r.io", "q.io")),
    namespace=st.sampled_from(("", "m", "m/team")),
    repository=st.sampled_from(("{path}", "{name}", "{flat}", "{relative}", "x/{name}")),
    tag=st.sampled_from(("{tag}", "{tag}", "1{tag}")),
)


def declare(name: str, paths: tuple[str, ...], prune: Prune | None) -> st.SearchStrategy[Mirror]:
    """Return mirrors of some of *paths*, by name or by a namespace without the others."""
    others = tuple(path for path in (*PRUNED, *KEPT) if path not in paths)
    exact = st.sets(st.sampled_from(paths), min_size=1).map(lambda some: Source("s.io", repositories=tuple(sorted(some))))
    below = st.sampled_from((("",), ("team",), ("team", ""), ("",))).map(lambda some: Source("s.io", namespaces=some, exclude=others))
    places = st.lists(destinations, min_size=1, max_size=2).map(tuple)
    return st.builds(Mirror, name=st.just(name), source=exact | below, destinations=places, prune=st.just(prune), suspend=st.sampled_from((False, False, True)))


some_mirrors = st.tuples(
    *(st.none() | declare(name, PRUNED, Prune()) for name in ("a", "b")),
    *(st.none() | declare(name, KEPT, None) for name in ("c", "d")),
).map(lambda found: tuple(mirror for mirror in found if mirror is not None))
selections = st.fixed_dictionaries({name: st.sets(st.sampled_from(TAGS)) for name in "abcd"})


def iter_written(mirror: Mirror, tags: set[str]) -> Iterator[tuple[str, str]]:
    """
    Yield destinations and sources that *mirror* writes if it selects *tags*.

    Two sources may share a destination.
    """
    for path in (*PRUNED, *KEPT):
        exact = [path] if path in mirror.source.repositories else []
        below = [
            path.removeprefix(f"{name}/")
            for name in mirror.source.namespaces
            if (not name or path.startswith(f"{name}/")) and path not in mirror.source.exclude
        ]
        source = Repository("s.io", path)
        for relative in (exact or below)[:1]:
            for destination in mirror.destinations:
                for tag in tags:
                    try:
                        yield str(find_reference(destination, source, relative, tag)), f"{source}:{tag}"
                    except InvalidReferenceError:
                        continue


def declare_below(repository: str, name: str) -> Mirror:
    """Return a mirror of `web` and `kept/web` that writes to *repository*."""
    source = Source("s.io", namespaces=("",), exclude=("team/other", "app", "other/app"))
    return Mirror(name=name, source=source, destinations=(Destination("r.io", "", repository),), prune=Prune())


@pytest.mark.parametrize("has_names", [False, True], ids=["records of an earlier version", "records with mirrors"])
@example(runs=[((declare_below("{path}", "a"),), {"a": {"1"}}), ((declare_below("{name}", "b"),), {"b": set()})])
@given(runs=st.lists(st.tuples(some_mirrors, selections), min_size=2, max_size=4))
def test_images_pushed_for_a_mirror_without_prune_are_never_deleted(has_names, runs):
    """After any removal or change; and a mirror deletes only what it could write, or what it selected before."""
    state: dict[str, Record] = {}
    selectors: defaultdict[str, set[str]] = defaultdict(set)
    pruning: dict[str, bool] = {}
    for declared, tags in runs:
        owners = TagOwners(Config(declared, RegistriesConfig()))
        selected = {place: (source, mirror) for mirror in declared for place, source in dict(iter_written(mirror, tags[mirror.name])).items()}

        found = plan_deletions(declared, [state[place] for place in sorted(state)], selected=sorted(selected), gone={})

        for name, one in found.items():
            for change in one.changes:
                place = str(change.destination)
                (deleter,) = (mirror for mirror in declared if mirror.name == name)
                assert pruning[place], f"{place} was pushed for a mirror without prune"
                assert deleter.prune is not None
                assert not deleter.suspend
                assert place not in selected
                if has_names:
                    assert name in selectors[place]
                else:
                    assert (place, state[place].source) in set(iter_written(deleter, set(TAGS)))
                del state[place]
        for place, (source, mirror) in selected.items():
            if not mirror.suspend and state.get(place, replace(RECORD, source="")).source != source:
                state[place], pruning[place] = (
                    replace(RECORD, destination=place, source=source, mirror=state.get(place, RECORD).mirror),
                    mirror.prune is not None,
                )
            if not mirror.suspend:
                selectors[place].add(mirror.name)
                owner = owners.find(make_change(source=source, destination=place, mirror=mirror.name), state[place])
                state[place] = replace(state[place], mirror=owner if has_names else "")


RECORD = Record("r.io/m/app:1", DIGEST, "0123abcd", 10, "x/y", "s.io/app:1", DIGEST, "platforms=all", "2026-03-02T10:00:00Z")
