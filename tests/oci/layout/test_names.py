"""Entries of layouts are named as the tools that write them do."""

from __future__ import annotations

import pytest

from imgsync.oci.layout.index_json import IndexEntry
from imgsync.oci.layout.names import EntryName, find_name
from tests.support.images import digest_of

DIGEST = digest_of(b"")


def find(ref_name: str = "", containerd_name: str = "", *, repository: str = "", digest: str = DIGEST) -> EntryName | str:
    """Return the name of an entry in the layout `usb`."""
    return find_name(IndexEntry(b"", digest, "", 0, ref_name, containerd_name), repository or "usb", is_own_declared=bool(repository))


@pytest.mark.parametrize(
    ("ref_name", "containerd_name", "path", "tag"),
    [
        pytest.param("outside/nginx:1.27", "outside/nginx:1.27", "outside/nginx", "1.27", id="imgsync"),
        pytest.param("1.27", "docker.io/library/nginx:1.27", "docker.io/library/nginx", "1.27", id="containerd and docker save"),
        pytest.param("latest", "", "usb", "latest", id="regctl, skopeo and oras with a tag"),
        pytest.param("foo/bar:v1", "", "foo/bar", "v1", id="skopeo with a name"),
        pytest.param("nginx:1.27", "", "nginx", "1.27", id="skopeo with a short name"),
        pytest.param("foo/bar", "", "foo/bar", "latest", id="without a tag"),
        pytest.param("index.docker.io/library/ubuntu:24.04", "", "index.docker.io/library/ubuntu", "24.04", id="crane with --annotate-ref"),
        pytest.param("", f"docker.io/library/nginx@{DIGEST}", "docker.io/library/nginx", "", id="containerd by digest"),
        pytest.param("", f"docker.io/library/nginx:1@{DIGEST}", "docker.io/library/nginx", "1", id="containerd by tag and digest"),
        pytest.param("", "", "usb", "", id="crane without a name"),
    ],
)
def test_name_is_read_as_its_tool_wrote_it(ref_name, containerd_name, path, tag):
    """The full name first; a tag alone belongs to the layout's own repository."""
    assert find(ref_name, containerd_name) == EntryName(path, tag)


@pytest.mark.row("LAY-03")
@pytest.mark.parametrize(
    "name",
    [
        "../../etc/x:1",
        "/etc/passwd:1",
        "a/../b:1",
        "a//b:1",
        "A/b:1",
        "localhost:5000/x:1",
        "a/b:tag\n",
        "a/b:\x1b[2J",
        "a\0b/c:1",
        "a/b:" + "x" * 129,
        "é/x:1",
        "a b:1",
    ],
)
def test_invalid_name_is_none(name):
    """It is skipped with a warning in which no character is harmful."""
    for reason in (find(name), find("1", name)):
        assert isinstance(reason, str)
        assert reason.isprintable()
        assert len(reason) < 400


def test_declared_repository_takes_names_with_a_port():
    """`repository` of the layout says where they belong."""
    assert find("", "localhost:5000/team/app:1", repository="team/app") == EntryName("team/app", "1")
    assert find("v2", repository="team/app") == EntryName("team/app", "v2")
    assert find("other/app:1", repository="team/app") == EntryName("other/app", "1")


def test_unknown_digest_is_skipped():
    """What cannot be verified is not read."""
    assert find("a/b:1", digest="blake3:" + "0" * 64) == f"'blake3:{'0' * 64}' is not a sha256 or sha512 digest"
