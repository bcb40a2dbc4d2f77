"""docs/how-to/many-machines.md: its files are valid, and what they run exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.rabbitmq import read_permissions
from tests.test_docs import check

_PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "many-machines.md").read_text(encoding="utf-8")
_FILES = [yaml.safe_load(block) for block in re.findall(r"```yml\n(.*?)```", _PAGE, re.DOTALL)]


def _containers(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each container of compose or Kubernetes that runs imgsync."""
    if isinstance(value, dict):
        if "/imgsync" in str(value.get("image", "")):
            yield value
        for inner in value.values():
            yield from _containers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _containers(inner)


def test_containers_run_valid_commands(monkeypatch):
    """Two of compose and two of Kubernetes; a worker's grace fits into the time that it gets."""
    found = [container.get("command") or container["args"] for container in _containers(_FILES)]

    assert [words[0] for words in found] == ["worker", "apply", "worker", "apply"]
    for words in found:
        check([str(word) for word in words])
        assert words[words.index("--grace") + 1] == "45s"


def test_commands_give_the_permissions_of_the_table():
    """For both users, in the order configure, write, read."""
    lines = [shlex.split(line) for line in re.findall(r"^\$ (rabbitmqctl set_permissions .*)$", _PAGE, re.MULTILINE)]

    assert {words[4]: words[5:] for words in lines} == {user: list(some.values()) for user, some in read_permissions().items()}


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_pods_are_restricted_and_have_their_volumes(kind):
    """They run without rights, and mount only what the pod has."""
    manifest = next(one for one in _FILES if one.get("kind") == kind)
    template = manifest["spec"]["template"] if kind == "Deployment" else manifest["spec"]["jobTemplate"]["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["terminationGracePeriodSeconds"] == 60
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
