"""
Run git so that nothing else is run.

Neither a repository nor the user's settings can start a program. git gets an environment of its own: no configuration of the user or the system,
an empty home, one protocol, and no way to ask. A password is in a file without a name that only git and its helper can read, and so neither in
arguments nor in variables.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from imgsync.concurrency.run_program import ProgramError, ProgramLimits, Surroundings, find_program, run_program
from imgsync.config.fields import read_file
from imgsync.config.git_objects import OFFLINE, SETTINGS
from imgsync.config.git_settings import GitSettings
from imgsync.errors import ImgsyncError, UsageError
from imgsync.serve.declarations.git_url import GitUrl
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message

_PASSWORD_LIMIT_BYTES = 64 << 10
_LOW_SPEED_BYTES, _LOW_SPEED_SECONDS = 1000, 30
_PASSED_ON = ("TMPDIR", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")
_SSH_OPTIONS = (
    *("BatchMode=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "IdentityAgent=none", "UpdateHostKeys=no"),
    *("ForwardAgent=no", "ClearAllForwardings=yes", "PermitLocalCommand=no", "ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=3"),
)
# What a line of git's begins with that says what is wrong.
_TELLING = ("fatal: ", "error: ", "remote: ", "ERROR: ")
_SHOWN_LINES = 3
_END_SECONDS, _POLL_SECONDS = 1.0, 0.02
_HINTS = {
    "could not read username|authentication failed|permission denied|access denied": "set a login that may read it under `serve.git` of registries.yaml",
    "host key verification failed": "put the server's keys into serve.git.ssh.known_hosts, after you have checked them",
    "redirect|error: 30": "name the URL that it redirects to: redirects are not followed",
    "file too large|write error": "keep the declarations in a repository of their own",
}
_CERTIFICATE_HINT = "set serve.git.ca in registries.yaml, if the server has a certificate of your own"


class GitError(ImgsyncError):
    """git could not read the repository; what was read before stays valid."""

    remedy = "run `git ls-remote URL` by hand; the last good declarations stay in use"


@dataclass(frozen=True, slots=True)
class GitLimits:
    """
    The most that git may use.

    `ask_seconds` are for the name of a commit, `file_bytes` for each file that git writes.
    """

    ask_seconds: float = 60.0
    fetch_seconds: float = 300.0
    file_bytes: int = 512 << 20
    output_bytes: int = 96 << 20
    memory_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class GitAccess:
    """
    How git logs in.

    `read_settings` is called each time; `on_secret` receives each password before it is used. `environ` says where git is, and names proxies.
    """

    read_settings: Callable[[], GitSettings]
    environ: Mapping[str, str]
    on_secret: Callable[[str], object] = lambda _: None


class GitCommand:
    """Runs git in one folder of its own."""

    def __init__(self, folder: Path, url: GitUrl, access: GitAccess, *, limits: GitLimits) -> None:
        """
        Find git.

        Raises:
            UsageError: It is not installed.
        """
        environ = access.environ
        path = os.pathsep.join(part for part in environ.get("PATH", os.defpath).split(os.pathsep) if part.startswith("/"))
        found = find_program("git", path=path)
        if found is None:
            raise UsageError("--git needs the program git, which is not on PATH", hint="install git, or follow a folder")
        self._git = found
        self._folder = folder
        self._url = url
        self._access = access
        self._limits = limits
        self._is_closed = False
        self._running = 0
        self._environment = {
            **OFFLINE,
            **{name: environ[name] for name in _PASSED_ON if name in environ},
            "PATH": path,
            "HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(folder / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_DIR": str(folder / "objects.git"),
        }

    def close(self) -> None:
        """End the git that runs, and wait for its end."""
        self._is_closed = True
        ends = time.monotonic() + _END_SECONDS
        while self._running and time.monotonic() < ends:
            time.sleep(_POLL_SECONDS)

    def read(self, *arguments: str, stdin: IO[bytes] | None = None, output_bytes: int | None = None) -> bytes:
        """
        Run git without a network.

        Raises:
            GitError: It fails.
        """
        limits = ProgramLimits(self._limits.fetch_seconds, output_bytes or self._limits.output_bytes, self._limits.memory_bytes, self._limits.file_bytes)
        return self._run(arguments, Surroundings(str(self._folder), self._environment, stdin=stdin), limits)

    def talk(self, *arguments: str, seconds: float) -> bytes:
        """
        Run git with a login and one protocol.

        Raises:
            GitError: It fails, or takes longer than *seconds*.
        """
        settings = self._access.read_settings()
        environment = {**self._environment, "GIT_ALLOW_PROTOCOL": self._url.protocol}
        del environment["GIT_NO_LAZY_FETCH"]
        surroundings = Surroundings(str(self._folder), environment)
        options = ["-c", "credential.helper=", "-c", "core.askPass="]
        limits = ProgramLimits(seconds, self._limits.output_bytes, self._limits.memory_bytes, self._limits.file_bytes)
        with contextlib.ExitStack() as ends:
            if self._url.protocol == "https":
                options += _make_https_options(settings)
                password = _read_password(settings)
                if password:
                    self._access.on_secret(password)
                    number = ends.enter_context(_hide_in_file(f"username={settings.username}\npassword={password}\n"))
                    surroundings = replace(surroundings, inherited=(number,))
                    # After `get`, git appends the operation: `store` and `erase` do nothing.
                    options += ["-c", f'credential.{self._url.server}.helper=!f() {{ test "$1" != get || cat /dev/fd/{number}; }}; f']
            elif self._url.protocol == "ssh":
                surroundings = replace(surroundings, environment={**environment, **_make_ssh_variables(settings)})
            return self._run((*options, *arguments), surroundings, limits)

    def _run(self, arguments: tuple[str, ...], surroundings: Surroundings, limits: ProgramLimits) -> bytes:
        self._running += 1
        try:
            return run_program(self._git, [*SETTINGS, *arguments], replace(surroundings, check=self._raise_if_closed), limits=limits)
        except ProgramError as error:
            raise GitError(self._explain(error), hint=_find_hint(error, self._url)) from error
        finally:
            self._running -= 1

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise GitError("the process ends")

    def _explain(self, error: ProgramError) -> str:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(_TELLING)] or lines[-1:]
        said = "; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in telling[:_SHOWN_LINES])
        return f"{self._url.text}: {sanitize_message(said)}" if said else f"{self._url.text}: {error.message}"


def _make_https_options(settings: GitSettings) -> list[str]:
    options = {
        "http.sslVerify": "true",
        # A redirect would be followed to a host that was not named.
        "http.followRedirects": "false",
        "http.lowSpeedLimit": str(_LOW_SPEED_BYTES),
        "http.lowSpeedTime": str(_LOW_SPEED_SECONDS),
    }
    if settings.ca:
        options["http.sslCAInfo"] = str(Path(settings.ca).absolute())
    return [word for name, value in options.items() for word in ("-c", f"{name}={value}")]


def _make_ssh_variables(settings: GitSettings) -> dict[str, str]:
    """
    Return the variables that make git call ssh as it must.

    Raises:
        GitError: There is no key.
    """
    if not settings.key or not settings.known_hosts:
        raise GitError("a repository by ssh needs a key, and a file with the keys of its server", hint="set serve.git.ssh in registries.yaml")
    known_hosts = f'UserKnownHostsFile="{Path(settings.known_hosts).absolute()}"'
    words = ["ssh", "-F", os.devnull, *(word for option in (*_SSH_OPTIONS, known_hosts) for word in ("-o", option)), "-i", str(Path(settings.key).absolute())]
    return {"GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh"}


def _read_password(settings: GitSettings) -> str:
    """
    Return the password, as its file has it now.

    Raises:
        GitError: The file cannot be read, or has something else.
    """
    if settings.password_file:
        try:
            text = read_file(settings.password_file, limit=_PASSWORD_LIMIT_BYTES).decode().removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise GitError(f"cannot read the password file {settings.password_file}: {reason}", hint="see serve.git in registries.yaml") from error
    else:
        text = settings.password.reveal() if settings.password is not None else ""
    if any(character in text + settings.username for character in "\n\r\0"):
        raise GitError("the login of the repository has a line break", hint="see serve.git.credentials in registries.yaml")
    return text


def _open_nameless() -> IO[bytes]:
    # In memory, where the system can.
    return os.fdopen(os.memfd_create("login"), "w+b") if sys.platform == "linux" else tempfile.TemporaryFile()


@contextlib.contextmanager
def _hide_in_file(text: str) -> Iterator[int]:
    """Give the number of an open file without a name."""
    with _open_nameless() as file:
        file.write(text.encode())
        file.flush()
        # A helper that opens it by its number begins where this one is.
        file.seek(0)
        yield file.fileno()


def _find_hint(error: ProgramError, url: GitUrl) -> str:
    text = error.stderr.lower()
    if error.limit == "seconds":
        return "it is asked again after --git-interval"
    found = (hint for said, hint in _HINTS.items() if re.search(said, text))
    return next(found, _CERTIFICATE_HINT if "certificate" in text and url.protocol == "https" else "")
