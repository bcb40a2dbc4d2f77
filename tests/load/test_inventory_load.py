"""An inventory of many tags takes little memory, and one request per tag."""

from __future__ import annotations

import json

import pytest

from tests import figures
from tests.load.running import quick_registry
from tests.support.effort import effort

_MIB = 1 << 20


@pytest.mark.nightly
def test_inventory_of_many_tags_is_small(workplace):
    """20,000 tags at night: each manifest is read once, within bounds of memory."""
    repositories, tags = effort(3, 10), effort(100, 2000)
    with quick_registry(repositories, tags) as registry:
        workplace.allow_plain_http(registry.host)

        result = workplace.run("inventory", *(f"{registry.host}/load/r{number:04}" for number in range(repositories)), "--out", "inside.json", timeout=1200)

        assert result.code == 0, result.stderr
        asked = registry.counts()
    document = json.loads((workplace.folder / "inside.json").read_bytes())
    assert [len(one["tags"]) for one in document["repositories"]] == [tags] * repositories
    assert document["complete"]
    # A manifest and its list of referrers each.
    assert asked["GET"] <= 2 * repositories * tags + 10 * repositories
    assert result.peak_bytes <= 100 * _MIB
    figures.record(f"memory of an inventory of {repositories * tags:,} tags", round(result.peak_bytes / _MIB), unit="MiB")
