"""Pipes that are not read, or closed."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys

import pytest

from tests.support.images import image, plain_client
from tests.support.run_imgsync import eventually, finish, stopping
from tests.switches import Hold, Respond


def narrow(process) -> None:
    """Shrink the pipes of a process to one page."""
    for pipe in (process.stdout, process.stderr):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)


@pytest.fixture
def many_tags(lab):
    """Push forty tags, hold a blob; return a function that waits."""
    content = lab.push("app", "a-tag-that-makes-lines-long-00", image(lab.name))
    with plain_client(lab.source_registry) as client:
        for number in range(40):
            target = f"/v2/{lab.name}/app/manifests/a-tag-that-makes-lines-long-{number:02}"
            assert client.put(target, content=content.raw, headers={"Content-Type": content.media_type}).status_code == 201
    lab.declare("app", "referrers: false")
    lab.source.add(Hold(), method="GET", target="/blobs/")

    def arrived(destination, tags: int = 40) -> None:
        eventually(lambda: len(destination.tags(f"m/{lab.name}/app")) == tags)

    return arrived


@pytest.mark.row("RUN-11")
def test_unread_log_does_not_stop_copying(many_tags, lab):
    """With a full pipe everything is copied, and later no line is missing."""
    process = lab.start("apply", "-o", "json", "--log-level", "debug")
    narrow(process)
    lab.source.clear()

    many_tags(lab.destination_registry)
    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert (len(ran.events("image.copied")), len(ran.events("apply.finished")), ran.events("log.dropped")) == (40, 1, [])


@pytest.mark.row("RUN-11")
def test_unread_plan_does_not_stop_copying(many_tags, lab):
    """`apply | less`: the table waits while everything is copied."""
    process = lab.start("apply")
    narrow(process)
    assert any("plan.built" in line for line in process.stderr)
    lab.source.clear()

    many_tags(lab.destination_registry)
    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert ran.stdout.count("a-tag-that-makes-lines-long") >= 40
    assert "Copied 40 images" in ran.stdout


@pytest.mark.row("RUN-10", "RUN-11")
def test_second_signal_ends_an_unread_report(many_tags, lab):
    """Even if the report waits to be read."""
    process = lab.start("apply", "-o", "json")
    narrow(process)
    lab.source.clear()
    assert any("apply.finished" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    stopping(process)
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=20)

    assert process.returncode == 130


@pytest.mark.row("RUN-11")
@pytest.mark.parametrize("pipe", ["stdout", "stderr"])
def test_closed_stdout_changes_neither_copies_nor_exit_code(pipe, many_tags, lab):
    """`apply | head` copies the same and exits with the same code."""
    lab.destination.add(Respond(403), method="PUT", target="/manifests/.*-00$")
    process = lab.start("apply", "-o", "json")
    getattr(process, pipe).close()
    setattr(process, pipe, None)
    lab.source.clear()

    process.communicate(timeout=60)

    assert process.returncode == 1
    many_tags(lab.destination_registry, 39)


def test_full_pipe_is_not_writable_whatever_its_descriptor():
    """Descriptors from 1,024 on, which `select` cannot see, count like any other."""
    code = """
import fcntl, os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
from imgsync.__main__ import _patch_sockets
_patch_sockets()
from imgsync.concurrency.writable import is_writable
reader, writer = os.pipe()
high = fcntl.fcntl(writer, fcntl.F_DUPFD, 2000)
stream = os.fdopen(high, "wb", buffering=0)
print(is_writable(stream, 1))
os.set_blocking(high, False)
while stream.write(b"x" * 4096) is not None:
    pass
print(is_writable(stream, 1))
os.close(reader)
print(is_writable(stream, 1))
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["True", "False", "True"], done.stderr
