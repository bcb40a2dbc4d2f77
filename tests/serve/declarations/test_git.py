"""Declarations in a git repository are followed, whatever happens to it."""

from __future__ import annotations

import os
import shutil
import stat

import pytest

from imgsync.config.git_settings import GitSettings
from imgsync.config.load import load_config
from imgsync.errors import UsageError
from imgsync.serve.declarations.follower import Declarations
from imgsync.serve.declarations.git import GitFollower, GitTarget
from imgsync.serve.declarations.git_command import GitAccess, GitError, GitLimits
from imgsync.serve.declarations.git_url import check_git_path, check_git_ref, parse_git_url
from tests.support.effort import effort


def names(found: Declarations | None) -> list[str] | None:
    return None if found is None or found.config is None else [mirror.name for mirror in found.config.mirrors]


def test_each_commit_is_read_once(repository, follow):
    """Files are named as in the repository; other branches are not followed."""
    first = repository.commit()
    follower = follow(repository.url)
    found = follower.poll()
    assert (names(found), found.revision, found.errors, found.fault) == (["one"], first, (), "")
    assert found.config.mirrors[0].file == "mirrors.d/a.yaml"
    assert found.config.files == ("mirrors.d/a.yaml",)
    assert found.config.is_complete
    assert follower.poll() is None

    repository.git("checkout", "--quiet", "-b", "other")
    repository.declare("two")
    repository.commit()
    assert follower.poll() is None
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "other")

    assert names(follower.poll()) == ["two"]
    assert names(follower.poll(must_read=True)) == ["two"]


@pytest.mark.parametrize("ref", ["v1", "v2", "refs/tags/v2", "refs/heads/main"])
def test_tags_and_whole_names_are_followed(ref, repository, follow):
    """Of an annotated tag, its commit."""
    commit = repository.commit()
    repository.git("tag", "v1")
    repository.git("tag", "--annotate", "--message", "x", "v2")

    assert follow(repository.url, ref=ref).poll().revision == commit


def test_single_file_and_several_paths_are_read(repository, follow):
    """A file beside that declares others makes the configuration incomplete."""
    repository.declare("two", file="team/b.yaml")
    repository.declare("three", file="team/c.yml")
    repository.write("team/deep/d.yaml", "not read")
    repository.commit()

    assert names(follow(repository.url, paths=("mirrors.d", "team")).poll()) == ["one", "two", "three"]
    found = follow(repository.url, paths=("team/b.yaml",)).poll()
    assert (names(found), found.config.is_complete) == (["two"], False)


def test_broken_commit_keeps_the_last_good_one(repository, follow):
    """With file and line, again after a start; the next commit mends it."""
    good = repository.commit()
    follower = follow(repository.url)
    follower.poll()
    repository.write("mirrors.d/a.yaml", "version: 1\nmirrors:\n  - {name: one, sauce: x}\n")
    broken = repository.commit()

    found = follower.poll()

    assert (found.config, found.revision) == (None, broken)
    assert {(error.file, error.line) for error in found.errors} == {("mirrors.d/a.yaml", 3)}
    assert follower.poll() is None, "it is not read again"
    again = follow(repository.url).poll()
    assert (names(again), again.revision, again.failed_revision, again.errors) == (["one"], good, broken, found.errors)

    repository.declare("two")
    repository.commit()
    assert names(follow(repository.url).poll()) == ["two"]


@pytest.mark.row("GITS-06")
def test_branch_that_is_gone_is_a_fault_until_it_is_back(repository, follow):
    """As is a repository; a start begins with the last good commit, and says why."""
    commit = repository.commit()
    follower = follow(repository.url)
    follower.poll()
    repository.git("branch", "--move", "main", "renamed")
    with pytest.raises(GitError, match="there is no branch or tag main"):
        follower.poll()
    repository.git("branch", "--move", "renamed", "main")
    assert follower.poll() is None
    away = repository.folder.with_name("away")
    repository.folder.rename(away)

    with pytest.raises(GitError, match="repository"):
        follower.poll()
    known = follower.poll(must_read=True)
    begun = follow(f"file://{repository.folder}").poll()

    for found in (known, begun):
        assert (names(found), found.revision) == (["one"], commit)
        assert str(repository.folder) in found.fault
    away.rename(repository.folder)
    repository.declare("two")
    repository.commit()
    assert names(follow(repository.url).poll()) == ["two"]


@pytest.mark.row("GITS-06")
def test_rewritten_branch_is_followed_with_a_note(repository, follow, log):
    """A push of several commits is none."""
    repository.commit()
    follower = follow(repository.url)
    follower.poll()
    for name in ("two", "three"):
        repository.declare(name)
        before = repository.commit()
    assert names(follower.poll()) == ["three"]
    assert log == []

    repository.git("reset", "--quiet", "--hard", "HEAD~2")
    repository.declare("other")
    commit = repository.commit("another")

    assert names(follower.poll()) == ["other"]
    assert log == [("declarations.rewritten", {"before": before, "revision": commit})]


def test_locks_are_read_beside_the_declarations(repository, follow):
    """Missing ones are named as in the repository."""
    repository.write("mirrors.d/a.yaml", "version: 1\nmirrors:\n  - {name: one, source: s.example/one, destinations: [r.example/m]}\n")
    repository.commit()
    follower = follow(repository.url, lock_folder="mirrors.lock")
    assert [error.file for error in follower.poll().errors] == ["mirrors.lock/one.yaml"]


def test_folder_is_private(repository, follow, tmp_path):
    """Declarations may be those of a private repository."""
    repository.commit()
    follow(repository.url).poll()

    (place,) = (tmp_path / "state").glob("*/0")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.row("GITS-01")
def test_nothing_of_the_repository_or_the_user_is_run(repository, follow, tmp_path):
    """Neither hooks, filters, monitors, submodules and included settings, nor what the user's settings name."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\nexit 1\n")
    trap.chmod(0o755)
    settings = (
        f"[core]\n\tfsmonitor = {trap}\n\thooksPath = {tmp_path}/hooks\n\tsshCommand = {trap}\n\tpager = {trap}\n\tattributesFile = .gitattributes\n"
        f'[filter "x"]\n\tsmudge = {trap}\n\tclean = {trap}\n\tprocess = {trap}\n[diff "x"]\n\ttextconv = {trap}\n[credential]\n\thelper = !{trap}\n'
        f'[alias]\n\tls-remote = !{trap}\n\tfetch = !{trap}\n[url "ext::{trap} "]\n\tinsteadOf = {repository.url}\n'
        f"[protocol]\n\tallow = always\n[include]\n\tpath = {tmp_path}/inc\n"
    )
    home = tmp_path / "evil-home"
    home.mkdir()
    for name in (".gitconfig", "../inc"):
        (home / name).write_text(settings.partition("[include]")[0])
    (tmp_path / "hooks").mkdir()
    repository.write(".gitattributes", "* filter=x diff=x ident\n")
    repository.write("mirrors.d/.gitattributes", "* filter=x\n")
    repository.write(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ext::{trap}\n\tupdate = !{trap}\n')
    commit = repository.commit()
    for hook in ("post-checkout", "post-merge", "reference-transaction", "post-index-change", "pre-receive", "upload-pack"):
        shutil.copy(trap, tmp_path / "hooks" / hook)
        shutil.copy(trap, repository.folder / ".git" / "hooks" / hook)

    found = follow(
        repository.url, environ={"HOME": str(home), "XDG_CONFIG_HOME": str(home), "GIT_SSH_COMMAND": str(trap), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    ).poll()

    assert (names(found), found.revision) == (["one"], commit)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.row("GITS-04")
def test_links_and_submodules_are_refused_by_name(repository, follow, tmp_path):
    """Nothing outside of the commit is read."""
    (tmp_path / "secret.yaml").write_text("version: 1\n")
    (repository.folder / "mirrors.d/link.yaml").symlink_to(tmp_path / "secret.yaml")
    repository.git("add", "--all", ".")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},mirrors.d/module.yaml")
    repository.git("commit", "--quiet", "--message", "x")

    found = follow(repository.url).poll()

    assert [(error.file, error.message) for error in found.errors] == [
        ("mirrors.d/link.yaml", "symbolic links are not followed"),
        ("mirrors.d/module.yaml", "not a regular file"),
    ]


@pytest.mark.row("GITS-04")
def test_folder_that_is_a_link_is_not_followed(repository, follow):
    """Whether it is the path itself or a part of it."""
    (repository.folder / "link").symlink_to("mirrors.d")
    repository.commit()

    assert follow(repository.url, paths=("link",)).poll().errors[0].message == "symbolic links are not followed"
    assert follow(repository.url, paths=("link/a.yaml",)).poll().errors[0].message == "no such file or folder in this commit"


@pytest.mark.row("GITS-04")
@pytest.mark.parametrize(
    "name",
    [
        "../../escaped.yaml",
        "/tmp/escaped.yaml",
        "a/../../escaped.yaml",
        "x\x1b[2J.yaml",
        "line\nbreak.yaml",
        "\udcff.yaml",
        "\u202ex.yaml",
        "x" * 300 + ".yaml",
    ],
)
def test_odd_names_are_refused_and_write_nowhere(name, repository, follow, tmp_path):
    """Names that git would not make, but a server may send."""
    blob = repository.blob(b"version: 1\n")
    repository.commit_tree({name: ("100644", blob)})

    found = follow(repository.url).poll()

    assert [error.message for error in found.errors] == ["a name with odd characters"]
    assert all(error.file.isprintable() for error in found.errors)
    assert list(tmp_path.rglob("escaped.yaml")) == []


@pytest.mark.row("GITS-04")
@pytest.mark.parametrize("name", ["..", ".", ".git", ".hidden.yaml"])
def test_names_that_are_no_declarations_are_ignored(name, repository, follow):
    """The others are read."""
    commit = repository.commit_tree(
        {name: ("100644", repository.blob(b"x")), "a.yaml": ("100644", repository.blob((repository.folder / "mirrors.d/a.yaml").read_bytes()))}
    )

    found = follow(repository.url).poll()

    assert (names(found), found.revision) == (["one"], commit)


@pytest.mark.row("GITS-03")
def test_large_files_are_refused_unread(repository, follow):
    """Other files of the repository may be large."""
    repository.write("mirrors.d/large.yaml", "#" * (9 << 20))
    repository.write("large.bin", "0" * (20 << 20))
    repository.commit()

    assert [(error.file, error.message) for error in follow(repository.url).poll().errors] == [("mirrors.d/large.yaml", "larger than 8.0 MiB")]


@pytest.mark.row("GITS-03")
def test_folder_of_very_many_files_is_refused(repository, follow):
    """A hundred thousand declarations are no declarations; as many others do not matter."""
    blob = repository.blob(b"version: 1\n")
    many = {f"{number:06}.yaml": ("100644", blob) for number in range(effort(20_000, 100_000))}
    repository.commit_tree(many)
    assert "more than 10000 files" in follow(repository.url).poll().errors[0].message

    others = {name.replace(".yaml", ".txt"): one for name, one in many.items()}
    own = repository.blob((repository.folder / "mirrors.d/a.yaml").read_bytes())
    repository.commit_tree({**others, "a.yaml": ("100644", own)})
    assert names(follow(repository.url).poll()) == ["one"]


@pytest.mark.row("GITS-03")
def test_repository_that_is_too_large_is_given_up(repository, follow):
    """With what to do about it; the file that git wrote is gone."""
    (repository.folder / "large.bin").write_bytes(os.urandom(4 << 20))
    repository.commit()

    with pytest.raises(GitError) as raised:
        follow(repository.url, limits=GitLimits(file_bytes=1 << 20)).poll()

    assert repository.url in raised.value.message


@pytest.mark.row("GITS-03")
def test_disk_stays_bounded_over_many_commits(repository, follow, tmp_path):
    """Old commits and versions are removed, also those that were broken."""
    repository.commit()
    follower = follow(repository.url)
    sizes = []
    for number in range(effort(40, 2000)):
        repository.declare(f"m{number}")
        repository.write("other.txt", f"{number} " * 2000)
        if number % 3 == 0:
            repository.write("mirrors.d/a.yaml", f"broken: {number}\n")
        repository.commit()
        follower.poll()
        sizes.append(sum(path.lstat().st_size for path in (tmp_path / "state").rglob("*")))

    assert max(sizes) < 2 << 20
    assert len(list((tmp_path / "state").rglob("*.pack"))) <= 25
    assert len(list((tmp_path / "state").glob("*/*/versions/*"))) <= 2


def test_interrupted_fetch_is_repeated(repository, follow, tmp_path):
    """A lock or half a file that a killed process left does not stop it for ever."""
    repository.commit()
    follow(repository.url).poll()
    (objects,) = (tmp_path / "state").glob("*/*/objects.git")
    (objects / "shallow.lock").touch()
    (objects / "objects/pack/tmp_pack_x").write_bytes(b"x")
    repository.declare("two")
    repository.commit()

    assert names(follow(repository.url).poll()) == ["two"]

    shutil.rmtree(objects / "objects")
    repository.declare("three")
    repository.commit()
    assert names(follow(repository.url).poll()) == ["three"]


def test_two_processes_have_a_place_each(repository, log, tmp_path):
    """They may share the folder of a state."""
    repository.commit()
    access = GitAccess(GitSettings, os.environ)
    one, two = (
        GitFollower(
            GitTarget(repository.url),
            tmp_path / "shared",
            lambda paths, **_: (load_config(paths, registries=None, environ={}), None),
            access=access,
            log=log,
        )
        for _ in range(2)
    )

    assert names(one.poll()) == names(two.poll()) == ["one"]
    one.close()
    two.close()
    assert len(list((tmp_path / "shared").glob("*/*/versions"))) == 2


@pytest.mark.row("GITS-07")
@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("ext::sh -c true", "write https://"),
        ("--upload-pack=touch x", "write https://"),
        ("-oProxyCommand=x:y", "write https://"),
        ("ssh://-oProxyCommand=x/y", "write https://"),
        ("-u@host:path", "write https://"),
        ("https://user:hidden1@host/path", "serve.git"),
        ("https://token@host/path", "serve.git"),
        ("ssh://user:hidden1@host/path", "serve.git"),
        ("http://host/path", "use https"),
        ("git://host/path", "use https"),
        ("https://host", "write https://"),
        ("https://host/a?b", "write https://"),
        ("https://host:x/a", "write https://"),
        ("https://host/a\nb", "write https://"),
        ("/srv/repository", "write https://"),
        ("file://host/path", "write https://"),
        ("fd::17/foo", "write https://"),
        ("", "write https://"),
    ],
)
def test_addresses_that_git_would_read_otherwise_are_refused(url, hint):
    """Each with the forms that are fine."""
    with pytest.raises(UsageError) as raised:
        parse_git_url(url)

    assert hint in raised.value.hint
    assert "hidden1" not in raised.value.message + raised.value.hint


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("https://git.example.com/team/mirrors.git", "https"),
        ("https://git.example.com:8443/team/mirrors", "https"),
        ("ssh://git@git.example.com:2222/team/mirrors.git", "ssh"),
        ("ssh://git.example.com/x", "ssh"),
        ("git@github.com:team/mirrors.git", "ssh"),
        ("github.com:team/mirrors.git", "ssh"),
        ("file:///srv/git/mirrors.git", "file"),
    ],
)
def test_usual_addresses_are_accepted(url, protocol):
    """One protocol each."""
    assert parse_git_url(url).protocol == protocol


@pytest.mark.row("GITS-07")
@pytest.mark.parametrize("ref", ["-x", "--upload-pack=x", "a..b", "a b", "a:b", "+main", "main^{}", "@{u}", "a//b", "/a", "a/", ".a", "a.lock", "a~1", "*", ""])
def test_odd_branches_are_refused(ref):
    """What git would read as more than a name."""
    with pytest.raises(UsageError):
        check_git_ref(ref)


@pytest.mark.row("GITS-07")
@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../b", ":(top)x", "a\nb"])
def test_paths_out_of_the_repository_are_refused(path):
    """Also what git would read as a pattern."""
    with pytest.raises(UsageError):
        check_git_path(path)


def test_reading_that_failed_is_made_up_for(repository, follow):
    """registries.yaml was corrected while the server was gone: the commit that it made invalid is read again."""
    commit = repository.commit()
    follower = follow(repository.url)
    follower.poll()
    away = repository.folder.with_name("away")
    repository.folder.rename(away)
    assert follower.poll(must_read=True).fault
    away.rename(repository.folder)
    found = follower.poll()
    assert (found.revision, found.fault) == (commit, "")
    assert follower.poll() is None


def test_lock_folder_outside_of_the_repository_is_refused_by_its_name(repository, follow):
    """The error names the option that has the folder."""
    with pytest.raises(UsageError, match="--lock-dir: '/locks' is not a path inside"):
        follow(repository.url, lock_folder="/locks")


def test_missing_git_is_reported_at_once(repository, follow, tmp_path):
    """Relative folders of PATH count for nothing."""
    with pytest.raises(UsageError, match="which is not on PATH"):
        follow(repository.url, environ={"PATH": f"{tmp_path}:."})
