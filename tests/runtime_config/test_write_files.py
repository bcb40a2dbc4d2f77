"""Files are written below the folder, all of them or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgsync.errors import UsageError
from imgsync.runtime_config.write_files import write_files

FILES = {"certs.d/docker.io/hosts.toml": "one\n", "certs.d/quay.io/hosts.toml": "two\n"}


def list_files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_are_written_and_the_same_ones_stay(tmp_path: Path):
    """A second run with the same declarations changes nothing."""
    out = tmp_path / "new" / "out"

    assert write_files(FILES, str(out)) == tuple(str(out / name) for name in FILES)
    before = {name: (out / name).stat() for name in FILES}
    write_files(FILES, str(out))

    assert list_files(out) == FILES
    assert {name: (out / name).stat() for name in FILES} == before


def test_pipe_in_the_place_of_a_file_is_not_read(tmp_path: Path):
    """To open it would wait forever."""
    place = tmp_path / "certs.d/quay.io/hosts.toml"
    place.parent.mkdir(parents=True)
    os.mkfifo(place)

    with pytest.raises(UsageError, match=r"quay\.io/hosts\.toml already exists"):
        write_files(FILES, str(tmp_path))


def test_file_with_another_text_is_not_overwritten(tmp_path: Path):
    """Nothing else is written either."""
    write_files({"certs.d/quay.io/hosts.toml": "mine\n"}, str(tmp_path))

    with pytest.raises(UsageError, match=r"quay\.io/hosts\.toml already exists"):
        write_files(FILES, str(tmp_path))

    assert list_files(tmp_path) == {"certs.d/quay.io/hosts.toml": "mine\n"}


@pytest.mark.parametrize("link", ["certs.d", "certs.d/docker.io", "certs.d/docker.io/hosts.toml"])
@pytest.mark.row("NODE-03")
def test_links_below_the_folder_are_refused(link: str, tmp_path: Path):
    """They may lead to any place of the machine."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / link).parent.mkdir(parents=True)
    (out / link).symlink_to(elsewhere if "hosts" not in link else elsewhere / "new.toml")

    with pytest.raises(UsageError, match="is a symbolic link; nothing was written"):
        write_files(FILES, str(out))

    assert list(elsewhere.iterdir()) == []


def test_error_leaves_nothing_half_written(tmp_path: Path):
    """What was written before it is removed again."""
    (tmp_path / "certs.d").mkdir()
    (tmp_path / "certs.d" / "quay.io").write_text("a file where a folder is needed")

    with pytest.raises(UsageError, match="cannot be written"):
        write_files(FILES, str(tmp_path))

    assert list_files(tmp_path) == {"certs.d/quay.io": "a file where a folder is needed"}
