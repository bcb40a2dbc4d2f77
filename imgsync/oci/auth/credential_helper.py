"""
Ask credential helpers, the programs named `docker-credential-NAME`.

Spec: docker-credential-helpers: `docker-credential-NAME get` reads the server from stdin and writes JSON to stdout.
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
_OUTPUT_LIMIT = 64 << 10
_NOT_FOUND_TEXTS = ("credentials not found", "no credentials", "not found in native keychain")


def ask_helper(name: str, registry: str, *, timeout_seconds: float = HELPER_SECONDS) -> Credentials | None:
    """
    Return the credentials for *registry* from `docker-credential-NAME`, None if it has none.

    The helper gets no terminal and is killed after *timeout_seconds*. Its output is never shown, because it may contain a secret.

    Raises:
        CredentialsError: The helper is missing, fails, hangs, or prints something else than credentials.
    """
    if _NAME.fullmatch(name) is None:
        raise CredentialsError("a configured credential helper has an invalid name", hint="use letters, digits, '.', '_' and '-'")
    program = f"docker-credential-{name}"
    server = _HUB_KEY if registry == "docker.io" else registry
    try:
        code, printed = _run(program, f"{server}\n".encode(), timeout_seconds)
    except FileNotFoundError as error:
        raise CredentialsError(f"the credential helper {program} is not installed", hint="install it, or remove it from the configuration") from error
    except subprocess.TimeoutExpired as error:
        raise CredentialsError(
            f"the credential helper {program} did not answer within {timeout_seconds:g}s", hint="it may wait for input; run it by hand"
        ) from error
    except _TooMuchError as error:
        raise CredentialsError(f"the credential helper {program} printed more than {_OUTPUT_LIMIT >> 10} KiB, too much for credentials") from error
    except OSError as error:
        raise CredentialsError(f"the credential helper {program} cannot be run: {error.strerror}") from error
    if code != 0:
        message = printed[:1000].decode("utf-8", "replace").lower()
        if any(text in message for text in _NOT_FOUND_TEXTS):
            return None
        raise CredentialsError(f"the credential helper {program} failed with exit code {code}", hint=f"run `echo {server} | {program} get` by hand")
    return _parse(printed, program)


def _run(program: str, text: bytes, timeout_seconds: float) -> tuple[int, bytes]:
    """Run `program get` in its own session; return exit code and output."""
    with subprocess.Popen(  # noqa: S603 - no shell; the name is checked, the rest is ours
        [program, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        ends = time.monotonic() + timeout_seconds
        try:
            printed = _communicate(process, text, ends)
            return process.wait(max(0.0, ends - time.monotonic())), printed
        except BaseException:
            # Kills its children too. A process that left the session survives; closing the pipe means not waiting for it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _communicate(process: subprocess.Popen[bytes], text: bytes, ends: float) -> bytes:
    """Write *text* to *process* and return its output before *ends*."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    # A helper that reads nothing may have exited already.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(text)
    pipe, printed = process.stdout.fileno(), b""
    ready = select.poll()
    ready.register(pipe, select.POLLIN | select.POLLHUP)
    while len(printed) <= _OUTPUT_LIMIT:
        left = ends - time.monotonic()
        if left <= 0 or not ready.poll(left * 1000):
            raise subprocess.TimeoutExpired(process.args, left)
        piece = os.read(pipe, _OUTPUT_LIMIT)
        if not piece:
            return printed
        printed += piece
    raise _TooMuchError


class _TooMuchError(Exception):
    """The helper prints more than any credentials need."""


def _parse(output: bytes, program: str) -> Credentials | None:
    try:
        document = json.loads(output)
        username, secret = document["Username"], document["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise CredentialsError(f"the credential helper {program} printed no credentials")
    if not secret:
        return None
    return Credentials(username, secret, program, identity_token=username == "<token>", renewable=True)
