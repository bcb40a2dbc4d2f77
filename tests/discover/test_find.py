"""Files and folders: which are read, in which order, and what is said of the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsync.discover.find import find_images
from imgsync.discover.model import FoundImage, SkippedInput
from tests.discover.finds import brief, skipped

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n    - image: nginx:1.27\n"
NGINX = "docker.io/library/nginx:1.27"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def files_of(found: Iterator[FoundImage | SkippedInput], folder: Path) -> list[str]:
    return [os.path.relpath(one.file, folder) for one in found]


def test_folder_is_read_in_the_order_of_names(tmp_path):
    """Files of a folder first, then the folders in it; only files that a reader knows."""
    write(
        tmp_path,
        {
            "b.yaml": POD,
            "a.yml": POD,
            "z/c.json": '{"kind": "Pod", "spec": {"containers": [{"image": "a:1"}]}}',
            "d/Dockerfile": "FROM b:1\n",
            "notes.txt": "image: c:1",
        },
    )

    assert files_of(find_images([str(tmp_path)]), tmp_path) == ["a.yml", "b.yaml", "d/Dockerfile", "z/c.json"]


def test_hidden_files_are_left_out_but_for_those_of_ci(tmp_path):
    """And so are the packages of Node."""
    names = (".git/a.yaml", ".hidden.yaml", "node_modules/x/a.yaml", ".github/a.yaml", ".gitlab-ci.yml", "sub/.gitlab/a.yaml")
    write(tmp_path, dict.fromkeys(names, POD))

    assert files_of(find_images([str(tmp_path)]), tmp_path) == [".gitlab-ci.yml", ".github/a.yaml", "sub/.gitlab/a.yaml"]


def test_standard_input_is_a_dash():
    """It is read when it is its turn."""
    assert brief(find_images(["-"], read_stdin=POD.encode)) == [(NGINX, "sure", 6)]
    assert [one.file for one in find_images(["-"], read_stdin=POD.encode)] == ["-"]


def test_file_that_is_given_is_read_whatever_its_name(tmp_path):
    """By what is in it."""
    write(tmp_path, {"pod.txt": POD, "build": "ARG A=1\nFROM alpine:3\n", "notes.txt": "nothing to see\n"})

    assert brief(find_images([str(tmp_path / "pod.txt"), str(tmp_path / "build")])) == [(NGINX, "sure", 6), ("docker.io/library/alpine:3", "sure", 2)]
    assert "names images" in skipped(find_images([str(tmp_path / "notes.txt")]))[0].message


def test_input_that_cannot_be_read_is_reported_and_the_rest_is_read(tmp_path):
    """A missing file, a binary one, YAML with an error."""
    write(tmp_path, {"a.yaml": "a: [\n", "b.yaml": POD})
    (tmp_path / "c.yaml").write_bytes(b"image: a:1\0\0")

    found = list(find_images([str(tmp_path / "none.yaml"), str(tmp_path)]))

    assert [(Path(one.file).name, one.line) for one in skipped(found)] == [("none.yaml", 0), ("a.yaml", 2), ("c.yaml", 0)]
    assert brief(found) == [(NGINX, "sure", 6)]


@pytest.mark.row("DISC-10")
def test_links_are_not_followed_out_of_the_folder(tmp_path):
    """A link within it is read as the file that it names; a folder only once."""
    write(tmp_path, {"outside/secret.yaml": POD, "k8s/a/real.yaml": POD})
    folder = tmp_path / "k8s"
    (folder / "out.yaml").symlink_to(tmp_path / "outside" / "secret.yaml")
    (folder / "in.yaml").symlink_to(folder / "a" / "real.yaml")
    (folder / "loop").symlink_to(folder)
    (folder / "away").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe.yaml")

    found = list(find_images([str(folder)]))

    assert [(os.path.relpath(one.file, folder), type(one).__name__) for one in found] == [
        ("in.yaml", "FoundImage"),
        ("out.yaml", "SkippedInput"),
        ("a/real.yaml", "FoundImage"),
    ]


@pytest.mark.parametrize(("name", "hook"), [("Chart.yaml", "read_chart"), ("kustomization.yml", "read_kustomization")])
def test_folder_that_has_to_be_rendered_is_left_to_its_program(name, hook, tmp_path):
    """Its templates are not read as YAML; without the program it is reported."""
    write(tmp_path, {f"app/{name}": "name: app\n", "app/templates/a.yaml": POD, "b.yaml": POD})
    asked = []

    def render(folder: str) -> Iterator[SkippedInput]:
        asked.append(folder)
        yield SkippedInput(folder, 0, "rendered")

    assert files_of(find_images([str(tmp_path)], **{hook: render}), tmp_path) == ["b.yaml", "app"]
    assert asked == [str(tmp_path / "app")]
    assert "rendered" in skipped(find_images([str(tmp_path / "app")]))[0].message


def test_utf_16_of_powershell_is_read(tmp_path):
    """`kubectl … > file` writes it on Windows."""
    (tmp_path / "a.yaml").write_bytes(POD.encode("utf-16"))

    assert brief(find_images([str(tmp_path)])) == [(NGINX, "sure", 6)]


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "none.yaml", ""])
def test_impossible_name_is_reported(name):
    """Too long for the system, or with a NUL: the others are still read."""
    assert skipped(find_images([name]))[0].file == name
