"""Warnings about valid declarations: exact text and place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from imgsync.config.load import load_config


def warn(folder, *mirrors, name="a.yaml"):
    """Return the warnings about *mirrors*, one a line from line 3."""
    lines = [json.dumps({"name": f"m{number}", **one}) for number, one in enumerate(mirrors)]
    (folder / name).write_text("version: 1\nmirrors:\n" + "".join(f"  - {line}\n" for line in lines))
    (folder / "registries.yaml").write_text("version: 1\n")
    config = load_config([str(folder / name)], registries=str(folder / "registries.yaml"), environ={})
    return [str(warning).replace(f"{folder}/", "") for warning in config.warnings]


def mirror(source, destination="r.io/m", **settings):
    if isinstance(source, tuple):
        source = {"registry": source[0], "namespaces": [source[1]]}
    return {"source": source, "destinations": [destination], **settings}


def to(repository, **settings):
    return {"registry": "r.io", "repository": repository, **settings}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (mirror("a.io/x/app"), mirror("b.io/x/app"), "b.io/x/app can be written to r.io/m/x/app, as a.io/x/app by the mirror 'm0' at a.yaml:3"),
        (mirror(("a.io", "x")), mirror("b.io/x/app"), "b.io/x/app can be written to r.io/m/x/app, as a.io/x/* by the mirror 'm0' at a.yaml:3"),
        (mirror(("a.io", "x")), mirror(("b.io", "x")), "b.io/x/* can be written to r.io/m/x/*, as a.io/x/* by the mirror 'm0' at a.yaml:3"),
        (mirror(("a.io", "")), mirror("b.io/x/app"), "b.io/x/app can be written to r.io/m/x/app, as a.io/* by the mirror 'm0' at a.yaml:3"),
        (
            mirror("a.io/x/app", to("k/{name}")),
            mirror("a.io/y/app", to("k/{name}")),
            "a.io/y/app can be written to r.io/k/app, as a.io/x/app by the mirror 'm0' at a.yaml:3",
        ),
        (
            mirror(("a.io", "x"), to("k/{relative}")),
            mirror(("a.io", "y"), to("k/{relative}")),
            "a.io/y/* can be written to r.io/k/*, as a.io/x/* by the mirror 'm0' at a.yaml:3",
        ),
        (
            mirror(("a.io", "x"), to("k/{flat}")),
            mirror("b.io/z/y", to("k/x_y")),
            "b.io/z/y can be written to r.io/k/x_y, as a.io/x/* by the mirror 'm0' at a.yaml:3",
        ),
        (
            mirror("a.io/x/app", platforms=["linux/amd64"]),
            mirror("a.io/x/app", platforms=["linux/arm64"]),
            "a.io/x/app can be written to r.io/m/x/app, as a.io/x/app by the mirror 'm0' at a.yaml:3",
        ),
    ],
)
def test_mirrors_that_can_write_one_repository_are_a_warning(first, second, said, tmp_path):
    """With both places, once for each two."""
    (warning,) = warn(tmp_path, first, second)

    place, _, rest = warning.partition(": ")
    assert place.startswith("a.yaml:4:")
    assert rest == f"mirrors[1].destinations[0]: {said} (give each mirror a namespace of its own)"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (mirror("a.io/x/app"), mirror("a.io/x/app", tags={"newest": 3})),
        (mirror(("a.io", "x")), mirror("a.io/x/app")),
        (mirror("a.io/x/app"), mirror("b.io/y/app")),
        (mirror(("a.io", "x")), mirror(("b.io", "y"))),
        (mirror(("a.io", "x")), mirror(("b.io", "xy"))),
        (mirror("a.io/x/app"), mirror("b.io/x/app", "r.io/n")),
        (mirror("a.io/x/app"), mirror("b.io/x/app", suspend=True)),
        (mirror("a.io/x/app", to("k/{registry}/{path}")), mirror("b.io/x/app", to("k/{registry}/{path}"))),
        (mirror("a.io/x/app", to("k", tag="app-{tag}")), mirror("a.io/x/web", to("k", tag="web-{tag}"))),
        (mirror("a.io/x/app", tags={"names": ["1"]}), mirror("b.io/x/app", tags={"names": ["2"]})),
        (mirror(("a.io", "x"), to("k/{name}-a")), mirror(("a.io", "y"), to("k/{name}-b"))),
    ],
)
def test_mirrors_that_cannot_disturb_each_other_are_no_warning(first, second, tmp_path):
    """Other repositories or tags, or the same image."""
    assert warn(tmp_path, first, second) == []


def test_warning_names_the_other_file(lab):
    """`validate` prints it, exits with 0, and annotates it in GitHub Actions."""
    for name, registry in (("a", "a.io"), ("b", "b.io")):
        lab.write(f"mirrors.d/{name}.yaml", f"version: 1\nmirrors:\n  - name: {name}\n    source: {registry}/x/app\n    destinations:\n      - r.io/m\n")

    ran = lab.run("validate", env={"GITHUB_ACTIONS": "true"})

    said = "mirrors[0].destinations[0]: b.io/x/app can be written to r.io/m/x/app, as a.io/x/app by the mirror 'a' at mirrors.d/a.yaml:6"
    assert (ran.code, ran.stdout) == (0, "2 files, 2 mirrors, 1 destination: 1 warning.\n")
    assert ran.stderr.splitlines() == [
        f"warning: mirrors.d/b.yaml:6:9: {said} (give each mirror a namespace of its own)",
        "::group::imgsync annotations",
        f"::warning file=mirrors.d/b.yaml,line=6,col=9,title=imgsync::{said} (give each mirror a namespace of its own)",
        "::endgroup::",
    ]


def test_example_of_the_readme_validates(lab):
    """Both files as they are, without the variables; one warning each."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lab.write("mirrors.d/kubernetes.yaml", next(block for block in blocks if "name: kubernetes" in block))
    lab.write("registries.yaml", next(block for block in blocks if "registries:" in block))

    ran = lab.run("validate")

    assert (ran.code, ran.stdout) == (0, "1 file, 1 mirror, 1 destination: 2 warnings.\n")
    assert [line.split(": ", 2)[2] for line in ran.stderr.splitlines()] == [
        f"registries.registry.aliyuncs.com.credentials.{setting}: the environment variable {name} is not set (set it, or write ${{{name}:-default}})"
        for setting, name in (("username", "ALIYUN_USER"), ("password", "ALIYUN_PASSWORD"))
    ]
