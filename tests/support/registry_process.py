"""Debian's docker-registry as a process, observed by its access log."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
import trustme

from tests.support.images import ANY_MANIFEST
from tests.support.plain_http import PlainAnswer, PlainClient

PROGRAMS = ("docker-registry", "skopeo")
# A password of its own shape, so that a leak of it can be searched for anywhere.
LOGIN = ("robot", "harness-password")
_HTPASSWD = "robot:$2b$05$abcdefghijklmnopqrstuu7e8lpPVhw0YYbfTTM8eXwhdht1Knm26\n"
_LINE = re.compile(r'"(?P<method>[A-Z]+) (?P<target>\S+) (?P<protocol>HTTP/[\d.]+)" (?P<status>\d{3}) (?P<bytes>\d+)')
_READY_SECONDS = 20.0
_NO_PURGE = "maintenance: {uploadpurging: {enabled: false}}"


@dataclass(frozen=True, slots=True)
class Logged:
    """One request of the access log; `target` is path and query."""

    method: str
    target: str
    status: int
    protocol: str = field(default="", compare=False)
    """`HTTP/1.1`, `HTTP/2.0`, or "" where the log does not say."""

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return self.target.partition("?")[0]

    def __str__(self) -> str:
        """`GET /v2/ 200`."""
        return f"{self.method} {self.target} {self.status}"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: certificate, key, authority, and the authority of clients."""

    certificate: Path
    key: Path
    ca: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """Token settings: realm, service, issuer, root certificate, and how to sign."""

    realm: str
    service: str
    issuer: str
    root: Path
    issue: Callable[[str], str]


class RegistryProcess:
    """One running registry at `host` (HOST:PORT), with its `requests()`."""

    program = "docker-registry"
    # A quarter of its processor time is the garbage collector's, which has nothing to do below the limit.
    tuning: ClassVar[Mapping[str, str]] = {"GOGC": "off", "GOMEMLIMIT": "64MiB", "GOMAXPROCS": "1"}

    def __init__(self, folder: Path, *, htpasswd: bool = False, tls: Tls | None = None, token: TokenAuth | None = None, deletes: bool = True) -> None:
        """Prepare a registry that keeps everything in *folder*; `start` starts it."""
        self._folder = folder
        self._htpasswd = htpasswd
        self._tls = tls
        self._token = token
        self._deletes = deletes
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "access.log"
        self._ends = contextlib.ExitStack()
        self.login = LOGIN if htpasswd else None
        self.port = 0
        self.clients_certificate: tuple[Path, Path] | None = None

    @property
    def host(self) -> str:
        """Return HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the registry's URL without a trailing slash."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def storage(self) -> Path:
        """Return where the registry keeps its files: `blobs` and `repositories`."""
        return self._folder / "data" / "docker" / "registry" / "v2"

    @property
    def pid(self) -> int:
        """Return the process's id."""
        assert self._process is not None
        return self._process.pid

    def __str__(self) -> str:
        """Return the host, so that f"{registry}/name:tag" is a reference."""
        return self.host

    def start(self) -> None:
        """Start on a free port and return once `/v2/` answers."""
        for _ in range(5):
            self.port = find_free_port()
            if self._started():
                return
        raise RuntimeError(f"the registry does not start:\n{self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop the process that was started, and no other."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None
        self._ends.close()

    def client(self, scope: str = "") -> httpx.Client:
        """Return an HTTP client with the *scope*; the caller closes it."""
        headers = {"Authorization": f"Bearer {self._token.issue(scope)}"} if self._token else {}
        return httpx.Client(base_url=self.url, auth=self.login, headers=headers, verify=self._verify(), trust_env=False, timeout=30)

    def _quick_client(self, scope: str = "") -> httpx.Client | PlainClient:
        return PlainClient(self.host) if self.login is None and self._token is None and self._tls is None else self.client(scope)

    @property
    def ca(self) -> Path:
        """Return the file of the authority that this registry's certificate is of."""
        assert self._tls is not None
        return self._tls.ca

    def trust(self) -> ssl.SSLContext:
        """Return a TLS context that trusts this registry."""
        assert self._tls is not None
        context = ssl.create_default_context(cafile=str(self._tls.ca))
        if self.clients_certificate is not None:
            context.load_cert_chain(*self.clients_certificate)
        return context

    def get(self, path: str, *, accept: str = "*/*") -> httpx.Response | PlainAnswer:
        """Send one GET of */v2/path* with the scope that it needs."""
        repository = re.sub(r"/(manifests|blobs|tags)/.*", "", path)
        with self._quick_client(f"repository:{repository}:pull") as client:
            return client.get(f"/v2/{path}", headers={"Accept": accept})

    def tags(self, repository: str) -> list[str]:
        """Return the tags of *repository*, sorted; none when it does not exist."""
        answer = self.get(f"{repository}/tags/list")
        return sorted(answer.json().get("tags") or []) if answer.status_code == 200 else []

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest that the tag names, None when there is none."""
        answer = self.get(f"{repository}/manifests/{tag}", accept=ANY_MANIFEST)
        return answer.headers["docker-content-digest"] if answer.status_code == 200 else None

    def digests(self, tags: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str | None]:
        """Return the digest of each (repository, tag), or None."""
        answers = {}
        for scope, group in itertools.groupby(tags, lambda tag: f"repository:{tag[0]}:pull" if self._token else ""):
            with self._quick_client(scope) as client:
                answers |= {(one, tag): client.head(f"/v2/{one}/manifests/{tag}", headers={"Accept": ANY_MANIFEST}) for one, tag in group}
        return {key: answer.headers["docker-content-digest"] if answer.status_code == 200 else None for key, answer in answers.items()}

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, and with it every tag that names it."""
        with self._quick_client(f"repository:{repository}:delete") as client:
            answer = client.delete(f"/v2/{repository}/manifests/{digest}")
        assert answer.status_code == 202, answer.text

    def mark(self) -> int:
        """Return a mark for `requests(since=mark)`."""
        self._settle()
        return self._log.stat().st_size

    def requests(self, since: int = 0, *, prefix: str = "") -> tuple[Logged, ...]:
        """Return the requests since a mark, whose target begins with *prefix*."""
        self._settle()
        found = self.read_log(self._log_since(since))
        return tuple(one for one in found if one.target.startswith(prefix) and "/harness-settle/" not in one.target)

    def sent(self, since: int = 0) -> int:
        """Return how many bytes of bodies were answered since a mark."""
        self._settle()
        return sum(int(line["bytes"]) for line in _LINE.finditer(self._log_since(since)))

    @staticmethod
    def read_log(text: str) -> Iterator[Logged]:
        """Yield the requests that the lines of an access log name."""
        return (Logged(line["method"], line["target"], int(line["status"]), line["protocol"]) for line in _LINE.finditer(text))

    def _verify(self) -> ssl.SSLContext | bool:
        """Return the TLS context, or False for plain http, which is faster."""
        return self.trust() if self._tls else False

    def _log_since(self, offset: int) -> str:
        with self._log.open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")

    def _settle(self) -> None:
        """Wait until a request of ours is in the log."""
        path = f"/v2/harness-settle/{uuid.uuid4().hex}"
        before = self._log.stat().st_size
        with self._quick_client() as client:
            client.get(path)
        ends = time.monotonic() + _READY_SECONDS
        while path not in self._log_since(before):
            if time.monotonic() > ends:
                raise RuntimeError("the registry's access log does not grow")
            time.sleep(0.002)

    def _started(self) -> bool:
        config = self._folder / "config.yml"
        config.write_text(self.configure())
        with self._log.open("ab") as log:
            environment = {"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none", **self.tuning}
            program = shutil.which(self.program) or self.program
            self._process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=self._folder)
        ends = time.monotonic() + _READY_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def configure(self) -> str:
        """Return the content of the configuration file."""
        deletes = str(self._deletes).lower()
        parts = [
            "version: 0.1",
            "log: {level: error, accesslog: {disabled: false}}",
            f"storage: {{filesystem: {{rootdirectory: '{self._folder}/data'}}, delete: {{enabled: {deletes}}}, {_NO_PURGE}}}",
            f"http: {{addr: '{self.host}', secret: harness, {self._tls_configuration()}}}",
        ]
        if self._htpasswd:
            (self._folder / "htpasswd").write_text(_HTPASSWD)
            parts.append(f"auth: {{htpasswd: {{realm: harness, path: '{self._folder}/htpasswd'}}}}")
        if self._token:
            token = self._token
            parts.append(f"auth: {{token: {{realm: '{token.realm}', service: '{token.service}', issuer: '{token.issuer}', rootcertbundle: '{token.root}'}}}}")
        return "\n".join(parts) + "\n"

    def _tls_configuration(self) -> str:
        if self._tls is None:
            return ""
        clients = f", clientcas: ['{self._tls.client_ca}']" if self._tls.client_ca else ""
        return f"tls: {{certificate: '{self._tls.certificate}', key: '{self._tls.key}'{clients}}}"


def tls_files(folder: Path, authority: trustme.CA, *, host: str = "127.0.0.1", client_authority: trustme.CA | None = None) -> Tls:
    """Write certificate, key and authority for *host*; return their paths."""
    files = Tls(folder / "server.pem", folder / "server-key.pem", folder / "ca.pem", folder / "client-ca.pem" if client_authority else None)
    issued = authority.issue_cert(host)
    files.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.ca))
    if client_authority is not None and files.client_ca is not None:
        client_authority.cert_pem.write_to_path(str(files.client_ca))
    return files


@contextlib.contextmanager
def running_registry(
    folder: Path,
    *,
    htpasswd: bool = False,
    tls: Tls | None = None,
    token: TokenAuth | None = None,
    clients_certificate: tuple[Path, Path] | None = None,
    deletes: bool = True,
    kind: type[RegistryProcess] = RegistryProcess,
) -> Iterator[RegistryProcess]:
    """
    Run a registry within the block; without the program the session ends.

    *clients_certificate* (certificate, key) is what the tests show to a registry with a `client_ca`. If it *deletes*, then by digest only.
    """
    require_programs()
    folder.mkdir(parents=True, exist_ok=True)
    registry = kind(folder, htpasswd=htpasswd, tls=tls, token=token, deletes=deletes)
    registry.clients_certificate = clients_certificate
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def require_programs() -> None:
    """End the session if a program is missing, rather than skip tests."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.exit(f"{' and '.join(missing)} missing; run: apt-get install {' '.join(PROGRAMS)}", returncode=4)


def find_free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
