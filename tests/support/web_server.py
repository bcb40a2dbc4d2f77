"""The pages of a test board, served by a process that tests steer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.plain_http import PlainClient

TOKEN = "a-token-of-many-characters-0123456789"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class WebServer:
    """A running server, at `url`."""

    host: str
    _process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://{self.host}"

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        return self._process.pid

    def client(self) -> PlainClient:
        """Return a client of it."""
        return PlainClient(self.host)

    def ask(self, command: str, **values: Any) -> Any:
        """Have the process do something with its board; return what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps({'command': command, **values})}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def web_server(board: str = "busy_board", **settings: Any) -> Iterator[WebServer]:
    """Serve the board that tests.support.board's function *board* returns."""
    command = [sys.executable, "-c", "from imgsync.__main__ import _patch_sockets; _patch_sockets(); from tests.support.web_server import main; main()"]
    started = [*command, json.dumps({"board": board, **settings})]
    with subprocess.Popen(started, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield WebServer(process.stdout.readline().strip(), process)
        finally:
            process.kill()


def main() -> None:
    """Serve in this process, and obey the lines of stdin."""
    from gevent.fileobject import FileObject

    # Here, since only the process that serves has patched sockets.
    from imgsync.concurrency.http_handler import Limits
    from imgsync.concurrency.http_server import HttpServer
    from imgsync.concurrency.listen_address import ListenAddress
    from imgsync.serve.web.app import make_app
    from tests.support import board as boards
    from tests.support.web_parts import make_parts

    options = json.loads(sys.argv[1])
    board = getattr(boards, options.pop("board"))()
    connections = options.pop("connections", 1000)
    limits = Limits(**options.pop("limits", {}))
    listen = ListenAddress("127.0.0.1", options.pop("port", 0))
    errors: list[str] = []
    parts = make_parts(board, on_error=lambda error: errors.append(repr(error)), **options)
    app = make_app(parts)
    server = HttpServer(app, listen, on_error=lambda error: errors.append(repr(error)), limits=limits, connections=connections)
    server.start()
    sys.stdout.write(f"{server.address}\n")
    sys.stdout.flush()
    for line in FileObject(sys.stdin.fileno(), "r"):
        asked = json.loads(line)
        match asked["command"]:
            case "show":
                vars(board).update(vars(getattr(boards, asked["board"])()) | {"version": board.version + 1})
            case "run":
                boards.start_run(board, planned=asked.get("planned", True))
            case "progress":
                board.running.counts.images_done = asked["done"]
                board.running.counts.bytes_copied = asked["bytes"]
            case "end":
                board.running = None
                board.version += 1
            case "break":
                board.configuration = None
            case "close":
                app.close()
                server.close(asked["grace"])
        found = {
            "requests": [[*request.mirrors, request.applies] for request in parts.inbox.take_requests()],
            "errors": errors,
            "connections": server.connections.count,
            "dropped": server.connections.dropped,
            "streams": app._live.count,
            "threads": threading.active_count(),
        }
        sys.stdout.write(f"{json.dumps(found)}\n")
        sys.stdout.flush()
