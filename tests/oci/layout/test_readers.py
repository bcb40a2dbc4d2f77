"""Which programs read what of our layouts: each that is found on this machine, against the table of docs/registries.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.oci.layout.stores import opened, push
from tests.support.embedded import embedded_registry
from tests.support.images import DOCKER, Image, artifact, image, index
from tests.support.layouts import LayoutOnDisk
from tests.support.node import running_containerd

_PAGE = Path(__file__).parents[3] / "docs/registries.md"
CONTENTS = {
    "OCI image": image("oci"),
    "OCI index": index("oci"),
    "Docker image": image("docker", kind=DOCKER),
    "Docker list": index("docker", kind=DOCKER),
}
Reader = Callable[[LayoutOnDisk, str, Image, Path], bool]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """Return a layout that imgsync wrote: several repositories, images of all types, and a referrer."""
    made = LayoutOnDisk(tmp_path_factory.mktemp("readers") / "layout")
    with opened(made.folder) as store:
        for kind, content in CONTENTS.items():
            push(store, f"outside/{kind.replace(' ', '-').lower()}:1.0", content)
        push(store, "outside/oci-image", artifact("bill", subject=CONTENTS["OCI image"]))
    return made


def run(*command: object) -> str | None:
    """Return what a program prints, None if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout if done.returncode == 0 else None


def read_with_skopeo(layout: LayoutOnDisk, name: str, content: Image, folder: Path) -> bool:
    """Copy the image, with all platforms, by its full name."""
    copied = run("skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests", f"oci:{layout.folder}:{name}", f"dir:{folder}/copied")
    return copied is not None and (folder / "copied/manifest.json").read_bytes() == content.raw


def read_with_podman(layout: LayoutOnDisk, name: str, content: Image, folder: Path) -> bool:
    """Pull the image by its full name; of an index, that of this machine."""
    # Podman refuses a longer path.
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        podman = ("podman", "--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs")
        if run(*podman, "pull", "-q", f"oci:{layout.folder}:{name}") is None:
            return False
        digests = {one["Digest"] for one in json.loads(run(*podman, "images", "--format", "json") or "[]")}
        run(*podman, "rmi", "--all", "--force")
    return bool(digests) and digests <= {part.digest for part in content.parts}


def read_with_containerd(layout: LayoutOnDisk, name: str, content: Image, folder: Path) -> bool:
    """Import the packed folder; the image has its full name and digest."""
    with tarfile.open(folder / "layout.tar", "w") as archive:
        archive.add(layout.folder, ".")
    with running_containerd() as socket:
        ctr = ("ctr", "--address", socket, "image")
        if run(*ctr, "import", "--all-platforms", "--no-unpack", folder / "layout.tar") is None:
            return False
        rows = [line.split() for line in (run(*ctr, "ls") or "").splitlines()]
    return any(row[0] == name and content.digest in row for row in rows)


def read_with_crane(layout: LayoutOnDisk, name: str, content: Image, folder: Path) -> bool:
    """Push a layout with this image alone, since crane takes no name."""
    alone = LayoutOnDisk(folder / "alone")
    with opened(alone.folder) as store:
        push(store, name, content)
    with embedded_registry() as registry:
        pushed = run("crane", "push", "--insecure", alone.folder, f"{registry}/app:1")
        return pushed is not None and (run("crane", "digest", "--insecure", f"{registry}/app:1") or "").strip() == content.digest


def read_with_oras(layout: LayoutOnDisk, name: str, content: Image, folder: Path) -> bool:
    """Fetch the manifest by its digest: oras takes what is behind the last colon for the name."""
    return run("oras", "manifest", "fetch", "--oci-layout", f"{layout.folder}@{content.digest}") == content.raw.decode()


def read_with_regctl(layout: LayoutOnDisk, name: str, content: Image, folder: Path) -> bool:
    """Get the manifest by its digest."""
    return run("regctl", "manifest", "get", "--format", "raw-body", f"ocidir://{layout.folder}@{content.digest}") == content.raw.decode()


READERS: Mapping[str, Reader] = {
    "skopeo": read_with_skopeo,
    "podman": read_with_podman,
    "containerd": read_with_containerd,
    "crane": read_with_crane,
    "oras": read_with_oras,
    "regctl": read_with_regctl,
}


def read_table() -> dict[str, dict[str, str]]:
    """Return the rows of the page's table by reader, each by column."""
    text = _PAGE.read_text(encoding="utf-8").partition("<!-- readers of layouts -->")[2]
    lines = text.strip().splitlines()
    table = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[: lines.index("")]]
    return {row[0].split()[0]: dict(zip(table[0], row, strict=True)) for row in table[2:]}


def test_page_has_every_reader():
    """And every kind of image."""
    table = read_table()

    assert list(table) == list(READERS)
    assert all(set(CONTENTS) <= set(row) for row in table.values())


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("reader", READERS)
def test_reader_reads_what_the_page_says(layout, tmp_path, reader, kind):
    """A program that is not installed is skipped."""
    program = "ctr" if reader == "containerd" else reader
    said = read_table()[reader][kind]
    if shutil.which(program) is None:
        assert said in {"yes", "no"}
        pytest.skip(f"{program} is not installed")

    reads = READERS[reader](layout, f"outside/{kind.replace(' ', '-').lower()}:1.0", CONTENTS[kind], tmp_path)

    assert said == ("yes" if reads else "no")
