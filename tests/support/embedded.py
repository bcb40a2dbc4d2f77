"""The embedded registry as a process; it has the referrers API."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROGRAM = """
from gevent import monkey; monkey.patch_all()
import threading
from imgsync.demo.registry import EmbeddedRegistry
with EmbeddedRegistry() as registry:
    print(registry.host, flush=True)
    threading.Event().wait()
"""


@contextmanager
def embedded_registry() -> Iterator[str]:
    """Give HOST:PORT of an empty registry, serving while the block lasts."""
    with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
