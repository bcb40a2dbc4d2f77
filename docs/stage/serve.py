"""
Serve empty registries by name, through one HTTP proxy on loopback.

    python -m docs.stage.serve

It prints HOST:PORT of the proxy. Any registry that a request names exists. Each line of stdin is a JSON list
[REGISTRY, REPOSITORY, TAG, VERSION], and stores the image VERSION under a tag. An empty list empties all registries.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - sockets are patched first
import sys  # noqa: E402
from collections import defaultdict  # noqa: E402
from collections.abc import Iterable  # noqa: E402
from functools import cache  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

from gevent.fileobject import FileObject  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from imgsync.demo.images import build_index  # noqa: E402
from imgsync.demo.registry import EmbeddedRegistry  # noqa: E402

# The host that serves docker.io.
_ALIASES = {"registry-1.docker.io": "docker.io"}
_build = cache(build_index)
_REGISTRIES: defaultdict[str, EmbeddedRegistry] = defaultdict(EmbeddedRegistry)


def respond(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Pass a request with a whole URL on to the registry that it names."""
    url = urlsplit(environ["PATH_INFO"])
    environ["PATH_INFO"] = url.path
    return _REGISTRIES[_ALIASES.get(url.netloc, url.netloc)].serve(environ, start_response)


def main() -> None:
    """Serve until stdin ends."""
    server = WSGIServer(("127.0.0.1", 0), respond, log=None, error_log=None)
    server.start()
    print(f"127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    # Python's own stdin would stop the registries while it waits.
    for line in FileObject(sys.stdin.fileno(), "rb"):
        message = json.loads(line)
        if message:
            registry, repository, tag, version = message
            _REGISTRIES[registry].store(repository, tag, _build(repository, version))
        else:
            _REGISTRIES.clear()
        print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
