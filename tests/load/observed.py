"""
Run imgsync repeatedly in one process that measures itself.

    python -m tests.load.observed FILE ROUNDS ARGUMENT...

It appends a line of JSON to FILE twice a second and at the end of each round: memory, descriptors, greenlets and the longest gap of a heartbeat.
Between rounds it waits for a line on stdin.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

_BEAT_SECONDS = 0.01
_SAMPLE_SECONDS = 0.5
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def main(path: str, rounds: int, arguments: list[str]) -> None:
    """Run, watch, and exit with the last round's code."""
    from imgsync.__main__ import _patch_sockets

    _patch_sockets()
    import gevent

    began = time.monotonic()
    gaps = {"wall": 0.0, "cpu": 0.0, "at": 0.0}

    def sample(**more: object) -> None:
        told = {"seconds": round(time.monotonic() - began, 2), "rss_kib": int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB}
        told["descriptors"] = sum(1 for _ in Path("/proc/self/fd").iterdir())
        with Path(path).open("a") as file:
            file.write(json.dumps(told | more) + "\n")

    def beat() -> None:
        wall, cpu, due = time.monotonic(), time.thread_time(), time.monotonic()
        while True:
            gevent.sleep(_BEAT_SECONDS)
            now, used = time.monotonic(), time.thread_time()
            gaps["wall"] = max(gaps["wall"], now - wall - _BEAT_SECONDS)
            if used - cpu > gaps["cpu"]:
                gaps.update(cpu=used - cpu, at=now - began)
            if now > due:
                sample(event="running")
                due = now + _SAMPLE_SECONDS
            wall, cpu = time.monotonic(), time.thread_time()

    heart = gevent.spawn(beat)
    code = 0
    from imgsync.cli import run

    for number in range(rounds):
        if number:
            sys.stdin.readline()
        code = run(list(arguments))
        # What is to end by itself does so now; and the beats must not pay for the counting.
        gevent.sleep(0.2)
        # A run hides what was there before it: `imgsync.system.collector`.
        gc.unfreeze()
        gc.collect()
        alive = sum(isinstance(one, gevent.Greenlet) and not one.dead for one in gc.get_objects())
        sample(
            event="round",
            round=number,
            code=code,
            greenlets=alive,
            objects=len(gc.get_objects()),
            gap_seconds=gaps["wall"],
            cpu_gap_seconds=gaps["cpu"],
            gap_at=gaps["at"],
        )
        gaps.update(wall=0.0, cpu=0.0, at=0.0)
    heart.kill()
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
