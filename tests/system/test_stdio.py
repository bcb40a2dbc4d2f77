"""Standard streams that are not read, closed, full or narrow."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.images import image, plain_client
from tests.support.run_imgsync import eventually, finish, stopping
from tests.support.signing import signer
from tests.switches import Hold, Respond

ROOT = Path(__file__).parents[2]


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


def started(lab, arguments: str, redirection: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run imgsync in a shell, which redirects its streams."""
    command = f"exec {sys.executable} -m imgsync {arguments} {redirection}"
    return subprocess.run(["bash", "-c", command], cwd=lab.folder, env=lab.workplace.environment(environ), capture_output=True, check=False, timeout=60)


LOST = ["> /dev/full", "2> /dev/full", "> /dev/full 2>&1", "2>&-", "<&- >&- 2>&-"]


@pytest.mark.row("RUN-11")
@pytest.mark.parametrize("redirection", LOST)
def test_lost_output_changes_neither_copies_nor_exit_code(redirection, lab):
    """On a full disk or a closed descriptor; report files are written."""
    lab.push("app", "1", image(lab.name))
    lab.declare("app")

    done = started(lab, "apply --report run.html --junit run.xml --metrics run.prom --log-format json", redirection)

    assert done.returncode == 0, done.stderr
    assert lab.served_tags("app") == ["1"]
    assert all((lab.folder / name).read_text() for name in ("run.html", "run.xml", "run.prom"))
    if redirection == "> /dev/full":
        assert done.stderr.count(b"warning: the output could not be written to stdout: No space left on device") == 1


@pytest.mark.row("RUN-11")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [("plan --detailed-exitcode", 1), ("list HOST", 1), ("state export", 1), ("validate", 0)],
)
def test_lost_result_is_a_failure(arguments, code, lab):
    """Of a command that only prints; a truncated plan must not pass for a whole one."""
    lab.push("app", "1", image(lab.name))
    lab.declare("app")

    done = started(lab, arguments.replace("HOST", f"{lab.source.host}/{lab.name}"), "> /dev/full")

    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.row("RUN-11")
@pytest.mark.parametrize("encoding", ["ascii:strict", "cp1252:strict"])
def test_narrow_encoding_is_no_failure(encoding, lab):
    """Characters that it lacks are escaped, in JSON without changing the text."""
    lab.push("app", "1", image(lab.name))
    lab.declare("app", "require: {signatures: {keys: [\u94a5]}}", registries=f"keys: {{\u94a5: {{pem: {json.dumps(signer().pem)}}}}}\n")
    for form in ("table", "json"):
        done = started(lab, f"plan -o {form} --log-format console", "", PYTHONIOENCODING=encoding)

        assert done.returncode == 1, done.stderr
        assert b"Traceback" not in done.stderr
        if form == "json":
            assert "\u94a5" in json.loads(done.stdout)["changes"][0]["reason"]


def test_non_blocking_stdout_gets_everything(tmp_path):
    """Another process that shares the pipe may have made it non-blocking."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)

    process = subprocess.Popen([sys.executable, "-m", "imgsync", "schema", "mirror"], stdout=writer, cwd=tmp_path)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        printed = pipe.read()

    assert process.wait(20) == 0
    assert json.loads(printed)["title"]


def test_log_resumes_when_there_is_room(tmp_path):
    """On a line of its own."""
    code = """
import os, sys
from imgsync.system.stdio import protect_streams
protect_streams()
file = os.dup(2)
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
print("lost", file=sys.stderr)
os.dup2(file, 2)
print("kept", file=sys.stderr)
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})

    assert (done.stderr, done.returncode) == ("\nkept\n", 0)


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
