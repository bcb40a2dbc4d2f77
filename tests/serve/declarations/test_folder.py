"""Follow a folder: whole files only, and what changes in other ways than by writing."""

from __future__ import annotations

import os

import pytest

from imgsync.config.load import load_config
from imgsync.serve.declarations.folder import FolderFollower

_HEAD = "version: 1\nmirrors:\n  - name: a\n    source: s.io/app\n    destinations: [d.io/m]\n    tags:\n      names:\n"


@pytest.fixture
def follower(tmp_path, monkeypatch):
    """A follower of mirrors.d, which declares one tag."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirrors.d").mkdir()
    write(tmp_path, ["1.0"])
    follower = FolderFollower(["mirrors.d"], lambda paths, **_: (load_config(paths, registries=None, environ={}), None), others=["registries.yaml"])
    assert names(follower.poll()) == ("1.0",)
    assert follower.poll() is None
    return follower


def write(folder, tags):
    """Write a declaration of *tags*."""
    (folder / "mirrors.d/a.yaml").write_text(_HEAD + "".join(f'        - "{tag}"\n' for tag in tags))


def names(declarations):
    """Return the names of the tags of the mirror."""
    return names_of(declarations.config)


def names_of(config):
    """Return the names of the tags of its mirror."""
    return config.mirrors[0].tags.names


def test_file_is_read_once_it_rests(follower, tmp_path):
    """A file that grows is valid at each line; its first half is not what is wanted."""
    for count in range(2, 6):
        write(tmp_path, [f"{number}.0" for number in range(count)])
        assert follower.poll() is None
    assert follower.interval_seconds < 3
    assert len(names(follower.poll())) == 5
    assert follower.interval_seconds == 3
    assert follower.poll() is None


def test_file_that_never_rests_is_read_all_the_same(follower, tmp_path):
    """A log in the folder holds nothing up for ever."""
    write(tmp_path, ["2.0"])
    found = []
    for number in range(12):
        (tmp_path / "mirrors.d/log.txt").write_text("x" * number)
        found += [one for one in [follower.poll()] if one is not None]
    assert [names(one) for one in found] == [("2.0",)]


def test_file_that_is_replaced_during_the_reading_is_read_again(follower, tmp_path):
    """What was read may be half old and half new."""
    write(tmp_path, ["2.0"])
    assert follower.poll() is None
    load = follower._load

    def load_late(paths, **options):
        loaded = load(paths, **options)
        write(tmp_path, ["3.0", "3.1"])
        return loaded

    follower._load = load_late
    assert follower.poll() is None
    follower._load = load
    assert follower.poll() is None
    assert names(follower.poll()) == ("3.0", "3.1")


def test_file_that_changes_during_the_first_reading_is_read_again(tmp_path, monkeypatch):
    """Also if registries.yaml names files of secrets, which are followed from then on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirrors.d").mkdir()
    (tmp_path / "password").write_text("secret")
    (tmp_path / "registries.yaml").write_text("version: 1\nregistries: {d.io: {credentials: {username: me, password: {file: password}}}}\n")
    write(tmp_path, ["1.0"])

    def load_late(paths, **_):
        loaded = load_config(paths, registries="registries.yaml", environ={})
        if names_of(loaded) == ("1.0",):
            write(tmp_path, ["2.0"])
        return loaded, None

    follower = FolderFollower(["mirrors.d"], load_late, others=["registries.yaml"])
    assert names(follower.poll()) == ("1.0",)
    assert follower.poll() is None
    assert names(follower.poll()) == ("2.0",)
    assert follower.poll() is None


def test_file_of_the_same_age_and_size_counts_as_changed(follower, tmp_path):
    """As `rsync --times` or `cp --preserve` leave it."""
    file = tmp_path / "mirrors.d/a.yaml"
    facts = file.stat()
    write(tmp_path, ["9.9"])
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert follower.poll() is None
    assert names(follower.poll()) == ("9.9",)


def test_error_that_is_mended_elsewhere_is_noticed(follower, tmp_path):
    """The certificate comes back, and no file of the declarations changes."""
    authority = tmp_path / "ca.pem"
    (tmp_path / "registries.yaml").write_text("version: 1\nregistries: {d.io: {tls: {ca: ca.pem}}}\n")
    assert follower.poll() is None
    assert "no such file" in follower.poll().errors[0].message
    assert [follower.poll() for _ in range(15)] == [None] * 15
    authority.write_text("")
    found = [one for one in (follower.poll() for _ in range(12)) if one is not None]
    assert [names(one) for one in found] == [("1.0",)]


def test_folder_that_is_gone_and_comes_back_is_read_again(follower, tmp_path):
    """As while a volume is mounted anew."""
    (tmp_path / "mirrors.d").rename(tmp_path / "away")
    assert follower.poll() is None
    assert follower.poll().config is None
    (tmp_path / "away").rename(tmp_path / "mirrors.d")
    assert follower.poll() is None
    assert names(follower.poll()) == ("1.0",)
