"""An API server that knows Leases alone, with a real compare-and-swap."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import trustme

TOKEN = "token-of-the-service-account"
_PREFIX = "/apis/coordination.k8s.io/v1/namespaces/"


@dataclass(frozen=True, slots=True)
class Held:
    """Who held a lease from `at` on, in seconds of the monotonic clock; "" is none."""

    at: float
    holder: str
    verb: str


@dataclass(slots=True)
class FakeKubernetes:
    """Listens on loopback with TLS; `history` has every change by namespace and name."""

    authority: trustme.CA
    token: str = TOKEN
    answer: Callable[[str, str], tuple[int, bytes] | None] = lambda _method, _path: None
    """Returns what to answer instead, for a method and a path."""
    history: dict[str, list[Held]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    _leases: dict[str, dict[str, Any]] = field(default_factory=dict)
    _version: int = 100
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _make_handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server.context = context
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def write_account(self, folder: Path, namespace: str) -> dict[str, str]:
        """Write the files of a service account; return the variables of its pod."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "namespace").write_text(namespace)
        (folder / "token").write_text(f"{self.token}\n")
        self.authority.cert_pem.write_to_path(str(folder / "ca.crt"))
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port), "IMGSYNC_LEASE_ACCOUNT": str(folder)}

    def read(self, namespace: str, name: str = "imgsync") -> dict[str, Any] | None:
        with self._lock:
            return self._leases.get(f"{namespace}/{name}")

    def put(self, namespace: str, name: str = "imgsync", **spec: object) -> None:
        """Make a lease, as another client does."""
        with self._lock:
            self._store(f"{namespace}/{name}", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}, "put")

    def edit(self, namespace: str, name: str = "imgsync", **spec: object) -> None:
        """Change a lease as `kubectl edit` does."""
        with self._lock:
            lease = self._leases[f"{namespace}/{name}"]
            self._store(f"{namespace}/{name}", {**lease, "spec": {**lease["spec"], **spec}}, "edit")

    def delete(self, namespace: str, name: str = "imgsync") -> None:
        with self._lock:
            del self._leases[f"{namespace}/{name}"]
            self.history[f"{namespace}/{name}"].append(Held(time.monotonic(), "", "delete"))

    def holder_at(self, namespace: str, moment: float, name: str = "imgsync") -> str:
        """Return who held a lease at *moment*."""
        held = [one for one in list(self.history.get(f"{namespace}/{name}", ())) if one.at <= moment]
        return held[-1].holder if held else ""

    def _store(self, key: str, lease: dict[str, Any], verb: str) -> dict[str, Any]:
        self._version += 1
        stored = {**lease, "metadata": {**lease.get("metadata", {}), "resourceVersion": str(self._version), "uid": key}}
        self._leases[key] = stored
        self.history.setdefault(key, []).append(Held(time.monotonic(), stored["spec"].get("holderIdentity") or "", verb))
        return stored

    def handle(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        self.requests.append((method, path))
        instead = self.answer(method, path)
        if instead is not None:
            return instead
        if token != f"Bearer {self.token}":
            return 401, _status("Unauthorized", "Unauthorized")
        namespace, _, rest = path.removeprefix(_PREFIX).partition("/leases")
        with self._lock:
            return self._handle(method, namespace, rest.removeprefix("/"), body)

    def _handle(self, method: str, namespace: str, name: str, body: bytes) -> tuple[int, bytes]:
        given = json.loads(body) if body else {}
        key = f"{namespace}/{name or given['metadata']['name']}"
        current = self._leases.get(key)
        if method == "POST":
            if current is not None:
                return 409, _status("AlreadyExists", f'leases.coordination.k8s.io "{name}" already exists')
            return 201, json.dumps(self._store(key, given, "create")).encode()
        if current is None:
            return 404, _status("NotFound", f'leases.coordination.k8s.io "{name}" not found')
        if method == "GET":
            return 200, json.dumps(current).encode()
        if given["metadata"].get("resourceVersion") != current["metadata"]["resourceVersion"]:
            return 409, _status("Conflict", f"Operation cannot be fulfilled on leases {name!r}: the object has been modified")
        return 200, json.dumps(self._store(key, given, "update")).encode()


def _status(reason: str, message: str) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the thread of the connection: a client that says nothing holds up no other.
        request.settimeout(60)
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except OSError:
            return
        super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are cut off on purpose."""


def _make_handler(kubernetes: FakeKubernetes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, data = kubernetes.handle(self.command, self.path, self.headers.get("Authorization"), body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = _answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
