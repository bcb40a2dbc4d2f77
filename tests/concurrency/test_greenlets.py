"""Greenlets share one loop: no stream starves it, and sockets are patched."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.figures import record
from tests.load.running import Observed
from tests.support.images import image, push
from tests.support.patched import run_patched

ROOT = Path(__file__).parents[2]


MEBIBYTE = 1 << 20


@pytest.mark.row("RUN-02")
def test_source_kills_no_greenlet():
    """No gevent.Timeout, kill or throw; only idle threads are ended."""
    found = []
    for path in sorted((ROOT / "imgsync").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if named in {"kill", "killall", "throw", "Timeout", "with_timeout", "GreenletExit", "timeout_after"}:
                found.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")

    assert found == [
        "imgsync/concurrency/native_thread.py: self._pool.kill",
        "imgsync/state/store.py: diskcache.Timeout",
    ]


@pytest.mark.row("RUN-04")
def test_fast_streams_starve_no_greenlet():
    """A heartbeat runs between the pieces of ten streams."""
    told = run_patched("""
        import hashlib, time
        import gevent
        from imgsync.concurrency.deadline import Deadline, stream_chunks
        worst, ended = 0.0, 0
        def stream():
            global ended
            running, piece = hashlib.sha256(), bytes(1 << 18)
            for chunk in stream_chunks((piece for _ in range(256)), deadline=Deadline(None), on_bytes=lambda size: None):
                running.update(chunk)
            ended += 1
        streams = [gevent.spawn(stream) for _ in range(10)]
        began = before = time.thread_time()
        while ended < 10:
            gevent.sleep(0.001)
            # What this thread worked, not what the clock says: others may keep the machine busy.
            now = time.thread_time()
            worst, before = max(worst, now - before), now
        print(json.dumps({"worst": worst, "whole": before - began}))
    """)

    assert told["worst"] < told["whole"] / 4


@pytest.mark.timeout(1800)
@pytest.mark.only_nightly
@pytest.mark.row("RUN-04")
def test_large_layers_leave_the_loop_free(lab):
    """Ten images with a 64 MiB layer each are copied at full speed."""
    repositories = [f"{lab.name}/large{number}" for number in range(10)]
    for repository in repositories:
        push(lab.source_registry, repository, "1", image(repository, layers=1, layer_bytes=64 * MEBIBYTE))
    lab.workplace.allow_plain_http(lab.source_registry, lab.destination_registry)
    declared = {"registry": lab.source_registry.host, "repositories": repositories}
    lab.workplace.mirror("a", source=declared, destinations=[f"{lab.destination_registry}/m"], concurrency={"images": 10})

    with Observed(lab.workplace, 1, "apply", "-o", "json") as running:
        ran = running.round(timeout=900)

    assert (ran.code, ran.report["summary"]["copied"]) == (0, 10)
    assert ran.after["cpu_gap_seconds"] < 0.25
    record("ten streams of 64 MiB: longest stall", ran.after["cpu_gap_seconds"] * 1000, unit="ms", note="CPU used between two turns of the event loop")
    record("ten streams of 64 MiB: peak memory", ran.peak_mib, unit="MiB", note="of the program")


@pytest.mark.row("RUN-13")
def test_importing_creates_no_socket():
    """No client, TLS context or socket exists before the patch."""
    told = run_patched("""
        import gc, importlib, pkgutil, socket, ssl
        import imgsync
        for module in pkgutil.walk_packages(imgsync.__path__, "imgsync."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        import httpx
        kinds = (httpx.Client, httpx.HTTPTransport, ssl.SSLContext, socket.socket)
        from gevent import monkey
        print(json.dumps({
            "made": [repr(one) for one in gc.get_objects() if isinstance(one, kinds)],
            "patched": {name: monkey.is_module_patched(name) for name in ("socket", "ssl", "threading", "time", "subprocess")},
        }))
    """)

    assert told == {"made": [], "patched": dict.fromkeys(("socket", "ssl", "threading", "time", "subprocess"), True)}


@pytest.mark.row("RUN-13")
def test_unpatched_program_refuses_to_work():
    """It fails at once instead of running sequentially."""
    from imgsync.concurrency.workers import Workers

    with pytest.raises(RuntimeError, match="not patched by gevent"):
        Workers(print, limit=1)
