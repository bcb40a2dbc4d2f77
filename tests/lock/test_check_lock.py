"""A lock and the declaration of its mirror: what fits, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.config.model import Concurrency, Destination, Mirror, Source
from imgsync.filters.tags import TagFilter
from imgsync.lock.check_lock import check_declaration, check_images
from imgsync.lock.declaration import compute_declaration_digest
from imgsync.lock.read_lock import parse_lock
from tests.support.locks import DECLARATION, digest, lock_text

MIRROR = Mirror("a", Source("r.io", repositories=("x", "y/z"), namespaces=("team",), exclude=("team/secret",)), (Destination("d.io", "m"),))


def problems(mirror: Mirror, *images: str, checks_tags: bool = True) -> list[str]:
    """Return what is wrong with a lock of *images*."""
    lock = parse_lock(lock_text({image: digest(image) for image in images}).encode(), "a.yaml", "a")
    return [f"{error.line}: {error.message}" for error in check_images(lock, mirror, checks_tags=checks_tags)]


def test_declaration_is_what_selects():
    """Not where the images go, how fast, how long they are held, or how many there may be."""
    same = [
        replace(MIRROR, concurrency=Concurrency(images=1), destinations=(), platforms=("linux/amd64",), file="b.yaml", line=9),
        replace(MIRROR, tags=TagFilter(min_age_seconds=5, min_age_except=("1",), at_least=0, at_most=9)),
    ]
    other = [replace(MIRROR, tags=TagFilter(newest=3)), replace(MIRROR, source=Source("r.io", repositories=("x",)))]

    assert {compute_declaration_digest(mirror) for mirror in same} == {compute_declaration_digest(MIRROR)}
    assert len({compute_declaration_digest(mirror) for mirror in (MIRROR, *other)}) == 3


def test_digest_of_a_declaration_stays():
    """A version of imgsync that changed it would make every lock outdated."""
    assert compute_declaration_digest(MIRROR) == "sha256:74e64d52e0fdd49ae337b3764361430364bc6f2b9f076f1c037c2763ea2c119b"


def test_lock_of_another_declaration_names_line_and_command():
    """It says what to run."""
    lock = parse_lock(lock_text({}).encode(), "mirrors.lock/a.yaml", "a")
    made = parse_lock(lock_text({}, declaration=compute_declaration_digest(MIRROR)).encode(), "mirrors.lock/a.yaml", "a")

    (error,) = check_declaration(lock, MIRROR)

    assert lock.declaration == DECLARATION
    assert (error.file, error.line) == ("mirrors.lock/a.yaml", 4)
    assert "imgsync lock --only a" in error.hint
    assert check_declaration(made, MIRROR) == []


@pytest.mark.row("LOCK-04")
@pytest.mark.parametrize("image", ["evil.io/x:1", "r.io/other:1", "r.io/team/secret:1", "r.io/teammate/x:1", "r.io/y:1", "r.io:8443/x:1"])
def test_image_that_is_not_declared_is_an_error(image):
    """Whoever writes a line into a lock cannot copy what the mirror does not declare."""
    assert problems(MIRROR, "r.io/x:1", image, checks_tags=False)[0].partition(": ")[2].startswith("the mirror a does not declare the repository")


def test_declared_images_are_accepted():
    """Exact repositories, and those below a namespace."""
    assert problems(MIRROR, "r.io/x:1", "r.io/y/z:2", "r.io/team/app:3", "r.io/team/a/b:4") == []


@pytest.mark.parametrize(
    ("tags", "dropped"),
    [
        (TagFilter(include=("1.*",)), ["2.0", "latest"]),
        (TagFilter(semver=(">=2",)), ["1.0", "latest"]),
        (TagFilter(names=("1.0", f"2.0@{digest('r.io/x:2.0')}")), ["latest"]),
        (TagFilter(names=("latest",), include=("2.*",)), ["1.0"]),
        (TagFilter(newest=1, max_age_seconds=1), []),
    ],
)
def test_tag_that_the_filters_drop_is_an_error(tags, dropped):
    """As far as no registry is needed; what is newest, only the registry knows."""
    found = problems(replace(MIRROR, tags=tags), *(f"r.io/x:{tag}" for tag in ("1.0", "2.0", "latest")))

    assert sorted(one.rpartition("r.io/x:")[2] for one in found) == dropped


@pytest.mark.row("LOCK-04")
def test_declared_digest_wins_over_the_lock():
    """In both modes: the digest of `tags.names` was reviewed as well."""
    mirror = replace(MIRROR, tags=TagFilter(names=(f"1@{digest('declared')}",)))

    for checks_tags in (True, False):
        (problem,) = problems(mirror, "r.io/x:1", checks_tags=checks_tags)
        assert problem.startswith("6: r.io/x:1 is declared with the digest")
