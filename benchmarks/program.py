"""
What imgsync promises in figures, measured on this machine: `make bench`.

Start-up, validate of 1,000 mirrors, a plan of 20,000 kept tags from a listing with digests, and the memory of an apply of large layers between
two real registries. Wall seconds are the median of five runs, memory is the largest resident set of the program's process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.images import image, push  # noqa: E402
from tests.registry_process import running_registry  # noqa: E402

RUNS = 5
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


# The kernel's figure for a finished child begins with its parent's size; VmHWM begins anew with the program itself.
PROGRAM = """
import atexit, os, re, sys
from pathlib import Path

def note():
    Path(os.environ["PEAK_FILE"]).write_text(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()).group(1))

atexit.register(note)
from imgsync.__main__ import main
main()
"""


def run(*arguments: str, cwd: Path) -> tuple[float, float]:
    """Run imgsync once and return wall seconds and the peak of its memory in MiB."""
    peak = cwd / "peak"
    command = [sys.executable, "-c", PROGRAM, *arguments]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, check=False, env={**os.environ, "HOME": str(cwd), "PEAK_FILE": str(peak), "PYTHONPATH": str(ROOT)}
    )
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"imgsync {' '.join(arguments)} failed:\n{done.stderr.decode()[-2000:]}")
    return seconds, int(peak.read_text()) / 1024


def measure(name: str, limit: str, *arguments: str, cwd: Path, runs: int = RUNS) -> None:
    figures = [run(*arguments, cwd=cwd) for _ in range(runs)]
    seconds, memory = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"{name:<52} {seconds:8.2f} s {memory:8.1f} MiB   (to reach: {limit})")


def validate(folder: Path) -> None:
    (folder / "mirrors.d").mkdir()
    for number in range(1000):
        (folder / "mirrors.d" / f"m{number:04}.yaml").write_text(
            f"version: 1\nmirrors:\n  - name: m{number}\n    source: {{registry: quay.io, repositories: [team{number}/app, team{number}/tool]}}\n"
            "    tags: {semver: '>=1 <3', newest_per: minor, newest: 2, exclude: ['*-rc.*']}\n    platforms: [linux/amd64, linux/arm64]\n"
            f"    destinations: [{{registry: registry.example.com, namespace: mirror/m{number}, repository: '{{flat}}'}}]\n"
        )
    measure("imgsync --help", "0.3 s", "--help", cwd=folder)
    measure("imgsync validate, 1,000 mirrors in 1,000 files", "3 s", "validate", cwd=folder)


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


def plan(folder: Path) -> None:
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
                            "platforms=all;referrers=none",
                            "2026-01-01T00:00:00Z",
                        )
                        for tag, digest in digests.items()
                    ]
                )
        measure(f"imgsync plan, {REPOSITORIES * TAGS:,} kept tags, digests listed", "20 s, 200 MiB", "plan", "--detailed-exitcode", cwd=folder)
        measure("the same, -o json", "20 s, 200 MiB", "plan", "-o", "json", cwd=folder)


def memory(folder: Path) -> None:
    with running_registry(folder / "one") as source, running_registry(folder / "two") as destination:
        for number in range(4):
            push(source.host, "big/app", str(number), image(("big", number), layers=2, layer_bytes=200 << 20))
        (folder / "registries.yaml").write_text(f"version: 1\nregistries: {{'{source.host}': {{tls: false}}, '{destination.host}': {{tls: false}}}}\n")
        (folder / "mirrors.d").mkdir()
        (folder / "mirrors.d" / "a.yaml").write_text(
            f"version: 1\nmirrors: [{{name: a, source: {source.host}/big/app, destinations: ['{destination.host}/m']}}]\n"
        )
        measure("imgsync apply, 4 images of 2 layers, 200 MiB each", "120 MiB", "apply", cwd=folder, runs=1)


def main() -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, median of {RUNS} runs (apply: one)")
    for part in (validate, plan, memory):
        with tempfile.TemporaryDirectory(prefix="imgsync-bench-") as folder:
            part(Path(folder))


if __name__ == "__main__":
    main()
