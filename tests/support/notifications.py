"""A docker-registry that sends its own notifications, and many events at once."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.registry_process import RegistryProcess, running_registry

_WORKERS = 8


class _NotifyingRegistry(RegistryProcess):
    """A registry that sends an event for each push to `endpoint`."""

    endpoint = ""
    authorization = ""

    def configure(self) -> str:
        """Return its configuration with one endpoint."""
        endpoint = f"{{name: imgsync, url: '{self.endpoint}', timeout: 2s, threshold: 3, backoff: 1s, headers: {{Authorization: ['{self.authorization}']}}}}"
        return f"{super().configure()}notifications: {{endpoints: [{endpoint}]}}\n"


@contextmanager
def notifying_registry(folder: Path, endpoint: str, authorization: str) -> Iterator[RegistryProcess]:
    """Run a registry that sends its events to *endpoint*."""
    kind = type("Notifying", (_NotifyingRegistry,), {"endpoint": endpoint, "authorization": authorization})
    with running_registry(folder, kind=kind) as registry:
        yield registry


def send_all(address: str, path: str, requests: Sequence[tuple[Mapping[str, str], bytes]], *, seconds: float = 0.0) -> list[tuple[int, float]]:
    """
    POST *requests* from several connections; return status and time of each.

    They are spread over *seconds*. A connection that the server closes is opened again.
    """
    answers: list[tuple[int, float]] = []
    began = time.monotonic()

    def work(first: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=30)
        for number in range(first, len(requests), _WORKERS):
            headers, body = requests[number]
            wait = began + seconds * number / len(requests) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            answers.append(_send(connection, path, headers, body))
        connection.close()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(_WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers


def _send(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
    began = time.perf_counter()
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        # Of a body that is too large, the server reads no more than it must.
        connection.close()
        return 0, time.perf_counter() - began
    return answer.status, time.perf_counter() - began


def measure_growth(pid: int) -> Callable[[], int]:
    """Return a function that says by how many bytes the memory of *pid* has grown."""

    def read() -> int:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * 4096

    before = read()
    return lambda: read() - before
