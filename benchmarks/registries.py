"""The registries that a scenario runs between, plain or with TLS and tokens."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import trustme

from benchmarks.corpora import Corpus
from benchmarks.programs import find_version
from benchmarks.works import Work
from tests.support.registry_process import Logged, RegistryProcess, Tls, TokenAuth, running_registry, tls_files
from tests.support.token_server import TokenServer

_KEPT = Path(__file__).parent / ".corpora"


class Debian(RegistryProcess):
    """Debian's docker-registry as it is, without what makes tests quick."""

    tuning: ClassVar[Mapping[str, str]] = {}


class Distribution3(Debian):
    """The registry of the distribution project, version 3."""

    program = "registry"


class Zot(Debian):
    """The registry zot. It knows no bearer tokens of the benchmark's server."""

    program = "zot"

    @staticmethod
    def read_log(text: str) -> Iterator[Logged]:
        """Yield the requests that the lines of an access log name."""
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                document = json.loads(line)
                yield Logged(document["method"], document["path"], int(document["statusCode"]))

    def configure(self) -> str:
        """Return the content of the configuration file."""
        tls = {} if self._tls is None else {"tls": {"cert": str(self._tls.certificate), "key": str(self._tls.key)}}
        http = {"address": "127.0.0.1", "port": str(self.port), **tls}
        return json.dumps({"storage": {"rootDirectory": str(self._folder / "data"), "gc": False}, "http": http, "log": {"level": "info"}})


KINDS: dict[str, type[RegistryProcess]] = {"docker-registry": Debian, "distribution 3": Distribution3, "zot": Zot}


def has_registry(kind: str) -> bool:
    """Return whether the program of this kind of registry is on PATH."""
    program = shutil.which(KINDS[kind].program)
    # Other programs are named `registry` too.
    return program is not None and (kind != "distribution 3" or "/v3" in _version(program))


def registry_programs() -> dict[str, str]:
    """Return the program of each kind of registry on PATH."""
    return {kind: KINDS[kind].program for kind in KINDS if has_registry(kind)}


def registry_versions() -> dict[str, str]:
    """Return what each registry on PATH says of its version."""
    return {kind: find_version(_version(program)) for kind, program in registry_programs().items()}


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Contents:
    """What the source holds: the tags with their digests, and its bytes."""

    digests: dict[tuple[str, str], str | None]
    unique_bytes: int


@dataclass(frozen=True, slots=True)
class Security:
    """What the registries of one scenario need to trust and to ask."""

    tls: Tls | None = None
    token: TokenAuth | None = None

    @property
    def token_server(self) -> str | None:
        """Return the URL of the token server without its path."""
        return self.token and self.token.realm.removesuffix("/token")


def fill(corpus: Corpus) -> Contents:
    """Push *corpus* to a folder that later benchmarks use again."""
    folder = _KEPT / corpus.name
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
    with running_registry(folder) as registry:
        if not ready.exists():
            corpus.push(registry.host)
            ready.touch()
        tags = [(repository, tag) for repository in corpus.repositories for tag in registry.tags(repository)]
        blobs = (registry.storage / "blobs").glob("*/*/*/data")
        return Contents(registry.digests(tags), sum(blob.stat().st_size for blob in blobs))


@contextlib.contextmanager
def serving_source(corpus: Corpus, security: Security) -> Iterator[RegistryProcess]:
    """Run the registry that `fill` filled."""
    with running_registry(_KEPT / corpus.name, tls=security.tls, token=security.token, kind=Debian) as registry:
        yield registry


@contextlib.contextmanager
def serving_destination(folder: Path, work: Work, security: Security) -> Iterator[RegistryProcess]:
    """Run an empty registry of the kind that *work* copies to."""
    with running_registry(folder, tls=security.tls, token=security.token, kind=KINDS[work.destination]) as registry:
        yield registry


@contextlib.contextmanager
def securing(folder: Path, work: Work) -> Iterator[Security]:
    """Make the certificates of *work* in *folder*, and run its token server."""
    authority = trustme.CA() if work.tls else None
    tls = _certify(folder / "registry", authority, "127.0.0.1")
    if not work.token:
        yield Security(tls)
        return
    server = TokenServer(folder, tls=_certify(folder / "tokens", authority, "localhost"))
    server.needs_login = True
    with server.running() as tokens, line(work, tokens.host) as seen:
        # crane sends no login to a token server at an address of loopback, but to one with a name.
        yield Security(tls, dataclasses.replace(tokens.auth, realm=f"{server.scheme}://{seen.replace('127.0.0.1', 'localhost')}/token"))


def _certify(folder: Path, authority: trustme.CA | None, host: str) -> Tls | None:
    if authority is None:
        return None
    folder.mkdir()
    return tls_files(folder, authority, host=host)


@contextlib.contextmanager
def line(work: Work, host: str, *, side: str = "source") -> Iterator[str]:
    """Return the HOST:PORT that tools use to reach *host*."""
    if work.line is None or work.sides not in {"both", side}:
        yield host
        return
    command = [sys.executable, "-m", "benchmarks.line", *(f"{figure:g}" for figure in work.line), host]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
