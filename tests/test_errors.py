"""Every error says what to do next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imgsync.errors import ImgsyncError, InsecureError, NotFoundError, RegistryError


def classes(base: type[ImgsyncError] = ImgsyncError) -> Iterator[type[ImgsyncError]]:
    """Yield *base* and all classes below it."""
    yield base
    for below in base.__subclasses__():
        yield from classes(below)


@pytest.mark.parametrize("kind", list(classes()), ids=lambda kind: kind.__name__)
def test_each_class_has_a_remedy(kind):
    """In words that fit behind a message: one sentence without a capital or a full stop."""
    assert len(kind.remedy.split()) >= 4
    assert not kind.remedy[0].isupper()
    assert not kind.remedy.endswith(".")


def test_hint_has_priority_over_the_remedy():
    """The remedy is for errors that have no hint."""
    assert NotFoundError("pull", "r.io/app", origin="source").advice == NotFoundError.remedy
    assert NotFoundError("pull", "r.io/app", origin="source", hint="log in").advice == "log in"


def test_each_error_of_registries_has_its_own_remedy():
    """None falls back to that of all errors."""
    assert [kind.__name__ for kind in classes(RegistryError) if kind is not RegistryError and kind.remedy == ImgsyncError.remedy] == []
    assert InsecureError.remedy.startswith("nothing was sent there")
