"""A node: Debian's containerd and skopeo, with the internet replaced by a proxy that records."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.listener import Listener

_READY_SECONDS = 30.0
_PULL_SECONDS = 60.0


class Internet(Listener):
    """
    A proxy for all https of a node.

    Connections to *mirrors* lead to the registry at *port*, over plain http; those to one of `down` and to all other names are refused. `asked` are the
    names, in order.
    """

    def __init__(self, port: int, mirrors: Collection[str], authority: trustme.CA) -> None:
        """Listen; connections are answered when the block is entered."""
        super().__init__()
        self._port = port
        self._mirrors = frozenset(mirrors)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*mirrors).configure_cert(self._tls)
        self.asked: list[str] = []
        self.down: frozenset[str] = frozenset()

    @property
    def upstream(self) -> list[str]:
        """Return the names that are not mirrors, in the order in which they were asked."""
        return [name for name in self.asked if name not in self._mirrors]

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1) or b"\r\n\r\n"
            name = head.split()[1].decode().rpartition(":")[0]
            self.asked.append(name)
            if name not in self._mirrors or name in self.down:
                sock.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with self._tls.wrap_socket(sock, server_side=True) as client:
                    _pump(client, server)


def _pump(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Pass on what either side sends until one is done."""
    while True:
        # Decrypted bytes may wait in the TLS object, where `select` does not see them.
        ready = [client] if client.pending() else select.select([client, server], [], [])[0]
        for one in ready:
            data = one.recv(1 << 16)
            if not data:
                return
            (server if one is client else client).sendall(data)


@dataclass(frozen=True)
class Node:
    """Runs pulls as a node does: through a proxy, with its own settings."""

    folder: Path
    socket: Path
    ca: Path
    proxy: str

    def pull_with_containerd(self, image: str, hosts: Path) -> str:
        """Pull *image* with the hosts.toml below *hosts*; return what failed, "" if nothing."""
        return self._run("ctr", "--address", str(self.socket), "content", "fetch", "--hosts-dir", str(hosts), image)

    def pull_with_skopeo(self, image: str, registries: Path) -> str:
        """Pull *image* with the registries.conf at *registries*; return what failed, "" if nothing."""
        target = tempfile.mkdtemp(dir=self.folder)
        return self._run("skopeo", "--registries-conf", str(registries), "--insecure-policy", "copy", "--all", f"docker://{image}", f"dir:{target}")

    def _run(self, *command: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "HTTPS_PROXY": self.proxy,
            "HTTP_PROXY": self.proxy,
            "SSL_CERT_FILE": str(self.ca),
        }
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=_PULL_SECONDS, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr


@contextlib.contextmanager
def running_containerd() -> Iterator[Path]:
    """Run containerd within the block; return the path of its socket."""
    # A short path: a socket's may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ctrd-", dir="/tmp") as name:
        folder = Path(name)
        owner = f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
        config = folder / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{folder}/grpc"\n{owner}[ttrpc]\naddress = "{folder}/ttrpc"\n{owner}'
        )
        program = shutil.which("containerd") or "/usr/bin/containerd"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, "--config", str(config)], stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "HOME": name})
        try:
            ends = time.monotonic() + _READY_SECONDS
            while not (folder / "grpc").exists():
                if process.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError(f"containerd does not start:\n{(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.01)
            yield folder / "grpc"
        finally:
            process.terminate()
            process.wait(timeout=30)
