"""
Start imgsync by forking a process that has done its imports.

Most of a short run is importing, and the suite runs the program thousands of times. So a process that has imported everything, and done nothing else,
forks one for each run, with its own pid, files and environment.
`tests/cli/test_program.py` and `tests/system/test_lazy_import.py` test real starts.
"""

from __future__ import annotations

import _socket
import array
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.shaken import shake_program

_FDS = 4
_MESSAGE_LIMIT = 1 << 20
# What runs import when they first need it: libraries, what checks a signature, and what a request and a name of a host need.
_LIBRARIES = (
    *("click", "email.utils", "h11", "httptools", "httpx", "jinja2", "prometheus_client", "re2", "tenacity"),
    *("cryptography.hazmat.backends.openssl.backend", "cryptography.hazmat.primitives.serialization"),
    *("_strptime", "encodings.ascii", "encodings.idna", "encodings.unicode_escape", "gevent.resolver.thread"),
)
_PROGRAM = "from tests.support.forked import serve; serve(0)"


class Forked(subprocess.Popen[str]):
    """A forked run of imgsync with Popen's interface."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], terminal: str = "") -> None:
        """
        Start imgsync with *arguments* in *cwd*, with *env* as its whole environment.

        If a *terminal* is named, imgsync is the first program of a session there, and the pipes stay empty.
        """
        self._terminal = terminal
        self._words = [str(argument) for argument in arguments]
        self._status = -1
        # The most memory that the run had, known when it has ended.
        self.peak_bytes = 0
        command = [sys.executable, "-m", "imgsync", *self._words]
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=dict(env))

    def _execute_child(self, *given: Any) -> None:
        # As subprocess's own has been called for years: args, executable, preexec_fn, close_fds, pass_fds, cwd, env, …, then the ends of the pipes.
        cwd, env, pipes = given[5], given[6], given[10:16]
        self._status, status = os.pipe()
        _send(_server(), {"arguments": self._words, "cwd": str(cwd), "env": env, "terminal": self._terminal}, [pipes[0], pipes[3], pipes[5], status])
        os.close(status)
        self._close_pipe_fds(*pipes)
        (self.pid,) = struct.unpack("i", os.read(self._status, 4))
        self._child_created = True

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if flags & os.WNOHANG and not self._has_told():
            return 0, 0
        told = os.read(self._status, 8)
        os.close(self._status)
        # Nothing to report: the forking process was killed too.
        status, peak_kib = struct.unpack("ii", told) if told else (signal.SIGKILL, 0)
        self.peak_bytes = peak_kib << 10
        return self.pid, status

    def _has_told(self) -> bool:
        asked = select.poll()
        asked.register(self._status, select.POLLIN)
        return bool(asked.poll(0))


@cache
def _server() -> Any:
    """Return the socket to the forking process."""
    ours, theirs = _socket_pair()
    root = Path(__file__).parents[2]
    kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START", "IMGSYNC_TEST_SHAKEN") if name in os.environ}
    subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=theirs.fileno(), cwd=root, env=kept | {"LANG": "C.UTF-8", "TZ": "UTC"})
    theirs.close()
    return ours


def _socket_pair() -> tuple[Any, Any]:
    import socket

    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _send(to: Any, message: object, descriptors: list[int]) -> None:
    packed = array.array("i", descriptors).tobytes()
    to.sendmsg([json.dumps(message).encode()], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])


def serve(descriptor: int) -> None:
    """Import everything, then fork a run for each message on *descriptor*."""
    _import_all()
    _warm()
    # What is here stays as it is, so that runs share its pages.
    gc.collect()
    gc.freeze()
    # What gevent patched is for the runs: a hub that lived here would be in all of them.
    from gevent.monkey import get_original

    ready = get_original("select", "poll")()
    server = _socket.socket(fileno=os.dup(descriptor))
    ready.register(server, select.POLLIN)
    runs: dict[int, tuple[int, int]] = {}
    while True:
        for one, _ in ready.poll():
            if one == server.fileno():
                ended, pid, status = _start(server, runs)
                runs[ended] = pid, status
                ready.register(ended, select.POLLIN)
            else:
                ready.unregister(one)
                _tell_end(one, *runs.pop(one))


def _start(server: Any, runs: Mapping[int, tuple[int, int]]) -> tuple[int, int, int]:
    """Fork the run of the next message; return its pidfd, its pid, and where to tell its end."""
    from gevent.monkey import get_original

    message, ancillary, _, _ = server.recvmsg(_MESSAGE_LIMIT, _socket.CMSG_SPACE(_FDS * 4))
    if not message:
        os._exit(0)
    *pipes, status = array.array("i", ancillary[0][2]).tolist()
    pid = get_original("os", "fork")()
    if not pid:
        server.close()
        for one in (status, *runs, *(place for _, place in runs.values())):
            os.close(one)
        _run(json.loads(message), pipes)
    for one in pipes:
        os.close(one)
    os.write(status, struct.pack("i", pid))
    return os.pidfd_open(pid), pid, status


def _tell_end(ended: int, pid: int, status: int) -> None:
    from gevent.monkey import get_original

    _, code, usage = get_original("os", "wait4")(pid, 0)
    # Who started it may be gone.
    with contextlib.suppress(BrokenPipeError):
        os.write(status, struct.pack("ii", code, usage.ru_maxrss))
    os.close(status)
    os.close(ended)


def _import_all() -> None:
    from imgsync import __main__ as door

    door._patch_sockets()
    import imgsync

    for module in pkgutil.walk_packages(imgsync.__path__, "imgsync."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _LIBRARIES:
        importlib.import_module(name)


def _warm() -> None:
    """Do once what each run would do first, and what depends on nothing: compile methods, patterns and schemas."""
    parts = [module for name, module in sys.modules.items() if name.startswith("imgsync.")]
    for made in {one for module in parts for one in vars(module).values() if isinstance(one, type)}:
        for method in [one for one in vars(made).values() if getattr(one, "__qualname__", "").startswith("_compile_later.")]:
            # It replaces itself, then fails for want of values.
            with contextlib.suppress(AttributeError, TypeError):
                method(object())
    from imgsync.config.load import load_config

    root = Path(__file__).parents[2]
    load_config([str(root / "mirrors.d")], registries=str(root / "registries.example.yaml"), environ={}, needs_variables=False)


def _become_session(terminal: str) -> None:
    """Read from and write to *terminal*, whose Ctrl-C is then a signal."""
    os.setsid()
    descriptor = os.open(terminal, os.O_RDWR)
    for number in range(3):
        os.dup2(descriptor, number)
    os.close(descriptor)


def _run(message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Become the run that *message* describes, and end with its exit code."""
    from imgsync.system.early_signals import end_at_signal

    # As a real start does, before a terminal can send one.
    end_at_signal()
    for number, one in enumerate(descriptors):
        os.dup2(one, number)
    for one in descriptors:
        os.close(one)
    if message["terminal"]:
        _become_session(message["terminal"])
    os.chdir(message["cwd"])
    os.environ.clear()
    os.environ.update(message["env"])
    time.tzset()
    random.seed()
    from imgsync.system.stdio import protect_streams

    sys.argv = ["imgsync", *message["arguments"]]
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8", errors="surrogateescape")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8", errors="surrogateescape")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.__stdin__ = sys.stdin
    protect_streams()
    shake_program()
    from imgsync.cli import run

    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing is left to do, and taking down all that was imported costs more than most runs.
    os._exit(code)
