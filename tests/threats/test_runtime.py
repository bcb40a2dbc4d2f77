"""What the libraries below do to who trusts them: pools, cancelling, the loop that all greenlets share, signals, foreign exceptions."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.config.model import Tls
from imgsync.errors import StoppedError
from imgsync.oci.endpoint import Credentials, Declared, Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.messages import Call
from imgsync.oci.transport import Transport
from imgsync.state import open_state
from tests import switches
from tests.figures import record
from tests.load.running import Observed
from tests.support.effort import effort
from tests.support.faults import FaultProxy
from tests.support.images import image, plain_client, pull_raw, push
from tests.support.patched import run_patched
from tests.support.run_imgsync import finish
from tests.switches import Hold, Respond
from tests.switches.runtime import HoldAnswer

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1 << 20


def eventually(true: Callable[[], object]) -> None:
    """Return once *true* says so."""
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.01)


def stopping(process) -> None:
    """Return once the program says that it is stopping."""
    assert any("run.stopping" in line for line in process.stderr)


@pytest.fixture
def state(workplace):
    """Open the state of the workplace, between runs; a warning fails."""
    folder = str(workplace.folder / ".imgsync" / "state")
    return lambda: open_state(folder, thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail)


# --- RUN-01 … 03: pools


@pytest.mark.row("RUN-01")
def test_copies_within_one_registry_never_wait_for_each_other(registry, name, write, imgsync):
    """One connection for each side, 64 images at once, source and destination the same registry: reading and writing hold a connection each, all arrive."""
    with FaultProxy(registry) as proxy:
        images = {f"{name}/app{number}": image((name, number), layers=1) for number in range(24)}
        for repository, content in images.items():
            push(registry, repository, "1", content)
        write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: '{proxy.host}', repositories: [{', '.join(images)}]}}\n"
            f"    destinations: ['{proxy.host}/copy']\n    concurrency: {{images: 64, blobs: 8, queries: 64}}\n    timeouts: {{request: 20s, image: 40s}}\n",
        )
        write("registries.yaml", f"version: 1\nregistries:\n  {proxy.host}: {{tls: false, connections: 1}}\n")

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        assert ran.json["summary"] == ran.json["summary"] | {"copied": 24, "failed": 0}
        assert all(pull_raw(registry, f"copy/{repository}", "1") == content.raw for repository, content in images.items())
        assert ran.events("request.retried") == []


def transport_to(proxy: FaultProxy, connections: int) -> Transport:
    nobody = Declared(Credentials("", ""))
    return Transport(
        Endpoint(proxy.host, "source", lambda: pytest.fail("no TLS here"), nobody, plain=True, connections=connections),
        RateLimit(proxy.host, None),
        on_warning=pytest.fail,
    )


class Torn(BaseException):
    """As gevent's GreenletExit: no Exception."""


@pytest.mark.nightly
@pytest.mark.row("RUN-02")
def test_lanes_serve_on_after_any_number_of_cancelled_requests():
    """Eight callers on four connections give up in mid-body, time and again: no place and no lane is lost, and the next requests are answered."""
    times = effort(25, 400)
    with FaultProxy(None) as server, contextlib.closing(transport_to(server, 4)) as transport:
        server.add(Respond(200, b"x" * MEBIBYTE), target="/large")
        server.add(Respond(200, b"ok"), target="/small")

        def give_up(number: int) -> None:
            error = (StoppedError("stopped: enough"), Torn(), OSError("gone"))[number % 3]
            call = Call(Operation("pull", "x", "source"), "GET", "/large")
            with contextlib.suppress(type(error)), transport.stream(call, retry_policy=RetryPolicy(attempts=1)) as answer:
                next(answer.chunks)
                raise error

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(give_up, range(8 * times)))
            small = Call(Operation("pull", "x", "source"), "GET", "/small")
            answers = list(pool.map(lambda _: transport.request(small, retry_policy=RetryPolicy(attempts=1, request_seconds=20)).body, range(40)))

        assert answers == [b"ok"] * 40
        assert transport._limit.running == 0
        assert len(transport._idle) <= 4


@pytest.mark.row("RUN-02")
def test_images_that_are_cut_leave_the_rest_its_connections(registry, name, declare, imgsync, write, source, destination):
    """More images than connections run out of time in mid-blob: they fail, and those behind them arrive over the same connections."""
    slow = [push(registry, f"{name}/a{number}", "1", image((name, number), layers=1, layer_bytes=20_000)) for number in range(6)]
    good = [push(registry, f"{name}/z{number}", "1", image((name, "z", number), layers=1)) for number in range(4)]
    for content in slow:
        source.add(switches.trickle(100, seconds=0.05), method="GET", target=next(iter(content.blobs)))
    names = [f"{name}/a{number}" for number in range(6)] + [f"{name}/z{number}" for number in range(4)]
    declare(f"[{', '.join(names)}]", "concurrency: {images: 3, blobs: 2}\ntimeouts: {image: 2s}\nreferrers: false", retry="{attempts: 1, interval: 0s}")
    hosts = (source.host, destination.host)
    write("registries.yaml", "version: 1\nregistries:\n" + "".join(f"  {host}: {{tls: false, connections: 2}}\n" for host in hosts))

    # With a brake nothing is copied before all is planned, so that the slow ones come first.
    ran = imgsync("apply", "-o", "json", "--max-changes", "10")

    assert ran.code == 1, ran.stderr
    results = {one["source"].rpartition("/")[2]: one["result"] for one in ran.json["outcomes"]}
    assert results == {f"a{number}:1": "failed" for number in range(6)} | {f"z{number}:1": "copied" for number in range(4)}
    assert all(pull_raw(destination, f"m/{name}/z{number}", "1") == content.raw for number, content in enumerate(good))


@pytest.mark.row("RUN-02")
def test_nothing_of_ours_kills_a_greenlet():
    """No gevent.Timeout, no kill, no throw: only threads that have nothing left to do are ended."""
    found = []
    for path in sorted((ROOT / "imgsync").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if named in {"kill", "killall", "throw", "Timeout", "with_timeout", "GreenletExit", "timeout_after"}:
                found.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")

    assert found == [
        "imgsync/concurrency/native_thread.py: self._pool.kill",
        "imgsync/oci/http/proxy_client.py: httpx.Timeout",
        "imgsync/state/open.py: filelock.Timeout",
        "imgsync/state/open.py: filelock.Timeout",
        "imgsync/state/store.py: diskcache.Timeout",
    ]


@pytest.mark.row("RUN-03")
def test_ten_thousand_items_cost_no_more_each_than_a_few():
    """So many greenlets as there are places, however much waits; and the last items go as quickly as the first."""
    told = run_patched("""
        import gc, time
        import gevent
        from greenlet import greenlet
        from imgsync.concurrency.workers import Workers
        most = running = 0
        def work(number):
            global most, running
            running += 1
            most = max(most, running)
            gevent.sleep(0)
            running -= 1
            return time.process_time()
        workers = Workers(work, limit=50)
        began = time.process_time()
        for number in range(10_000):
            workers.submit(number)
        alive = sum(isinstance(one, greenlet) and not one.dead for one in gc.get_objects())
        done = [began, *workers.results()]
        print(json.dumps({"most": most, "alive": alive, "first": done[2000] - done[0], "last": done[10_000] - done[8_000], "done": len(done) - 1}))
    """)

    assert (told["done"], told["most"]) == (10_000, 50)
    assert told["alive"] < 60
    assert told["last"] < 3 * told["first"] + 0.2


# --- RUN-04


@pytest.mark.row("RUN-04")
def test_streams_as_fast_as_memory_starve_nobody():
    """Ten streams that never wait, each hashed: a heartbeat beats between their pieces, all the time."""
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
def test_large_layers_side_by_side_leave_the_loop_free(registry, second_registry, name, workplace):
    """Ten images of a layer of 64 MiB each, as fast as two real registries on the same machine go: the loop comes round all the time."""
    repositories = [f"{name}/large{number}" for number in range(10)]
    for repository in repositories:
        push(registry, repository, "1", image(repository, layers=1, layer_bytes=64 * MEBIBYTE))
    workplace.trust_plain(registry, second_registry)
    declared = {"registry": registry.host, "repositories": repositories}
    workplace.mirror("a", source=declared, destinations=[f"{second_registry}/m"], concurrency={"images": 10})

    with Observed(workplace, 1, "apply", "-o", "json") as running:
        ran = running.round(timeout=900)

    assert (ran.code, ran.report["summary"]["copied"]) == (0, 10)
    assert ran.after["cpu_gap_seconds"] < 0.25
    record("ten streams of 64 MiB: longest stall", ran.after["cpu_gap_seconds"] * 1000, unit="ms", note="CPU used between two turns of the event loop")
    record("ten streams of 64 MiB: peak memory", ran.peak_mib, unit="MiB", note="of the program")


# --- RUN-05, 12: the loop goes on while something else blocks


@pytest.mark.row("RUN-05")
def test_foreign_lock_on_the_state_holds_nobody_up(registry, name, declare, imgsync, start_imgsync, workplace, destination, state):
    """Another process locks the database while a record is to be written: copying goes on, signs of life come, and the record is there in the end."""
    for tag in "123456":
        push(registry, f"{name}/app", tag, image((name, tag)))
    declare(f"[{name}/app]", "concurrency: {images: 1}\nreferrers: false")
    with state() as store:
        store.put([])
    process = start_imgsync("apply", "-o", "json", "--heartbeat", "1s")
    held = destination.add(Hold(), method="PUT", target="/manifests/", nth=1)
    held.reached()
    foreign = sqlite3.connect(workplace.folder / ".imgsync" / "state" / "cache.db", isolation_level=None)
    foreign.execute("begin immediate")
    held.release()
    # The first record waits for the lock from now on, all others behind it.
    eventually(lambda: len([one for one in destination.recorded("PUT .*/manifests/") if one.status == 201]) == 6)
    lines = [line for _ in range(2) for line in [next(line for line in process.stderr if "apply.progress" in line)]]
    foreign.execute("rollback")
    foreign.close()
    ran = finish(process)

    assert len(lines) == 2
    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 6
    with state() as store:
        assert len(list(store.records())) == 6


@pytest.mark.row("RUN-12")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_waiting_for_the_lock_does_not_stop_the_loop(number, registry, name, declare, start_imgsync, workplace, destination):
    """While another run holds the state a signal is heard at once, and ends the waiting: exit 75, nothing was begun."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    folder = workplace.folder / ".imgsync" / "state"
    folder.mkdir(parents=True, mode=0o700)
    with filelock.FileLock(folder / "lock", mode=0o600):
        # The last line before the state is opened, and after signals are listened to.
        process = start_imgsync("apply", "--lock-timeout", "10m", env={"HTTPS_PROXY": "http://127.0.0.1:1"})
        assert any("proxy.ignored" in line for line in process.stderr)
        process.send_signal(number)

        stopping(process)
        ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert destination.seen == []


# --- RUN-11: whoever reads our output


def narrow(process) -> None:
    """Let the pipes that a process writes to hold a page each, so that they are full soon."""
    for pipe in (process.stdout, process.stderr):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)


@pytest.fixture
def many_tags(registry, name, declare, source):
    """Forty tags of one image, and a hold on the first blob; return what waits until all have arrived at a registry."""
    content = push(registry, f"{name}/app", "a-tag-that-makes-lines-long-00", image(name))
    with plain_client(registry) as client:
        for number in range(40):
            target = f"/v2/{name}/app/manifests/a-tag-that-makes-lines-long-{number:02}"
            assert client.put(target, content=content.raw, headers={"Content-Type": content.media_type}).status_code == 201
    declare(f"[{name}/app]", "referrers: false")
    source.add(Hold(), method="GET", target="/blobs/")

    def arrived(destination, tags: int = 40) -> None:
        eventually(lambda: len(destination.tags(f"m/{name}/app")) == tags)

    return arrived


@pytest.mark.row("RUN-11")
def test_log_that_nobody_reads_holds_nothing_up(many_tags, second_registry, start_imgsync, source):
    """The pipe of the log is full from the first lines on: all is copied all the same, and once somebody reads, no line is missing."""
    process = start_imgsync("apply", "-o", "json", "--log-level", "debug")
    narrow(process)
    source.clear()

    many_tags(second_registry)
    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert (len(ran.events("image.copied")), len(ran.events("apply.finished")), ran.events("log.dropped")) == (40, 1, [])


@pytest.mark.row("RUN-11")
def test_plan_that_nobody_reads_holds_nothing_up(many_tags, second_registry, start_imgsync, source):
    """`apply | less`: the plan's table fills the pipe and waits there; meanwhile all is copied."""
    process = start_imgsync("apply")
    narrow(process)
    assert any("plan.built" in line for line in process.stderr)
    source.clear()

    many_tags(second_registry)
    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert ran.stdout.count("a-tag-that-makes-lines-long") >= 40
    assert "Copied 40 images" in ran.stdout


@pytest.mark.row("RUN-10", "RUN-11")
def test_report_that_nobody_reads_does_not_make_it_deaf(many_tags, start_imgsync, source):
    """All is done and the report waits to be read: a second signal ends the program as at any other time."""
    process = start_imgsync("apply", "-o", "json")
    narrow(process)
    source.clear()
    assert any("apply.finished" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    stopping(process)
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=20)

    assert process.returncode == 130


@pytest.mark.row("RUN-11")
@pytest.mark.parametrize("pipe", ["stdout", "stderr"])
def test_reader_that_went_away_changes_nothing(pipe, many_tags, second_registry, start_imgsync, source, destination):
    """`apply | head`: all is copied but what failed, and the exit code says that something did."""
    destination.add(Respond(403), method="PUT", target="/manifests/.*-00$")
    process = start_imgsync("apply", "-o", "json")
    getattr(process, pipe).close()
    setattr(process, pipe, None)
    source.clear()

    process.communicate(timeout=60)

    assert process.returncode == 1
    many_tags(second_registry, 39)


# --- RUN-06, 08 … 10: signals


@pytest.mark.row("RUN-06")
@pytest.mark.parametrize("done", [False, True], ids=["before it is stored", "before it is answered"])
def test_record_is_written_only_after_the_answer(done, registry, second_registry, name, declare, imgsync, start_imgsync, destination, state):
    """Cut while the tag's PUT is under way, stored or not: there is no record of it, and the next run finds out for itself."""
    content = push(registry, f"{name}/app", "1", image(name))
    declare(f"[{name}/app]", "referrers: false")
    held = destination.add(HoldAnswer() if done else Hold(), method="PUT", target="/manifests/")
    process = start_imgsync("apply", "-o", "json", "--grace", "0s")
    held.reached()
    process.send_signal(signal.SIGTERM)
    ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert (pull_raw(second_registry, f"m/{name}/app", "1") is not None) == done
    with state() as store:
        assert list(store.records()) == []
    # What was held is let through or not, as the registry likes; either way the next run finds it out.
    destination.clear()
    again = imgsync("apply", "-o", "json")
    assert again.code == 0, again.stderr
    assert pull_raw(second_registry, f"m/{name}/app", "1") == content.raw
    with state() as store:
        assert [record.digest for record in store.records()] == [content.digest]


@pytest.fixture
def streaming(registry, name, declare, source):
    """Eight images whose layers are long on their way; return a switch that tells when all eight have begun."""
    for number in range(8):
        push(registry, f"{name}/app", str(number), image((name, number), layers=1, layer_bytes=200_000))
    declare(f"[{name}/app]", "concurrency: {images: 8}\nreferrers: false")
    source.add(switches.trickle(500, seconds=0.05), method="GET", target="/blobs/")
    return lambda: eventually(lambda: len(source.recorded("GET .*/blobs/")) >= 8)


@pytest.mark.row("RUN-08", "RUN-09")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_under_load_ends_the_run_within_its_grace(number, streaming, second_registry, name, imgsync, start_imgsync, source, state):
    """Eight streams under way: nothing new, a second of grace, then all is brought to its end, told and remembered (exit 75); running again finishes."""
    process = start_imgsync("apply", "-o", "json", "--grace", "1s")
    streaming()
    process.send_signal(number)
    stopping(process)
    began = time.monotonic()
    ran = finish(process)
    took = time.monotonic() - began

    assert ran.code == 75, ran.stderr
    assert took < 6
    assert "Traceback" not in ran.stderr
    assert "KeyboardInterrupt" not in ran.stderr
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 0, "failed": 0, "remaining": 8}
    assert second_registry.tags(f"m/{name}/app") == []
    with state() as store:
        assert len(store.left) == 8
    source.clear()
    assert imgsync("apply").code == 0
    assert len(second_registry.tags(f"m/{name}/app")) == 8


@pytest.mark.row("RUN-09", "RUN-10")
def test_second_signal_under_load_ends_at_once_and_leaves_nothing_behind(streaming, second_registry, name, imgsync, start_imgsync, workplace, source, state):
    """Exit 130 before any cleaning up: no lock stays, the state is sound, no file is left half written, and running again finishes."""
    process = start_imgsync("apply", "-o", "json", "--grace", "10m", "--report", "report.html")
    streaming()
    process.send_signal(signal.SIGINT)
    stopping(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert (out, "Traceback" in err) == ("", False)
    assert sorted(path.name for path in workplace.folder.iterdir()) == [".imgsync", "mirrors.d", "registries.yaml"]
    with state() as store:
        assert list(store.records()) == []
    source.clear()
    assert imgsync("apply").code == 0
    assert len(second_registry.tags(f"m/{name}/app")) == 8


# --- RUN-07: whatever a registry makes our libraries raise

_URLS = [
    "http://[",
    "http://[::1/x",
    "http://[v1.x]/",
    "http://exa mple/",
    "//",
    "http://",
    "http:///x",
    "http://a:99999/",
    "http://a:-1/",
    "http://a:port/",
    "http://a..b/",
    "http://.../",
    f"http://{'a' * 300}/",
    f"http://{'a' * 70}.example/",
    "http://xn--a/",
    "http://%00/",
    "http://\u00ffx/",
    "http://\u00b2/",
    "http://\u00bd.example/",
    "http://a@b:c@d/",
    "http://127.0.0.1:0/",
    "\u00ff://x",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "javascript:x",
    "?",
    "#",
    "..",
]


@pytest.fixture(scope="module")
def victims(registry) -> list[str]:
    """Repositories of one image each, of which the first has nothing to fear."""
    names = [f"runtime/r{number:02}" for number in range(30)]
    for repository in names:
        push(registry, repository, "1", image(repository, layers=1))
    return names


@pytest.fixture
def mirrored(victims, name, workplace, imgsync, source, destination):
    """Apply a mirror of the first victims; return its errors by their repository, none of them of the first, and which were copied."""

    def apply(count: int, **settings: object) -> dict[str, str]:
        workplace.trust_plain(source, destination)
        declared = {"registry": source.host, "repositories": victims[:count]}
        settings = {"retry": {"attempts": 1, "interval": "0s"}, "concurrency": {"images": 8}, "referrers": False} | settings
        workplace.mirror("a", source=declared, destinations=[f"{destination}/{name}"], **settings)
        ran = imgsync("apply", "-o", "json")
        assert ran.code == 1, ran.stderr
        assert ran.events("apply.finished"), "no run ends for it"
        told = [(one["source"], one["error"]) for one in ran.json["outcomes"] if one["error"]]
        told += [(one["reference"], one["message"]) for one in ran.json["errors"]]
        errors = {re.search("runtime/r[0-9]{2}", reference).group(): message for reference, message in told}
        assert len(errors) == len(told), "one error for each"
        assert all(len(message) < 700 and message.isprintable() for message in errors.values())
        return errors

    return apply


@pytest.mark.row("RUN-07")
@pytest.mark.parametrize("where", ["redirect", "page", "upload", "realm"])
def test_no_url_a_registry_names_is_a_traceback(where, registry, victims, name, mirrored, source, destination):
    """Location of a redirect, next page, upload session, token server: each that is no URL fails its own image with one clear error, and no other."""
    for repository, url in zip(victims[1:], _URLS, strict=False):
        target = f"/{repository}/"
        if where == "redirect":
            source.add(Respond(307, headers={"Location": url}), method="GET", target=f"{target}manifests")
        elif where == "page":
            source.add(switches.headers(Link=f'<{url}>; rel="next"'), target=f"{target}tags/list")
        elif where == "upload":
            destination.add(switches.headers(Location=url), method="POST", target=target)
        else:
            source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{url}",service="x"'}), target=target)

    errors = mirrored(len(_URLS) + 1)

    assert len(errors) >= len(_URLS) - 2
    if where != "realm":
        # Whose token server is nonsense has none for its other repositories either.
        assert victims[0] not in errors
        assert pull_raw(destination, f"{name}/{victims[0]}", "1") == pull_raw(registry, victims[0], "1")


_ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\na",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 99999 OK\r\n\r\n",
    b"HTTP/1.1 000 \r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nx",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    b"HTTP/1.1 200 OK\r\nName\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: value\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nDocker-Content-Digest: \xff\xfe\r\nContent-Type: \xff\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
    b"HTTP/1.1 307 Temporary Redirect\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: \xff\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: \xb2\xb2\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: Mon, 99 Foo 0000 99:99:99 -9999\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nRateLimit-Remaining: \xb2;w=\xb2\r\nContent-Length: 2\r\n\r\n{}",
    b"\x16\x03\x01\x02\x00",
    b"\r\n\r\n",
    b"",
]


# Handled by the very code that handles the others: enough for the night.
_AS_OTHERS = ("manifests/1", "POST blobs/uploads")


@pytest.mark.row("RUN-07")
@pytest.mark.parametrize(
    "where",
    ["tags/list", "blobs/sha256", "PUT blobs/uploads", "PUT manifests/1", *(pytest.param(one, marks=pytest.mark.only_nightly) for one in _AS_OTHERS)],
)
def test_no_answer_a_registry_gives_is_a_traceback(where, registry, victims, name, mirrored, source, destination):
    """Heads and bodies that no honest server writes, at every kind of request: each fails its own image with one clear error, and no other."""
    method, _, part = where.rpartition(" ")
    for repository, answer in zip(victims[1:], _ANSWERS, strict=False):
        proxy = destination if method else source
        proxy.add(switches.Raw(answer), method=method or "GET|HEAD", target=f"/{repository}/{part}")

    errors = mirrored(len(_ANSWERS) + 1, tags={} if part == "tags/list" else {"names": ["1"]}, timeouts={"request": "10s"})

    assert len(errors) >= len(_ANSWERS) - 6
    assert victims[0] not in errors
    assert pull_raw(destination, f"{name}/{victims[0]}", "1") == pull_raw(registry, victims[0], "1")


# --- RUN-13 … 15: what is made once, and when


@pytest.mark.row("RUN-13")
def test_nothing_that_needs_patched_sockets_is_made_by_importing():
    """Every module of ours imported: no client, no TLS context, no socket exists yet, so none can be of the unpatched kind."""
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
    """Whoever comes in by another door is told so at once, rather than served one thing after the other."""
    from imgsync.concurrency.workers import Workers

    with pytest.raises(RuntimeError, match="not patched by gevent"):
        Workers(print, limit=1)


@pytest.mark.row("RUN-14")
def test_registries_of_one_trust_share_one_tls_context(monkeypatch):
    """However many registries, sides and lanes: one context for each set of TLS settings."""
    from imgsync.config.model import RegistriesConfig, RegistrySettings
    from imgsync.registries import clients as module

    made = []
    original = module.make_tls_context
    monkeypatch.setattr(module, "make_tls_context", lambda **settings: made.append(settings) or original(**settings))
    trust = RegistriesConfig(by_host={f"r{n}.example": RegistrySettings() for n in range(4)} | {"own.example": RegistrySettings(tls=Tls(verify=False))})
    with module.Registries(
        trust, environ={}, pushes=True, on_retry=lambda _: None, on_secret=lambda _: None, on_warning=pytest.fail, on_registry_warning=print
    ) as opened:
        endpoints = [opened.client(host, side, RetryPolicy()).transport.endpoint for host in trust.by_host for side in ("source", "destination")]
        contexts = {id(endpoint.context()) for endpoint in endpoints for _ in range(64)}

    assert len(contexts) == 2
    assert len(made) == 2


@pytest.mark.row("RUN-15")
@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
def test_name_is_looked_up_once_for_all_lanes(fails, monkeypatch):
    """64 connections wanted at once, one lookup; what it comes to, an address or none, is for all who waited."""
    slow, waiting, asked = threading.Event(), threading.Semaphore(0), []
    with FaultProxy(None) as server:

        def look_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
            if host != "registry.example":
                return [(2, 1, 6, "", (host, port))]
            asked.append(host)
            assert slow.wait(30)
            if fails:
                raise OSError("no such name")
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr("imgsync.oci.http.ssrf_guard.socket.getaddrinfo", look_up)
        guard = SsrfGuard([("registry.example", server.port)])

        def dial() -> str:
            waiting.release()
            try:
                guard.connect("registry.example", server.port, 10).close()
            except Exception as error:  # noqa: BLE001 - what it comes to is what is tested
                return str(error)
            return "connected"

        with ThreadPoolExecutor(64) as pool:
            dials = [pool.submit(dial) for _ in range(64)]
            for _ in dials:
                assert waiting.acquire(timeout=30)
            slow.set()
            results = {one.result(30) for one in dials}

    assert asked == ["registry.example"]
    assert results == {"registry.example cannot be resolved: no such name" if fails else "connected"}
