"""
Search all output of the tests for credentials.

Every password and token of the suite contains SECRET with a hyphen, except the login of the real registries and the tokens that the token server signs.
So a few short marks, in each encoding, find them all. What every run printed and every file that it wrote is searched when it ends; requests that proxies
recorded are searched for the passwords of other hosts. `tests/conftest.py` ends each test with `CANARY.leaks()`.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import stat
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import yaml

from tests.support.forked import Forked
from tests.support.registry_process import LOGIN

# As every token of `tests.support.token_server` begins: {"typ":"JWT".
_SIGNED = b"eyJ0eXAiOiJKV1Qi"
_CONTEXT = 30
# Headers with credentials.
_WHO = re.compile(r"'(authorization|proxy-authorization|cookie|private-token|x-amz-security-token)'")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_INPUT_LIMIT = 1 << 20


def _encoded(text: str) -> Iterator[bytes]:
    """Yield the base64 of *text* for each of three offsets."""
    for before in range(3):
        code = base64.b64encode(b"\0" * before + text.encode())
        yield code[-(-before * 8 // 6) : (before + len(text.encode())) * 8 // 6]


_MARKS = (_SIGNED, *chain.from_iterable((text.encode(), *_encoded(text)) for text in ("-SECRET", "SECRET-", LOGIN[1])))


def secrets_in(said: str | bytes) -> list[str]:
    """Return the surroundings of every credential in *said*, in any encoding."""
    data = said.encode("utf-8", "surrogateescape") if isinstance(said, str) else said
    return [data[max(0, at - _CONTEXT) : at + _CONTEXT].decode("latin-1") for mark in _MARKS if (at := data.find(mark)) >= 0]


class Recorder(Protocol):
    """A host that records what it is sent, as a FaultProxy does."""

    @property
    def host(self) -> str:
        """Return HOST:PORT."""
        ...

    def everything(self) -> str:
        """Return all that was received."""
        ...


class Canary:
    """What one test's runs and hosts are watched for."""

    def __init__(self) -> None:
        """Begin with nothing to watch."""
        self._begin()

    def _begin(self) -> None:
        self._found: list[str] = []
        self._runs: list[Watched] = []
        self._hosts: list[Recorder] = []
        # The passwords that runs were given, each with the hosts that may know it.
        self._owners: defaultdict[str, set[str]] = defaultdict(set)

    def told(self, said: str | bytes, where: str) -> None:
        """Search what was said *where* by a run of the program."""
        self._found += [f"{where} shows a credential: {leak!r}" for leak in secrets_in(said)]

    def runs(self, run: Watched) -> None:
        """Watch *run* until the test's end."""
        self._runs.append(run)

    def serves(self, host: Recorder) -> None:
        """Watch what *host* is sent until the test's end."""
        self._hosts.append(host)

    def received(self, host: Recorder) -> None:
        """Search what *host* received for credentials of other hosts."""
        sent = host.everything()
        if not host.host.startswith("127.0.0.1:"):
            self._found += [f"the foreign host {host.host} was sent {leak!r}" for leak in (*secrets_in(sent), *_WHO.findall(sent))]
            return
        data = sent.encode("latin-1", "replace") if self._owners else b""
        for password, owners in self._owners.items():
            if host.host not in owners and any(form in data for form in (password.encode(), quote(password, safe="").encode(), *_encoded(password))):
                self._found.append(f"{host.host} was sent the password of {', '.join(sorted(owners))}: {password!r}")

    def given(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Record whose passwords a run in *folder* can read."""
        for file in (folder / "registries.yaml", folder / "docker" / "config.json", folder / "auth.json"):
            text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() and file.stat().st_size < _INPUT_LIMIT else ""
            if "credentials" in text or '"auths"' in text:
                with contextlib.suppress(ValueError, yaml.YAMLError, AttributeError, TypeError, RecursionError):
                    self._note(json.loads(text) if text.startswith("{") else yaml.load(text, Loader=yaml.CSafeLoader), environ)

    def leaks(self) -> list[str]:
        """Return the leaks since the last call, and start again."""
        for run in self._runs:
            run.look()
        for host in self._hosts:
            self.received(host)
        found = self._found
        self._begin()
        return found

    def _note(self, document: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        for host, trusted in (document.get("registries") or {}).items():
            password = ((trusted or {}).get("credentials") or {}).get("password")
            if isinstance(password, str):
                listing = trusted.get("listing")
                named = [trusted.get("token_server"), listing.get("url") if isinstance(listing, dict) else None]
                self._own(_VARIABLE.sub(lambda found: environ.get(found[1], ""), password), host, *(urlsplit(url).netloc for url in named if url))
        for host, entry in (document.get("auths") or {}).items():
            decoded = base64.b64decode(entry.get("auth", "")).decode("utf-8", "replace").partition(":")[2]
            for password in (decoded, *(entry.get(name) for name in ("password", "identitytoken", "registrytoken"))):
                self._own(password, host.partition("/")[0])

    def _own(self, password: str | None, *hosts: str) -> None:
        if password and len(password) > 5:
            self._owners[password].update(hosts)


CANARY = Canary()


class Watch:
    """Remembers the files of some folders; `look` searches files written since."""

    def __init__(self, *folders: Path) -> None:
        """Look at *folders*, and all below them."""
        self._folders = set(folders)
        self._before = dict(self._files())

    def look(self, who: str) -> None:
        """Search each file that is new or changed, as left by *who*."""
        for path, mark in self._files():
            if self._before.get(path) != mark:
                with contextlib.suppress(OSError):
                    CANARY.told(Path(path).read_bytes(), f"{path}, left by {who},")

    def _files(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        """Yield each file with what changes when it is written."""
        for folder in self._folders:
            for root, _, names in os.walk(folder):
                for name in names:
                    path = os.path.join(root, name)  # noqa: PTH118 - once for each file and run
                    with contextlib.suppress(OSError):
                        seen = os.lstat(path)
                        if stat.S_ISREG(seen.st_mode):
                            yield path, (seen.st_mtime_ns, seen.st_size, seen.st_ino)


def run_watched(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end; search its output and files."""
    watch, who = Watch(cwd), " ".join(command)
    done = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False, timeout=110)
    watch.look(who)
    CANARY.told(done.stdout + done.stderr, who)
    return done


class Watched(Forked):
    """A run whose output and files are searched when it ends."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], folder: Path) -> None:
        """Start it."""
        self._watch: Watch | None = Watch(folder, cwd)
        CANARY.given(folder, env)
        super().__init__(arguments, cwd=cwd, env=env)
        self.stdout, self._out = _overheard(self.stdout)
        self.stderr, self._err = _overheard(self.stderr)
        CANARY.runs(self)

    def communicate(self, *arguments: Any, **options: Any) -> tuple[str, str]:
        """Return what it printed, and keep it."""
        out, err = super().communicate(*arguments, **options)
        # Nothing of a stream that the test closed.
        self._out.heard += (out or "").encode()
        self._err.heard += (err or "").encode()
        return out, err

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and search before the test writes more."""
        code = super().wait(timeout)
        self._look_at_files()
        return code

    def look(self) -> None:
        """Search all that it printed and left."""
        self._look_at_files()
        for name, heard in (("stdout", self._out), ("stderr", self._err)):
            CANARY.told(heard.heard + heard.rest(), f"{name} of {' '.join(self._words)}")

    def _look_at_files(self) -> None:
        if self._watch is not None:
            self._watch.look(" ".join(self._words))
            self._watch = None


class _Heard(io.FileIO):
    """A pipe's end that remembers what was read from it."""

    heard = b""

    def readinto(self, buffer: Any) -> int | None:
        """Read, and remember."""
        size = super().readinto(buffer)
        self.heard += bytes(memoryview(buffer)[: size or 0])
        return size

    def readall(self) -> bytes:
        """Read to the end, and remember."""
        return b"".join(iter(lambda: self.read(1 << 16) or b"", b""))

    def read(self, size: int | None = -1, /) -> bytes | None:
        """Read, and remember."""
        data = super().read(size)
        self.heard += data or b""
        return data

    def rest(self) -> bytes:
        """Return the unread output without waiting."""
        if self.closed:
            return b""
        os.set_blocking(self.fileno(), False)
        return b"".join(iter(lambda: super(_Heard, self).read(1 << 16) or b"", b""))


def _overheard(pipe: Any) -> tuple[io.TextIOWrapper, _Heard]:
    """Return a reader like *pipe* that remembers, and its memory."""
    heard = _Heard(os.dup(pipe.fileno()))
    encoding, errors = pipe.encoding, pipe.errors
    pipe.close()
    return io.TextIOWrapper(io.BufferedReader(heard), encoding=encoding, errors=errors), heard
