"""
Define how each tool mirrors the same repositories.

Most tools run twice: with their defaults and with their best concurrency.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpora import Corpus
from benchmarks.works import Work

_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Job:
    """One copy: source and destinations (HOST:PORT), images, and a working folder."""

    source: str
    destinations: tuple[str, ...]
    corpus: Corpus
    tags: tuple[tuple[str, str], ...]
    folder: Path
    ca: Path | None = None
    """The authority of the registries' certificates; None for plain http."""
    login: tuple[str, str] | None = None
    """The name and password for both sides."""
    token_server: str | None = None
    """The URL of the server that both sides send clients to for tokens."""

    @property
    def destination(self) -> str:
        """Return the destination; there must be exactly one."""
        (only,) = self.destinations
        return only

    @property
    def scheme(self) -> str:
        """Return the scheme of the registries' URLs."""
        return "http" if self.ca is None else "https"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that make tools trust the registries."""
        return {} if self.ca is None else {"SSL_CERT_FILE": str(self.ca)}

    def log_in(self) -> None:
        """Write the login to the file that `docker login` would write."""
        if self.login is not None:
            (self.folder / ".docker").mkdir()
            secret = base64.b64encode(":".join(self.login).encode()).decode()
            logins = {host: {"auth": secret} for host in (self.source, *self.destinations)}
            (self.folder / ".docker" / "config.json").write_text(json.dumps({"auths": logins}))


@dataclass(frozen=True, slots=True)
class Tool:
    """
    One way to run a program.

    `command` returns the command line; later runs use the same one, and `how` says what is special about it. `only` is the prefix of the corpora that
    the tool supports. `caches` says that the tool reads a blob that several images share only once, if its cache works.
    """

    name: str
    program: str
    command: Callable[[Job], Sequence[str]]
    how: str
    destinations: int = 1
    only: str = ""
    caches: bool = False
    logs_in: bool = True
    plain_only: bool = False

    def fits(self, work: Work) -> bool:
        """Return whether the tool can do this work."""
        if work.own and is_peer(self.name):
            return False
        able = self.destinations >= work.destinations and work.corpus.name.startswith(self.only)
        return able and (self.logs_in or not work.token) and not (self.plain_only and work.tls)

    @property
    def found(self) -> bool:
        """Return whether the program is installed."""
        return Path(self.program).is_file() or shutil.which(self.program) is not None


def is_peer(tool: str) -> bool:
    """Return whether *tool* is a similar tool, neither imgsync nor a floor."""
    return not tool.startswith("imgsync") and not is_floor(tool)


def is_floor(tool: str) -> bool:
    """Return whether *tool* only moves bytes, as a lower bound."""
    return tool.startswith(("curl", "relay"))


def _imgsync(limit: int | None = None, *, program: str = "") -> Callable[[Job], Sequence[str]]:
    """Return a command for imgsync; without *limit* it uses the defaults, without *program* this checkout."""

    def command(job: Job) -> Sequence[str]:
        settings = {"tls": False if job.ca is None else {"ca": str(job.ca)}, "token_server": job.token_server, "connections": limit}
        declared = {name: setting for name, setting in settings.items() if setting is not None}
        registries = dict.fromkeys((job.source, *job.destinations), declared)
        (job.folder / "registries.yaml").write_text(json.dumps({"version": 1, "registries": registries}))
        (job.folder / "mirrors.d").mkdir(exist_ok=True)
        mirror = {
            "name": "bench",
            "source": {"registry": job.source, "repositories": list(job.corpus.repositories)},
            "referrers": True,
            "destinations": [{"registry": host} for host in job.destinations],
        }
        if limit is not None:
            mirror["concurrency"] = {"images": limit, "queries": limit, "blobs": 4}
        (job.folder / "mirrors.d" / "bench.yaml").write_text(json.dumps({"version": 1, "mirrors": [mirror]}))
        return [program or _OWN, "apply", "--no-progress"]

    return command


def _lines(job: Job, words: Sequence[str], lines: Sequence[str], processes: int) -> Sequence[str]:
    """Run *words* once for each of *lines*, *processes* at a time."""
    (job.folder / "lines").write_text("".join(f"{line}\n" for line in lines))
    return [_SHELL, "-c", f"exec xargs -P {processes} -L 1 {' '.join(words)} < lines"]


def _spread(tags: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """
    Return *tags* so that neighbours are of different repositories.

    docker-registry refuses some uploads of the same blob to one repository at once, and these tools then leave the tag out.
    """
    places: Counter[str] = Counter()
    found = []
    for repository, tag in tags:
        found.append((places[repository], (repository, tag)))
        places[repository] += 1
    return [one for _, one in sorted(found, key=lambda item: item[0])]


def _skopeo_sync(job: Job) -> Sequence[str]:
    document = {job.source: {"tls-verify": job.ca is not None, "images": {repository: [] for repository in job.corpus.repositories}}}
    (job.folder / "sync.yaml").write_text(json.dumps(document))
    words = ["skopeo", "sync", "--all", "--src", "yaml", "--dest", "docker", f"--dest-tls-verify={_yes(job.ca)}", "sync.yaml", f"{job.destination}/bench"]
    return [_SHELL, "-c", "exec " + " ".join(words)]


def _yes(ca: Path | None) -> str:
    return "false" if ca is None else "true"


def _skopeo_each(job: Job) -> Sequence[str]:
    words = ["skopeo", "copy", "--quiet", "--all", f"--src-tls-verify={_yes(job.ca)}", f"--dest-tls-verify={_yes(job.ca)}"]
    return _lines(job, words, [f"docker://{job.source}/{one}:{tag} docker://{job.destination}/{one}:{tag}" for one, tag in _spread(job.tags)], 8)


def _crane(processes: int, jobs: int) -> Callable[[Job], Sequence[str]]:
    def command(job: Job) -> Sequence[str]:
        words = ["crane", "copy", *(["--insecure"] if job.ca is None else []), "--all-tags", "--jobs", str(jobs)]
        return _lines(job, words, [f"{job.source}/{one} {job.destination}/{one}" for one in job.corpus.repositories], processes)

    return command


def _regsync(parallel: int | None = None, requests: int | None = None) -> Callable[[Job], Sequence[str]]:
    def command(job: Job) -> Sequence[str]:
        limit = {} if requests is None else {"reqConcurrent": requests}
        document = {
            "version": 1,
            "creds": [{"registry": host, "tls": _regclient_tls(job), **limit} for host in (job.source, job.destination)],
            "defaults": {"referrers": job.corpus.referrers} | ({} if parallel is None else {"parallel": parallel}),
            "sync": [{"source": f"{job.source}/{one}", "target": f"{job.destination}/{one}", "type": "repository"} for one in job.corpus.repositories],
        }
        (job.folder / "regsync.yaml").write_text(json.dumps(document))
        return [_SHELL, "-c", "exec regsync once --config regsync.yaml"]

    return command


def _regclient_tls(job: Job) -> str:
    return "disabled" if job.ca is None else "enabled"


def _regctl(job: Job) -> Sequence[str]:
    hosts = [word for host in (job.source, job.destination) for word in ("--host", f"reg={host},tls={_regclient_tls(job)}")]
    words = ["regctl", "image", "copy", *hosts, *(["--referrers"] if job.corpus.referrers else [])]
    return _lines(job, words, [f"{job.source}/{one}:{tag} {job.destination}/{one}:{tag}" for one, tag in _spread(job.tags)], 8)


def _image_syncer(job: Job) -> Sequence[str]:
    login = {} if job.login is None else dict(zip(("username", "password"), job.login, strict=True))
    (job.folder / "auth.json").write_text(json.dumps({host: {"insecure": job.ca is None, **login} for host in (job.source, job.destination)}))
    (job.folder / "images.json").write_text(json.dumps({f"{job.source}/{one}": f"{job.destination}/{one}" for one in job.corpus.repositories}))
    return [_SHELL, "-c", "exec image-syncer --proc 16 --auth auth.json --images images.json"]


def _oras(job: Job) -> Sequence[str]:
    plain = ["--from-plain-http", "--to-plain-http"] if job.ca is None else []
    words = ["oras", "copy", "--concurrency", "10", *plain, *(["--recursive"] if job.corpus.referrers else [])]
    return _lines(job, words, [f"{job.source}/{one}:{tag} {job.destination}/{one}:{tag}" for one, tag in _spread(job.tags)], 8)


def _curl(job: Job) -> Sequence[str]:
    """
    Copy only the bytes, with four pairs of curl.

    This is a lower bound: a C program without extra requests and without checks.
    """
    (job.folder / "one.sh").write_text(
        "set -e\n"
        f"repository={job.scheme}://{job.source}/v2/$1 target={job.scheme}://{job.destination}/v2/$1\n"
        'raw=$(curl -s -H "Accept: application/vnd.oci.image.manifest.v1+json" $repository/manifests/$2)\n'
        "for digest in $(printf %s \"$raw\" | grep -o 'sha256:[0-9a-f]*'); do\n"
        "  location=$(curl -s -D - -o /dev/null -X POST $target/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')\n"
        '  curl -s $repository/blobs/$digest | curl -s -o /dev/null -T - -H "Content-Type: application/octet-stream" "$location&digest=$digest"\n'
        "done\n"
        'printf %s "$raw" | curl -s -o /dev/null -X PUT -H "Content-Type: application/vnd.oci.image.manifest.v1+json" --data-binary @- '
        "$target/manifests/$2\n"
    )
    return _lines(job, [_SHELL, "one.sh"], [f"{one} {tag}" for one, tag in job.tags], 4)


def _relay(*options: str) -> Callable[[Job], Sequence[str]]:
    def command(job: Job) -> Sequence[str]:
        (job.folder / "tags.json").write_text(json.dumps(job.tags))
        authority = [] if job.ca is None else ["--ca", str(job.ca)]
        return [sys.executable, "-S", str(Path(__file__).with_name("relay.py")), *options, *authority, "tags.json", job.source, *job.destinations]

    return command


_OWN = str(Path(sys.executable).with_name("imgsync"))
_LIMITS = "`concurrency: {images: 64, queries: 64, blobs: 4}`, and `connections: 64` for each registry"
TOOLS = (
    Tool("imgsync", _OWN, _imgsync(64), _LIMITS, destinations=99),
    Tool("imgsync (defaults)", _OWN, _imgsync(), "no limits declared", destinations=99),
    Tool("skopeo sync", "skopeo", _skopeo_sync, "`--all`, one YAML file of all repositories, the blob-info cache on", caches=True),
    Tool("skopeo copy, 8 processes", "skopeo", _skopeo_each, "`--all`, one tag in each of 8 processes, of different repositories"),
    Tool("crane", "crane", _crane(1, 4), "`copy --all-tags`, one repository after another"),
    Tool("crane, 8 processes of 8", "crane", _crane(8, 8), "`copy --all-tags --jobs 8`, 8 repositories at once"),
    Tool("regsync", "regsync", _regsync(), "`once`, one file of all repositories"),
    Tool("regsync, 16 and 32", "regsync", _regsync(16, 32), "the same with `parallel: 16` and `reqConcurrent: 32`"),
    Tool("regctl, 8 processes", "regctl", _regctl, "`image copy`, one tag in each of 8 processes, of different repositories"),
    Tool("image-syncer", "image-syncer", _image_syncer, "`--proc 16`"),
    Tool("oras, 8 processes", "oras", _oras, "`copy --concurrency 10`, one tag in each of 8 processes, of different repositories"),
    Tool("curl | curl, 4 at once", "curl", _curl, "only the bytes, in 4 shells; no checks", only="large", logs_in=False),
    Tool(
        "relay, 4 at once",
        sys.executable,
        _relay(),
        "only the bytes, `recv_into` and `sendall` in 4 threads; no checks",
        destinations=99,
        only="large",
        logs_in=False,
    ),
    Tool("relay with splice, 4 at once", sys.executable, _relay("--splice"), "the same with `splice(2)`", only="large", logs_in=False, plain_only=True),
)


def other_imgsync(program: str) -> tuple[Tool, ...]:
    """Return the tools that run the imgsync of another checkout, to compare two commits in one run."""
    return (
        Tool("imgsync of --beside", program, _imgsync(64, program=program), _LIMITS, destinations=99),
        Tool("imgsync of --beside (defaults)", program, _imgsync(program=program), "no limits declared", destinations=99),
    )
