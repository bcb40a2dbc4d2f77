"""
Compare bundles with folders that other tools write: speed and memory, there and back.

    python -m benchmarks.bundle [--images 40] [--layer-mib 24] [--runs 3] [--folder DIR] [--tool NAME ...]

The same images go from one docker-registry to files, and from the files to another one, by `imgsync bundle create` and `load`, and by a `copy` of each
image with skopeo, oras and regctl, where they are found. The tools take turns. imgsync syncs its volumes and reads them back; the others do neither, so
oras and regctl run once more with the same work after each image: its files are synced and hashed.
It prints a table, and exits 1 if imgsync reaches less than 0.9 times the speed of skopeo, is not ahead of oras and regctl at the same work, or needs more
than 80 MiB.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.registries import Debian
from benchmarks.timing import Figures, timed
from tests.support.images import image, push
from tests.support.registry_process import RegistryProcess, running_registry

_MIB = 1 << 20
_SPEED, _PEAK_MIB = 0.9, 80
_IMGSYNC, _SKOPEO = "imgsync", "skopeo"
# What writes an image to a folder, and what pushes it from there.
_EACH = {
    _SKOPEO: (
        "skopeo copy -q --src-tls-verify=false docker://{source} dir:{folder}",
        "skopeo copy -q --dest-tls-verify=false dir:{folder} docker://{destination}",
    ),
    "oras": (
        "oras copy -r --from-plain-http --to-oci-layout {source} {folder}:{tag}",
        "oras copy -r --from-oci-layout --to-plain-http {folder}:{tag} {destination}",
    ),
    "regctl": (
        "regctl --host reg={source_host},tls=disabled image copy {source} ocidir://{folder}:{tag}",
        "regctl --host reg={destination_host},tls=disabled image copy ocidir://{folder}:{tag} {destination}",
    ),
}


# What imgsync does with what it wrote; here the bytes may still come from the cache.
_CHECK = "find {folder} -type f -exec sync {{}} + -exec openssl dgst -sha256 {{}} + > /dev/null"
_CHECKED = ", checked"


@dataclass(slots=True)
class Runs:
    """The figures of one tool: of writing files, and of reading them."""

    create: list[Figures] = field(default_factory=list)
    load: list[Figures] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cargo:
    """Images at a registry, by tag of one repository; each layer has a number of MiB."""

    images: int
    layer_mib: int

    @property
    def mib(self) -> int:
        """Return the size of all layers."""
        return self.images * self.layer_mib

    def push(self, host: str) -> None:
        """Push all images, one at a time."""
        for number in range(self.images):
            push(host, "cargo", f"v{number}", image(("cargo", number), layers=1, layer_bytes=self.layer_mib * _MIB))


def measure(tool: str, cargo: Cargo, source: RegistryProcess, folder: Path, runs: Runs) -> None:
    """Write and read the images once with *tool*, and add the figures."""
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        with running_registry(place / "destination", kind=Debian) as destination:
            commands = _imgsync(source, destination, place) if tool == _IMGSYNC else _each(tool, cargo, source, destination, place)
            for command, found in zip(commands, (runs.create, runs.load), strict=True):
                figures = timed(command, cwd=place)
                if figures.code:
                    raise SystemExit(f"{shlex.join(command)} failed: {(place / 'err').read_text()[-2000:]}")
                found.append(figures)
            tags = set(destination.tags("m/cargo"))
            if len(tags) != cargo.images:
                raise SystemExit(f"{tool} moved {len(tags)} of {cargo.images} images")
    finally:
        shutil.rmtree(place)


def _imgsync(source: RegistryProcess, destination: RegistryProcess, place: Path) -> Iterator[Sequence[str]]:
    program = str(Path(sys.executable).with_name("imgsync"))
    plain = "".join(f"  {one.host}: {{tls: false}}\n" for one in (source, destination))
    (place / "registries.yaml").write_text(f"version: 1\nregistries:\n{plain}", encoding="utf-8")
    declared = f"version: 1\nmirrors:\n- {{name: a, source: '{source.host}/cargo', destinations: ['{destination.host}/m']}}\n"
    (place / "a.yaml").write_text(declared, encoding="utf-8")
    yield [program, "bundle", "create", "a.yaml", "--out", "files"]
    yield [program, "bundle", "load", "files", "--yes"]


def _each(tool: str, cargo: Cargo, source: RegistryProcess, destination: RegistryProcess, place: Path) -> Iterator[Sequence[str]]:
    name = tool.removesuffix(_CHECKED)
    writes, reads = _EACH[name]
    for command in (writes if name == tool else f"{writes} && {_CHECK}", reads):
        lines = [
            command.format(
                source=f"{source.host}/cargo:v{number}",
                source_host=source.host,
                destination=f"{destination.host}/m/cargo:v{number}",
                destination_host=destination.host,
                folder=f"{place}/f{number}",
                tag="v",
            )
            for number in range(cargo.images)
        ]
        yield ["/bin/sh", "-ec", "\n".join(lines)]


def report(cargo: Cargo, found: dict[str, Runs]) -> tuple[list[str], bool]:
    """Return the lines of a table, and whether the goals are reached."""
    speeds = {tool: [cargo.mib / statistics.median(one.wall for one in figures) for figures in (runs.create, runs.load)] for tool, runs in found.items()}
    lines = [f"| {cargo.images} images of {cargo.layer_mib} MiB | create MiB/s | load MiB/s | CPU s | peak MiB |", "| --- | ---: | ---: | ---: | ---: |"]
    for tool, runs in found.items():
        figures = (*runs.create, *runs.load)
        cpu = sum(statistics.median(one.cpu for one in some) for some in (runs.create, runs.load))
        lines.append(f"| {tool} | {speeds[tool][0]:.0f} | {speeds[tool][1]:.0f} | {cpu:.1f} | {max(one.peak for one in figures):.0f} |")
    if _IMGSYNC not in found:
        return lines, True
    peak = max(one.peak for one in (*found[_IMGSYNC].create, *found[_IMGSYNC].load))
    reached = peak <= _PEAK_MIB
    if _SKOPEO in speeds:
        ratios = [own / other for own, other in zip(speeds[_IMGSYNC], speeds[_SKOPEO], strict=True)]
        lines += ["", f"create {ratios[0]:.2f} × skopeo, load {ratios[1]:.2f} × skopeo (goal: {_SPEED}); {peak:.0f} MiB (goal: {_PEAK_MIB})"]
        reached = reached and min(ratios) >= _SPEED
    faster = [tool for tool in found if tool.endswith(_CHECKED) and any(own <= other for own, other in zip(speeds[_IMGSYNC], speeds[tool], strict=True))]
    if faster:
        lines += ["", f"not ahead of {' and '.join(faster)}"]
    return lines, reached and not faster


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0].strip())
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--layer-mib", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; default: the folder for temporary files")
    parser.add_argument("--tool", action="append", choices=(_IMGSYNC, *_EACH), help="only this one; repeatable")
    given = parser.parse_args()
    cargo = Cargo(given.images, given.layer_mib)
    tools = [tool for tool in (_IMGSYNC, *_EACH) if tool in (given.tool or (_IMGSYNC, *_EACH)) and (tool == _IMGSYNC or shutil.which(tool))]
    tools += [f"{tool}{_CHECKED}" for tool in tools if tool in {"oras", "regctl"}]
    found = {tool: Runs() for tool in tools}
    with tempfile.TemporaryDirectory(prefix="imgsync-bench-", dir=given.folder) as folder, running_registry(Path(folder) / "source", kind=Debian) as source:
        cargo.push(source.host)
        for number in range(given.runs):
            for tool in reversed(tools) if number % 2 else tools:
                measure(tool, cargo, source, Path(folder), found[tool])
    lines, reached = report(cargo, found)
    print("\n".join(lines))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
