"""
Measure layouts at their limits: many tags into one, and archives of many members.

    python -m benchmarks.layout [--tags 20000] [--skopeo-tags 100] [--members 1000000] [--folder DIR]

`imgsync apply` copies small images from a quick registry into one layout, and then has nothing to do. Where skopeo is found, both copy some from a
docker-registry, skopeo with one command for each. An audit hook of Python counts the writes of `index.json`; skopeo writes it once for each command.
`imgsync list` reads archives whose members are empty blobs: of as many as are read, and of the number given, which is refused.
0 leaves a part out.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.registries import Debian
from benchmarks.timing import Figures, timed
from imgsync.oci.layout.tar_members import MEMBER_LIMIT
from tests.load.running import quick_registry
from tests.support.images import image, push
from tests.support.registry_process import running_registry

# Runs imgsync, and writes to the file `writes` how often `index.json` was replaced.
_COUNTING = """
import sys
from pathlib import Path
writes = 0
def count(event, arguments):
    global writes
    if event == "os.rename" and arguments[1] == "index.json":
        writes += 1
sys.addaudithook(count)
from imgsync.__main__ import main
try:
    main()
finally:
    Path("writes").write_text(str(writes))
"""
_TAGS_OF_ONE = 1000


def copy_tags(host: str, count: int, place: Path) -> Iterator[str]:
    """Copy *count* tags with imgsync, then once more without changes; yield lines of the table."""
    place.mkdir()
    (place / "registries.yaml").write_text(f"version: 1\nlayouts: {{usb: {{path: {place}/usb}}}}\nregistries: {{{host}: {{tls: false}}}}\n")
    mirrors = (f"- {{name: m{number}, source: '{host}/{_name(number)}', destinations: ['oci-layout:usb']}}" for number in range(_repositories(count)))
    (place / "a.yaml").write_text("version: 1\nmirrors:\n" + "\n".join(mirrors) + "\n")
    for name in ("apply", "apply, no change"):
        figures = timed([sys.executable, "-c", _COUNTING, "apply", "a.yaml", "--yes"], cwd=place)
        _check(figures, place)
        yield _row(f"imgsync {name}", count, (place / "writes").read_text(), figures)


def copy_with_skopeo(host: str, count: int, place: Path) -> Iterator[str]:
    """Copy *count* tags with skopeo, one command each; yield a line of the table."""
    place.mkdir()
    lines = [f"skopeo copy -q --src-tls-verify=false docker://{host}/{_name(0)}:v{number:06} oci:usb:v{number:06}" for number in range(count)]
    figures = timed(["/bin/sh", "-ec", "\n".join(lines)], cwd=place)
    _check(figures, place)
    yield _row("skopeo copy oci:", count, str(count), figures)


def read_archive(members: int, place: Path) -> str:
    """Read an archive of *members* members; return a line of the table."""
    place.mkdir()
    with (place / "image.tar").open("wb") as file:
        _write_archive(file, members)
    program = str(Path(sys.executable).with_name("imgsync"))
    figures = timed([program, "list", "oci-layout:./image.tar"], cwd=place)
    said = (place / "err").read_text().strip().partition("\n")[0].replace(str(place), ".") if figures.code else "read"
    return f"| {members:,} | {(place / 'image.tar').stat().st_size >> 20} | {figures.wall:.1f} | {figures.cpu:.1f} | {figures.peak:.0f} | {said} |"


def _write_archive(file: io.BufferedIOBase, members: int) -> None:
    for name, content in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", b'{"schemaVersion":2,"manifests":[]}')):
        _write_member(file, name, content)
    for number in range(members - 2):
        _write_member(file, f"blobs/sha256/{number:064x}", b"")
    file.write(bytes(2 * tarfile.BLOCKSIZE))


def _write_member(file: io.BufferedIOBase, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    file.write(member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE))


def _name(number: int) -> str:
    return f"load/r{number:04}"


def _repositories(tags: int) -> int:
    return max(1, tags // _TAGS_OF_ONE)


def _row(what: str, tags: int, writes: str, figures: Figures) -> str:
    return f"| {what} | {tags:,} | {writes} | {figures.wall:.1f} | {figures.cpu:.1f} | {figures.peak:.0f} |"


def _check(figures: Figures, place: Path) -> None:
    if figures.code:
        raise SystemExit(f"exit code {figures.code}: {(place / 'err').read_text()[-2000:]}")


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0].strip())
    parser.add_argument("--tags", type=int, default=20_000, help="rounded down to whole thousands above 1,000; default: %(default)s")
    parser.add_argument("--skopeo-tags", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--members", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; default: the folder for temporary files")
    given = parser.parse_args()
    tags = given.tags if given.tags < _TAGS_OF_ONE else given.tags // _TAGS_OF_ONE * _TAGS_OF_ONE
    with tempfile.TemporaryDirectory(prefix="imgsync-bench-", dir=given.folder) as name:
        folder = Path(name)
        if tags or given.skopeo_tags:
            print("| into a layout | tags | index writes | s | CPU s | peak MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
        if tags:
            with quick_registry(_repositories(tags), min(tags, _TAGS_OF_ONE)) as registry:
                print(*copy_tags(registry.host, tags, folder / "imgsync"), sep="\n", flush=True)
        if given.skopeo_tags and shutil.which("skopeo"):
            # skopeo tries TLS first, which the quick registry leaves without an answer.
            with running_registry(folder / "registry", kind=Debian) as registry:
                for number in range(given.skopeo_tags):
                    push(registry.host, _name(0), f"v{number:06}", image(("layout", number)))
                print(*copy_tags(registry.host, given.skopeo_tags, folder / "few"), sep="\n", flush=True)
                print(*copy_with_skopeo(registry.host, given.skopeo_tags, folder / "skopeo"), sep="\n")
        if given.members:
            print("\n| members of an archive | MiB | s | CPU s | peak MiB | result |\n| ---: | ---: | ---: | ---: | ---: | --- |", flush=True)
            for members in dict.fromkeys((min(given.members, MEMBER_LIMIT), given.members)):
                print(read_archive(members, folder / f"archive-{members}"), flush=True)
                shutil.rmtree(folder / f"archive-{members}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
