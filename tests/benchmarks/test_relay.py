"""The relay copies what it is timed for: the same image, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.images import image, push
from tests.support.registry_process import running_registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def large_image(tmp_path_factory):
    """One image with a layer of several pieces, and the registry that has it."""
    with running_registry(tmp_path_factory.mktemp("relay-source")) as source:
        yield source, push(source.host, "large/app", "v1", image("relay", layers=1, layer_bytes=(3 << 20) + 17))


@pytest.mark.parametrize(("options", "count"), [([], 2), (["--splice"], 1)])
def test_relay_copies_to_all_destinations(large_image, tmp_path, options, count):
    """By `recv_into` to several, by `splice` to one."""
    source, content = large_image
    (tmp_path / "tags.json").write_text(json.dumps([["large/app", "v1"]]))
    with running_registry(tmp_path / "0") as first, running_registry(tmp_path / "1") as second:
        hosts = [first.host, second.host][:count]
        command = [sys.executable, "-S", str(ROOT / "benchmarks/relay.py"), *options, str(tmp_path / "tags.json"), source.host, *hosts]
        subprocess.run(command, check=True, timeout=60)

        assert [one.digest("large/app", "v1") for one in (first, second)][:count] == [content.digest] * count
