"""Fixtures of crash tests: one source for all, a scene for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.harness import Scene, World, scene
from tests.support.registry_process import RegistryProcess


@pytest.fixture(scope="session")
def world(registry: RegistryProcess, second_registry: RegistryProcess, keeping_registry: RegistryProcess, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return the source, after one undisturbed copy that counts its requests."""
    made = World(registry, (second_registry, keeping_registry))
    with scene(made, tmp_path_factory.mktemp("reference")) as reference:
        counted = reference.count_requests()
        running = reference.start()
        assert running.end().code == 0
        made.requests = counted.count
        reference.check(done=True)
    return made


@pytest.fixture
def new_scene(world: World, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Return a function that makes scenes, one at a time."""
    with ExitStack() as stack:

        def make(**options: bool) -> Scene:
            stack.close()
            return stack.enter_context(scene(world, tmp_path, **options))

        yield make
