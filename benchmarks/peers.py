"""
Define how each tool mirrors the same repositories.

Most tools run twice: with their defaults and with their best concurrency.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpora import Corpus

_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Job:
    """One copy: source and destinations (HOST:PORT), images, and a working folder."""

    source: str
    destinations: tuple[str, ...]
    corpus: Corpus
    tags: tuple[tuple[str, str], ...]
    folder: Path

    @property
    def destination(self) -> str:
        """Return the destination; there must be exactly one."""
        (only,) = self.destinations
        return only


@dataclass(frozen=True, slots=True)
class Tool:
    """
    One way to run a program.

    `command` returns the command line; later runs use the same one. `only` is the prefix of the corpora that the tool supports.
    """

    name: str
    program: str
    command: Callable[[Job], Sequence[str]]
    destinations: int = 1
    only: str = ""

    def fits(self, corpus: Corpus, destinations: int) -> bool:
        """Return whether the tool supports this corpus and number of destinations."""
        return self.destinations >= destinations and corpus.name.startswith(self.only)

    @property
    def found(self) -> bool:
        """Return whether the program is installed."""
        return Path(self.program).is_file() or shutil.which(self.program) is not None


def version(tool: Tool) -> str:
    """Return the version that the program reports, or "?"."""
    for arguments in (["--version"], ["version"]):
        done = subprocess.run([tool.program, *arguments], capture_output=True, text=True, check=False, timeout=30)
        found = re.search(r"v?\d+\.\d+\S*", done.stdout + done.stderr)
        if done.returncode == 0 and found:
            return found.group(0)
    return "?"


def _imgsync(images: int | None = None, queries: int = 32, blobs: int = 4, *, program: str = "") -> Callable[[Job], Sequence[str]]:
    """Return a command for imgsync; without *images* it uses the defaults, without *program* this checkout."""

    def command(job: Job) -> Sequence[str]:
        hosts = (job.source, *job.destinations)
        (job.folder / "registries.yaml").write_text(json.dumps({"version": 1, "registries": {host: {"tls": False, "connections": 64} for host in hosts}}))
        (job.folder / "mirrors.d").mkdir(exist_ok=True)
        mirror = {
            "name": "bench",
            "source": {"registry": job.source, "repositories": list(job.corpus.repositories)},
            "referrers": True,
            "destinations": [{"registry": host} for host in job.destinations],
        }
        if images is not None:
            mirror["concurrency"] = {"images": images, "queries": queries, "blobs": blobs}
        (job.folder / "mirrors.d" / "bench.yaml").write_text(json.dumps({"version": 1, "mirrors": [mirror]}))
        return [program or _OWN, "apply", "--no-progress"]

    return command


def _lines(job: Job, words: Sequence[str], lines: Sequence[str], processes: int) -> Sequence[str]:
    """Run *words* once for each of *lines*, *processes* at a time."""
    (job.folder / "lines").write_text("".join(f"{line}\n" for line in lines))
    return [_SHELL, "-c", f"exec xargs -P {processes} -L 1 {' '.join(words)} < lines"]


def _skopeo_sync(job: Job) -> Sequence[str]:
    document = {job.source: {"tls-verify": False, "images": {repository: [] for repository in job.corpus.repositories}}}
    (job.folder / "sync.yaml").write_text(json.dumps(document))
    words = ["skopeo", "sync", "--all", "--src", "yaml", "--dest", "docker", "--dest-tls-verify=false", "sync.yaml", f"{job.destination}/bench"]
    return [_SHELL, "-c", "exec " + " ".join(words)]


def _skopeo_each(job: Job) -> Sequence[str]:
    words = ["skopeo", "copy", "--quiet", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]
    return _lines(job, words, [f"docker://{job.source}/{one}:{tag} docker://{job.destination}/{one}:{tag}" for one, tag in job.tags], 8)


def _crane(processes: int, jobs: int) -> Callable[[Job], Sequence[str]]:
    def command(job: Job) -> Sequence[str]:
        words = ["crane", "copy", "--insecure", "--all-tags", "--jobs", str(jobs)]
        return _lines(job, words, [f"{job.source}/{one} {job.destination}/{one}" for one in job.corpus.repositories], processes)

    return command


def _regsync(parallel: int | None = None, requests: int | None = None) -> Callable[[Job], Sequence[str]]:
    def command(job: Job) -> Sequence[str]:
        limit = {} if requests is None else {"reqConcurrent": requests}
        document = {
            "version": 1,
            "creds": [{"registry": host, "tls": "disabled", **limit} for host in (job.source, job.destination)],
            "defaults": {"referrers": job.corpus.referrers} | ({} if parallel is None else {"parallel": parallel}),
            "sync": [{"source": f"{job.source}/{one}", "target": f"{job.destination}/{one}", "type": "repository"} for one in job.corpus.repositories],
        }
        (job.folder / "regsync.yaml").write_text(json.dumps(document))
        return [_SHELL, "-c", "exec regsync once --config regsync.yaml"]

    return command


def _regctl(job: Job) -> Sequence[str]:
    words = ["regctl", "image", "copy", "--host", f"reg={job.source},tls=disabled", "--host", f"reg={job.destination},tls=disabled"]
    words += ["--referrers"] if job.corpus.referrers else []
    return _lines(job, words, [f"{job.source}/{one}:{tag} {job.destination}/{one}:{tag}" for one, tag in job.tags], 8)


def _image_syncer(job: Job) -> Sequence[str]:
    (job.folder / "auth.json").write_text(json.dumps({host: {"insecure": True} for host in (job.source, job.destination)}))
    (job.folder / "images.json").write_text(json.dumps({f"{job.source}/{one}": f"{job.destination}/{one}" for one in job.corpus.repositories}))
    return [_SHELL, "-c", "exec image-syncer --proc 16 --auth auth.json --images images.json"]


def _oras(job: Job) -> Sequence[str]:
    words = ["oras", "copy", "--from-plain-http", "--to-plain-http", *(["--recursive"] if job.corpus.referrers else [])]
    return _lines(job, words, [f"{job.source}/{one}:{tag} {job.destination}/{one}:{tag}" for one, tag in job.tags], 8)


def _curl(job: Job) -> Sequence[str]:
    """
    Copy only the bytes, with four pairs of curl.

    This is a lower bound: a C program without extra requests and without checks.
    """
    (job.folder / "one.sh").write_text(
        "set -e\n"
        f"repository=http://{job.source}/v2/$1 target=http://{job.destination}/v2/$1\n"
        'raw=$(curl -s -H "Accept: application/vnd.oci.image.manifest.v1+json" $repository/manifests/$2)\n'
        "for digest in $(printf %s \"$raw\" | grep -o 'sha256:[0-9a-f]*'); do\n"
        "  location=$(curl -s -D - -o /dev/null -X POST $target/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')\n"
        '  curl -s $repository/blobs/$digest | curl -s -o /dev/null -T - -H "Content-Type: application/octet-stream" "$location&digest=$digest"\n'
        "done\n"
        'printf %s "$raw" | curl -s -o /dev/null -X PUT -H "Content-Type: application/vnd.oci.image.manifest.v1+json" --data-binary @- '
        "$target/manifests/$2\n"
    )
    return _lines(job, [_SHELL, "one.sh"], [f"{one} {tag}" for one, tag in job.tags], 4)


_OWN = str(Path(sys.executable).with_name("imgsync"))
TOOLS = (
    Tool("imgsync", _OWN, _imgsync(64, 64, 4), destinations=99),
    Tool("imgsync (defaults)", _OWN, _imgsync(), destinations=99),
    Tool("skopeo sync", "skopeo", _skopeo_sync),
    Tool("skopeo copy, 8 processes", "skopeo", _skopeo_each),
    Tool("crane", "crane", _crane(1, 4)),
    Tool("crane, 8 processes of 8", "crane", _crane(8, 8)),
    Tool("regsync", "regsync", _regsync()),
    Tool("regsync, 16 and 32", "regsync", _regsync(16, 32)),
    Tool("regctl, 8 processes", "regctl", _regctl),
    Tool("image-syncer", "image-syncer", _image_syncer),
    Tool("oras, 8 processes", "oras", _oras),
    Tool("curl | curl, 4 at once", "curl", _curl, only="large"),
)


def other_imgsync(program: str) -> tuple[Tool, ...]:
    """Return the tools that run the imgsync of another checkout, to compare two commits in one run."""
    return (
        Tool("imgsync of --beside", program, _imgsync(64, 64, 4, program=program), destinations=99),
        Tool("imgsync of --beside (defaults)", program, _imgsync(program=program), destinations=99),
    )
