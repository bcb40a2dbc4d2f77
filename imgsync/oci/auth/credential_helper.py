"""
Credential helpers: programs that know a login and tell it when asked.

Spec: docker-credential-helpers: `docker-credential-NAME get`, the server on stdin, JSON on stdout; registry-facts "Credential helpers".
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time

from imgsync.errors import CredentialsError
from imgsync.oci.endpoint import Credentials

HELPER_SECONDS = 10.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HUB_KEY = "https://index.docker.io/v1/"
_ANSWER_LIMIT = 64 << 10
_NOTHING_KNOWN = ("credentials not found", "no credentials", "not found in native keychain")


def ask_helper(name: str, registry: str, *, timeout_seconds: float = HELPER_SECONDS) -> Credentials | None:
    """
    Return what `docker-credential-NAME` knows of *registry*, None when it knows nothing.

    It gets no terminal, and is ended after *timeout_seconds*. What it prints is never repeated: among it may be a secret.

    Raises:
        CredentialsError: The helper is missing, fails, hangs, or prints something else than a login.
    """
    if _NAME.fullmatch(name) is None:
        raise CredentialsError("a credential helper with an impossible name is configured", hint="helpers are named by letters, digits, '.', '_' and '-'")
    program = f"docker-credential-{name}"
    server = _HUB_KEY if registry == "docker.io" else registry
    try:
        code, printed = _run(program, f"{server}\n".encode(), timeout_seconds)
    except FileNotFoundError as error:
        raise CredentialsError(f"the credential helper {program} is not installed", hint="install it, or take it out of the configuration") from error
    except subprocess.TimeoutExpired as error:
        raise CredentialsError(
            f"the credential helper {program} did not answer within {timeout_seconds:g}s", hint="it may be waiting for somebody to type; run it by hand"
        ) from error
    except _TooMuchError as error:
        raise CredentialsError(f"the credential helper {program} printed more than {_ANSWER_LIMIT >> 10} KiB, which is no login") from error
    except OSError as error:
        raise CredentialsError(f"the credential helper {program} cannot be run: {error.strerror}") from error
    if code != 0:
        said = printed[:1000].decode("utf-8", "replace").lower()
        if any(text in said for text in _NOTHING_KNOWN):
            return None
        raise CredentialsError(f"the credential helper {program} failed with exit code {code}", hint=f"run `echo {server} | {program} get` by hand")
    return _parsed(printed, program)


def _run(program: str, text: bytes, timeout_seconds: float) -> tuple[int, bytes]:
    """Run `program get` on *text* in a session of its own; return exit code and what it printed, no more than a little over the limit."""
    with subprocess.Popen(  # noqa: S603 - no shell; the name is checked, the rest is ours
        [program, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        ends = time.monotonic() + timeout_seconds
        try:
            printed = _told(process, text, ends)
            return process.wait(max(0.0, ends - time.monotonic())), printed
        except BaseException:
            # With all that it started. What left its session lives on, and is not waited for: the pipe is closed, whoever else holds it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _told(process: subprocess.Popen[bytes], text: bytes, ends: float) -> bytes:
    """Return what *process* prints when it is given *text*, up to its end; by the monotonic second *ends* it has to be there."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    # One that reads nothing may be gone already.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(text)
    pipe, printed = process.stdout.fileno(), b""
    ready = select.poll()
    ready.register(pipe, select.POLLIN | select.POLLHUP)
    while len(printed) <= _ANSWER_LIMIT:
        left = ends - time.monotonic()
        if left <= 0 or not ready.poll(left * 1000):
            raise subprocess.TimeoutExpired(process.args, left)
        piece = os.read(pipe, _ANSWER_LIMIT)
        if not piece:
            return printed
        printed += piece
    raise _TooMuchError


class _TooMuchError(Exception):
    """A helper prints more than any login is long."""


def _parsed(answer: bytes, program: str) -> Credentials | None:
    try:
        document = json.loads(answer)
        username, secret = document["Username"], document["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise CredentialsError(f"the credential helper {program} printed no login")
    if not secret:
        return None
    return Credentials(username, secret, program, identity_token=username == "<token>", renewable=True)
