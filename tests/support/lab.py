"""The lab: two registries, a proxy before each, a folder for imgsync."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import FaultProxy
from tests.support.images import Image, pull_raw, push
from tests.support.registry_process import RegistryProcess
from tests.support.run_imgsync import Result, Workplace
from tests.support.witness import assert_served


@dataclass(frozen=True)
class Lab:
    """
    Everything for a test of the whole program, made when first used.

    Repositories of the source are named without the prefix `lab.name`. The destination serves them below `m/`.
    """

    name: str
    """A repository prefix that no other test uses."""
    workplace: Workplace
    """The folder that imgsync runs in, and its files."""
    _request: pytest.FixtureRequest = field(repr=False)

    @cached_property
    def source_registry(self) -> RegistryProcess:
        """The registry to copy from, without a proxy."""
        return self._fixture("registry")

    @cached_property
    def destination_registry(self) -> RegistryProcess:
        """The registry to copy to, without a proxy."""
        return self._fixture("second_registry")

    @cached_property
    def source(self) -> FaultProxy:
        """The proxy before the source registry: records requests, injects faults."""
        return self._fixture("source")

    @cached_property
    def destination(self) -> FaultProxy:
        """The proxy before the destination registry: records requests, injects faults."""
        return self._fixture("destination")

    @cached_property
    def other_host(self) -> FaultProxy:
        """A proxy at 127.0.0.2 before the source registry: must get no credential."""
        return self._fixture("other_host")

    @property
    def folder(self) -> Path:
        """The working folder of imgsync."""
        return self.workplace.folder

    def push(self, repository: object, tag: str, content: Image) -> Image:
        """Push *content* to the source registry; return it."""
        return push(self.source_registry, f"{self.name}/{repository}", tag, content)

    def push_to_destination(self, repository: object, tag: str, content: Image) -> Image:
        """Push *content* to where the mirror of *repository* is; return it."""
        return push(self.destination_registry, f"m/{self.name}/{repository}", tag, content)

    def write(self, path: str, text: str) -> Path:
        """Write a file below the working folder; return its path."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def declare(
        self, repositories: str | Iterable[str], settings: str = "", *, registries: str = "", namespaces: str = "[]", retry: str = "{attempts: 2, interval: 0s}"
    ) -> None:
        """
        Declare one mirror from source to destination, both over plain http.

        Args:
            repositories: Names without the prefix; several in one text are separated by spaces.

            settings: YAML of the mirror.

            registries: YAML added to registries.yaml.

            namespaces: YAML list of the source's namespaces.

            retry: YAML mapping of the retry policy.
        """
        names = repositories.split() if isinstance(repositories, str) else repositories
        listed = ", ".join(f"{self.name}/{one}" for one in names)
        lines = "".join(f"    {line}\n" for line in settings.strip().splitlines())
        self.write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: '{self.source.host}', repositories: [{listed}], namespaces: {namespaces}}}\n"
            f"    destinations: ['{self.destination.host}/m']\n    retry: {retry}\n{lines}",
        )
        plain = f"  {self.source.host}: {{tls: false}}\n  {self.destination.host}: {{tls: false}}\n"
        self.write("registries.yaml", f"version: 1\nregistries:\n{plain}{registries}")

    def run(self, *arguments: str | Path, env: dict[str, str] | None = None, **options: Any) -> Result:
        """Run imgsync to its end; a traceback fails the test."""
        result = self.workplace.run(*arguments, env=env, **options)
        assert "Traceback" not in result.stderr, result.stderr
        return result

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start imgsync; `tests.support.run_imgsync.finish` waits for its end."""
        return self.workplace.start(*arguments, **options)

    def served_tags(self, repository: object) -> list[str]:
        """Return the tags that the destination serves of *repository*."""
        return self.destination_registry.tags(f"m/{self.name}/{repository}")

    def served_digest(self, repository: object, tag: str) -> str | None:
        """Return the digest that the destination serves under *tag*."""
        return self.destination_registry.digest(f"m/{self.name}/{repository}", tag)

    def served_manifest(self, repository: object, reference: str) -> bytes | None:
        """Return the manifest that the destination serves, by tag or digest."""
        return pull_raw(self.destination_registry, f"m/{self.name}/{repository}", reference)

    def assert_served(self, repository: object, tag: str, content: Image) -> None:
        """Assert that the destination serves *content* byte for byte."""
        assert_served(self.destination_registry, f"m/{self.name}/{repository}", tag, content)

    def _fixture(self, name: str) -> Any:
        return self._request.getfixturevalue(name)
