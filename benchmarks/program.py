"""
Measure imgsync alone, without a tool to compare.

Measures the start, `validate` with 1,000 mirrors, a plan of 20,000 kept tags from a listing with digests, and the memory of an `apply` of large layers
between two real registries. Part of `make bench`; the figures are medians.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.registries import Debian
from benchmarks.timing import timed
from tests.support.images import image, push
from tests.support.registry_process import running_registry

REPOSITORIES, TAGS = 20, 1000

SERVER = """
import hashlib, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
TAGS = int(sys.argv[1])

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.split("/tags/list")[0].removeprefix("/v2/")
        manifests = {
            "sha256:" + hashlib.sha256(f"{name}:{tag}".encode()).hexdigest(): {
                "imageSizeBytes": "1000", "tag": [f"v1.{tag}.0"], "timeUploadedMs": "1790000000000", "mediaType": "x/y"
            }
            for tag in range(TAGS)
        }
        body = json.dumps({"name": name, "tags": [f"v1.{tag}.0" for tag in range(TAGS)], "manifest": manifests, "child": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


Row = dict[str, Any]


def measure(name: str, goal: str, *arguments: str, cwd: Path, runs: int) -> Row:
    """Return the medians of *runs* runs of imgsync."""
    command = [str(Path(sys.executable).with_name("imgsync")), *arguments]
    figures = [timed(command, cwd=cwd) for _ in range(runs)]
    if any(one.code for one in figures):
        raise SystemExit(f"imgsync {' '.join(arguments)} failed:\n{(cwd / 'err').read_text()[-2000:]}")
    row = {"name": name, "goal": goal} | {part: statistics.median(getattr(one, part) for one in figures) for part in ("wall", "cpu", "peak")}
    print(f"{name:<56} {row['wall']:8.2f} s {row['cpu']:8.2f} s CPU {row['peak']:6.0f} MiB   ({goal})", flush=True)
    return row


def validate(folder: Path, runs: int) -> Iterator[Row]:
    (folder / "mirrors.d").mkdir()
    for number in range(1000):
        (folder / "mirrors.d" / f"m{number:04}.yaml").write_text(
            f"version: 1\nmirrors:\n  - name: m{number}\n    source: {{registry: quay.io, repositories: [team{number}/app, team{number}/tool]}}\n"
            "    tags: {semver: '>=1 <3', newest_per: minor, newest: 2, exclude: ['*-rc.*']}\n    platforms: [linux/amd64, linux/arm64]\n"
            f"    destinations: [{{registry: registry.example.com, namespace: mirror/m{number}, repository: '{{flat}}'}}]\n"
        )
    yield measure("imgsync --help", "0.3 s", "--help", cwd=folder, runs=runs)
    yield measure("imgsync validate, 1,000 mirrors in 1,000 files", "3 s", "validate", cwd=folder, runs=runs)


@contextlib.contextmanager
def listing_server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(TAGS)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


class _Direct:
    def run(self, function):
        return function()


def plan(folder: Path, runs: int) -> Iterator[Row]:
    from imgsync.state import Record, open_state

    with listing_server() as host:
        names = [f"team/r{number}" for number in range(REPOSITORIES)]
        (folder / "registries.yaml").write_text(f"version: 1\nregistries: {{'{host}': {{tls: false}}}}\n")
        (folder / "mirrors.d").mkdir()
        (folder / "mirrors.d" / "a.yaml").write_text(
            f"version: 1\nmirrors: [{{name: a, source: {{registry: '{host}', repositories: {json.dumps(names)}}}, destinations: ['{host}/m']}}]\n"
        )
        with open_state(str(folder / ".imgsync" / "state"), thread=_Direct(), lock_timeout_seconds=0, on_warning=print) as state:
            for name in names:
                digests = {tag: f"sha256:{hashlib.sha256(f'{name}:{tag}'.encode()).hexdigest()}" for tag in range(TAGS)}
                state.put(
                    [
                        Record(
                            f"{host}/m/{name}:v1.{tag}.0",
                            digest,
                            "00000000",
                            1000,
                            "x/y",
                            f"{host}/{name}:v1.{tag}.0",
                            digest,
                            "platforms=all;referrers=all",
                            "2026-01-01T00:00:00Z",
                            "a",
                        )
                        for tag, digest in digests.items()
                    ]
                )
        # The listing has all digests on one page per repository, so there is one request per repository.
        kept = f"{REPOSITORIES * TAGS:,} kept tags, digests listed"
        yield measure(f"imgsync apply, {kept}", "10 s, 120 MiB", "apply", "--no-progress", cwd=folder, runs=runs)
        yield measure(f"imgsync plan -o json, {kept}", "10 s", "plan", "-o", "json", cwd=folder, runs=runs)


def memory(folder: Path, runs: int) -> Iterator[Row]:  # noqa: ARG001 - one run is enough
    with running_registry(folder / "one", kind=Debian) as source, running_registry(folder / "two", kind=Debian) as destination:
        for number in range(4):
            push(source.host, "big/app", str(number), image(("big", number), layers=2, layer_bytes=200 << 20))
        (folder / "registries.yaml").write_text(f"version: 1\nregistries: {{'{source.host}': {{tls: false}}, '{destination.host}': {{tls: false}}}}\n")
        (folder / "mirrors.d").mkdir()
        (folder / "mirrors.d" / "a.yaml").write_text(
            f"version: 1\nmirrors: [{{name: a, source: {source.host}/big/app, destinations: ['{destination.host}/m']}}]\n"
        )
        yield measure("imgsync apply, 4 images of 2 layers, 200 MiB each", "120 MiB", "apply", "--no-progress", cwd=folder, runs=1)


PARTS: tuple[Callable[[Path, int], Iterator[Row]], ...] = (validate, plan, memory)


def rows(runs: int) -> list[Row]:
    """Measure everything and print each row when it is ready."""
    found: list[Row] = []
    for part in PARTS:
        with tempfile.TemporaryDirectory(prefix="imgsync-bench-") as folder:
            found += part(Path(folder), runs)
    return found
