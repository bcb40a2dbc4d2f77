"""What a saved plan may change: only what its mirrors declare."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.config.model import Destination, Mirror, Prune, Source
from imgsync.filters.tags import TagFilter
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.model import Action
from tests.support.plans import DIGEST, change

MIRROR = Mirror(
    "a",
    Source("s.io", namespaces=("team",), repositories=("app",), exclude=("team/secret*",)),
    (Destination("r.io", "m"), Destination("o.io", "", "x/{relative}", "{tag}-copy")),
)
SELECTING = Mirror(
    "a", Source("s.io", namespaces=("",), repositories=("exact",), include=("team/*",), regex=(".*[a-z]",), exclude_regex=(".*-old",)), (Destination("r.io"),)
)
EVERYTHING = Mirror("a", Source("s.io", namespaces=("",)), (Destination("r.io", "m", "{flat}"),))
NAMED = Mirror("a", Source("s.io", repositories=("app",)), (Destination("r.io", "m"),), tags=TagFilter(names=("1",)))
PRUNING = Mirror("a", Source("s.io", repositories=("app",)), (Destination("r.io", "m"),), prune=Prune(protect=("latest",)))


def covers(mirror: Mirror, source: str, destination: str, action: Action = Action.CREATE, **fields: object) -> bool:
    return DeclarationScope(mirror).includes(change(action, source=source, destination=destination, **fields))


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPDATE, Action.KEEP, Action.HOLD, Action.REFUSE])
def test_declared_changes_are_covered(action):
    """Exact repositories, namespaces, every destination and its templates."""
    assert covers(MIRROR, "s.io/app:1", "r.io/m/app:1", action)
    assert covers(MIRROR, "s.io/app:1", "o.io/x/app:1-copy", action)
    assert covers(MIRROR, "s.io/team/one/two:1", "r.io/m/team/one/two:1", action)
    assert covers(MIRROR, "s.io/team/one/two:1", "o.io/x/one/two:1-copy", action)
    assert covers(EVERYTHING, "s.io/one/two:1", "r.io/m/one_two:1", action)
    assert covers(NAMED, "s.io/app:1", "r.io/m/app:1", action)
    assert covers(SELECTING, "s.io/exact:1", "r.io/exact:1", action)
    assert covers(SELECTING, "s.io/team/app:1", "r.io/team/app:1", action)


@pytest.mark.parametrize("path", ["other/app", "team/deep/app", "team/app2", "team/app-old", "exact-old"])
def test_repositories_that_a_pattern_rejects_are_not_covered(path):
    """`include`, `regex` and `exclude_regex` of the source."""
    assert not covers(SELECTING, f"s.io/{path}:1", f"r.io/{path}:1")


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("s.io/app:1", "r.io/m/app:2"),
        ("s.io/app:1", "r.io/m/other:1"),
        ("s.io/app:1", "r.io/other/app:1"),
        ("s.io/app:1", "evil.example/m/app:1"),
        ("s.io/app:1", "o.io/x/app:1"),
        ("s.io/app:1", "r.io/m/app"),
        ("s.io/app:1", f"r.io/m/app@{DIGEST}"),
        ("s.io/app", "r.io/m/app:1"),
        (f"s.io/app@{DIGEST}", "r.io/m/app:1"),
        ("evil.example/app:1", "r.io/m/app:1"),
        ("s.io/other:1", "r.io/m/other:1"),
        ("s.io/teamwork/app:1", "r.io/m/teamwork/app:1"),
        ("s.io/team/secrets:1", "r.io/m/team/secrets:1"),
        ("https://evil.example/:x", "r.io/m/app:1"),
        ("s.io/app:1", "../../r.io/m/app:1"),
        ("", ""),
    ],
)
def test_undeclared_changes_are_not_covered(source, destination):
    """Neither for a copy nor for a kept tag."""
    assert not covers(MIRROR, source, destination)
    assert not covers(MIRROR, source, destination, Action.KEEP)


def test_copies_need_a_digest():
    """A copy without a digest was not reviewed."""
    assert not covers(MIRROR, "s.io/app:1", "r.io/m/app:1", source_digest=None)
    assert covers(MIRROR, "s.io/app:1", "r.io/m/app:1", Action.KEEP, source_digest=None)


def test_names_without_filters_cover_no_other_tag():
    """If only names select tags, no other tag is covered."""
    assert not covers(NAMED, "s.io/app:2", "r.io/m/app:2")


def test_suspended_mirrors_change_nothing():
    """A suspended mirror covers no change."""
    assert not covers(replace(MIRROR, suspend=True), "s.io/app:1", "r.io/m/app:1")


def test_deletions_need_a_mirror_that_prunes():
    """Deletions are covered where a pruning mirror can write, whichever tags it selects, except protected tags."""
    assert covers(PRUNING, "s.io/app:1", "r.io/m/app:1", Action.DELETE, source_digest=None)
    assert covers(replace(NAMED, prune=Prune()), "s.io/app:once", "r.io/m/app:once", Action.DELETE, source_digest=None)
    assert not covers(PRUNING, "s.io/app:latest", "r.io/m/app:latest", Action.DELETE, source_digest=None)
    assert not covers(NAMED, "s.io/app:1", "r.io/m/app:1", Action.DELETE, source_digest=None)


@pytest.mark.parametrize("destination", ["r.io/app:1", "r.io/mm/app:1", "q.io/m/app:1", f"r.io/m/app@{DIGEST}"])
def test_deletions_need_a_declared_place(destination):
    """Nothing is deleted outside of the mirror's destinations; below them, the state must say that the mirror pushed it."""
    assert covers(PRUNING, "s.io/once:1", "r.io/m/once:1", Action.DELETE, source_digest=None)
    assert not covers(PRUNING, "s.io/app:1", destination, Action.DELETE, source_digest=None)


def test_repository_named_exactly_is_not_placed_by_its_namespace():
    """`{relative}` of a plan is then the whole path."""
    both = Mirror("a", Source("s.io", namespaces=("team",), repositories=("team/app",)), (Destination("r.io", "", "{relative}"),))

    assert covers(both, "s.io/team/app:1", "r.io/team/app:1")
    assert not covers(both, "s.io/team/app:1", "r.io/app:1")
    assert covers(both, "s.io/team/web:1", "r.io/web:1")
