"""Selection of repositories by path."""

from __future__ import annotations

import pytest

from imgsync.filters.repositories import RepositoryFilter
from tests.support.images import image

PATHS = ["library/app", "library/app-canary", "library/hello-world", "team/app", "team/deep/app"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({}, PATHS),
        ({"include": ("library/*",)}, PATHS[:3]),
        ({"include": ("library/**", "team/*")}, PATHS[:4]),
        ({"regex": ("[a-z]+/app",)}, ["library/app", "team/app"]),
        ({"include": ("library/*",), "regex": (".*app.*",)}, PATHS[:2]),
        ({"exclude": ("*/app",)}, ["library/app-canary", "library/hello-world", "team/deep/app"]),
        ({"exclude_regex": (".*-(canary|world)", "team/.*")}, ["library/app"]),
    ],
)
def test_patterns_select_paths(patterns, expected):
    """One of each list that selects is enough; each that excludes removes."""
    rules = RepositoryFilter(**{"include": (), "regex": (), "exclude": (), "exclude_regex": ()} | patterns)

    assert [path for path in PATHS if rules.includes(path)] == expected


def test_patterns_apply_to_listed_repositories(lab):
    """Exact repositories need no pattern, but can be excluded."""
    for path in ("app", "app-canary", "tool", "other"):
        lab.push(path, "1", image((path,)))
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    lab.workplace.mirror(
        "a",
        source={
            "registry": lab.source.host,
            "namespaces": [lab.name],
            "repositories": [f"{lab.name}/other", f"{lab.name}/tool"],
            "include": ["**/app*"],
            "regex": [".*/[a-z-]+"],
            "exclude_regex": [".*-canary", ".*/tool"],
        },
        destinations=[f"{lab.destination}/m"],
    )

    planned = lab.run("plan", "-o", "json")

    assert planned.code == 0, planned.stderr
    assert sorted(change["source"].rpartition("/")[2] for change in planned.json["changes"]) == ["app:1", "other:1"]
