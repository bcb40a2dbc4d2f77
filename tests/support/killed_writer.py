"""
Write a bundle in a process that is killed at one of its system calls.

    python -m tests.support.killed_writer FOLDER SEED CALL

At call number CALL the process ends as by SIGKILL, a write after half of its bytes; 0 never. It prints the number of calls. FOLDER.log has a line for each
blob that was begun and for each that was committed.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgsync.bundle.placement import place
from imgsync.bundle.writer import BundleWriter
from imgsync.oci.spec.descriptor import Descriptor
from tests.support.bundles import make_cargo

CONNECTIONS = 3
VOLUME_BYTES = 1 << 20
_CALLS = ("pwrite", "write", "fsync", "fdatasync", "rename", "replace", "unlink", "rmdir", "ftruncate")
_append = os.write


class Killer:
    """Counts system calls, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self.count = 0
        self._last = last

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return *call*, which may be the last one."""

        @functools.wraps(call)
        def counted(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self._last:
                if call.__name__ in {"pwrite", "write"}:
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], *arguments[2:])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counted


def cargo():
    """Return what the bundle holds; some blobs are larger than a volume."""
    return make_cargo(5, layer_bytes=200_000, shared_bytes=2_300_000)


def run(folder: Path, seed: int, last: int) -> int:
    """Write the bundle by some interleaved streams; return the number of calls."""
    killer = Killer(last)
    for name in _CALLS:
        setattr(os, name, killer.wrap(getattr(os, name)))
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    everything = cargo()
    chosen = random.Random(seed)
    with BundleWriter(folder, place(everything.contents, volume_bytes=VOLUME_BYTES)) as writer:
        waiting = list(writer.missing())
        chosen.shuffle(waiting)
        streams: list[tuple[str, Any, int]] = []
        while waiting or streams:
            while waiting and len(streams) < CONNECTIONS:
                digest = waiting.pop()
                _append(log, f"begin {digest}\n".encode())
                streams.append((digest, writer.begin(Descriptor("", digest, len(everything.data[digest]))), 0))
            index = chosen.randrange(len(streams))
            digest, sink, position = streams.pop(index)
            chunk = everything.data[digest][position : position + 90_000]
            if chunk:
                sink.write(chunk)
                streams.append((digest, sink, position + len(chunk)))
            else:
                sink.commit()
                _append(log, f"commit {digest}\n".encode())
        writer.finish()
    return killer.count


if __name__ == "__main__":
    sys.stdout.write(str(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
