"""Report files: metrics, HTML, JUnit; written whole, also after a failure."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests.support.images import image
from tests.support.rendered import render_markdown, strict_parse
from tests.support.run_imgsync import eventually, finish
from tests.switches import Hold, status

FILES = ("--metrics", "run.prom", "--report", "run.html", "--junit", "run.xml")


@pytest.fixture
def metrics(tmp_path):
    """Return the samples of a family, sorted by label values."""

    def read(family):
        families = {one.name: one for one in text_string_to_metric_families((tmp_path / "run.prom").read_text())}
        return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in families[family].samples}

    return read


def whole(folder):
    """Return whether the three files are complete, with nothing beside them."""
    strict_parse((folder / "run.html").read_text())
    ET.parse(folder / "run.xml")
    list(text_string_to_metric_families((folder / "run.prom").read_text()))
    return sorted(path.name for path in folder.iterdir() if "run." in path.name) == ["run.html", "run.prom", "run.xml"]


def test_metrics_show_the_run(lab, metrics):
    """Images by result, bytes, seconds, requests, throttling, last success."""
    contents = [lab.push("app", tag, image(f"metrics {tag}")) for tag in "12"]
    lab.declare("app")
    lab.source.add(status(429, retry_after="0"), target="/blobs/", nth=1)

    ran = lab.run("apply", "-o", "json", *FILES)

    assert ran.code == 0, ran.stderr
    assert whole(lab.folder)
    assert metrics("imgsync_images")["a", "copied"] == 2
    assert metrics("imgsync_transferred_bytes") == {("a",): sum(content.size_bytes for content in contents)}
    assert 0 < metrics("imgsync_run_duration_seconds")[()] < 60
    for side, proxy in (("source", lab.source), ("destination", lab.destination)):
        asked = {key: count for key, count in metrics("imgsync_registry_requests").items() if key[2] == side}
        assert {key[1] for key in asked} == {proxy.host}
        assert sum(asked.values()) == len(proxy.seen)
    assert metrics("imgsync_registry_throttles") == {(lab.source.host,): 1, (lab.destination.host,): 0}
    assert metrics("imgsync_run_exit_code") == {(): 0}
    succeeded = metrics("imgsync_mirror_last_success_timestamp_seconds")["a",]
    assert abs(succeeded - metrics("imgsync_run_last_completion_timestamp_seconds")[()]) < 60


def test_last_success_outlives_a_run_that_fails(lab, metrics):
    """It comes from the state, for declared mirrors; the other files show the failure."""
    lab.push("app", "1", image("fails"))
    lab.declare("app")
    long_ago = "2026-01-02T03:04:05Z"
    with open_state(str(lab.folder / ".imgsync" / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=print) as store:
        store.record_run_end(remaining=[], successes=["a", "undeclared"], requeues=0, moment=long_ago)
    lab.source.add(status(403), target="/blobs/")

    ran = lab.run("apply", *FILES)

    assert ran.code == 1
    assert whole(lab.folder)
    assert metrics("imgsync_mirror_last_success_timestamp_seconds") == {("a",): datetime.fromisoformat(long_ago).astimezone(UTC).timestamp()}
    assert metrics("imgsync_images")["a", "failed"] == 1
    assert metrics("imgsync_run_exit_code") == {(): 1}
    assert "403" in (lab.folder / "run.html").read_text()
    assert ET.parse(lab.folder / "run.xml").getroot().attrib["failures"] == "1"


def test_cancelled_run_writes_its_files(lab, metrics):
    """Also if its registry hangs."""
    lab.push("app", "1", image("hangs"))
    lab.declare("app")
    lab.source.add(Hold(), method="GET", target="/blobs/")

    ran = lab.run("apply", *FILES, "--run-timeout", "2s")

    assert ran.code == 75, ran.stderr
    assert whole(lab.folder)
    assert metrics("imgsync_images")["a", "remaining"] == 1
    assert metrics("imgsync_mirror_last_success_timestamp_seconds") == {}


def test_run_over_a_safety_limit_writes_its_files(lab, metrics):
    """So that older files are not taken for this run's."""
    lab.push("app", "1", image("brake"))
    lab.declare("app")

    ran = lab.run("apply", *FILES, "--max-changes", "0")

    assert ran.code == 1
    assert whole(lab.folder)
    assert metrics("imgsync_run_exit_code") == {(): 1}
    assert metrics("imgsync_plan_errors") == {("a",): 1}
    assert "more than --max-changes 0" in (lab.folder / "run.html").read_text()
    assert "more than --max-changes 0" in (lab.folder / "run.xml").read_text()


@pytest.mark.parametrize("option", ["--metrics", "--report", "--junit"])
@pytest.mark.parametrize("where", ["missing/file", "folder", "file/below"], ids=["no folder", "a folder", "below a file"])
def test_unwritable_report_file_fails_before_any_request(option, where, lab):
    """Exit 3 with the path."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    (lab.folder / "folder").mkdir()
    (lab.folder / "file").write_text("")

    ran = lab.run("apply", option, where)

    assert ran.code == 3, ran.stderr
    assert f"{where} cannot be written" in ran.stderr
    assert (lab.source.seen, lab.destination.seen) == ([], [])


@pytest.mark.row("RUN-11")
@pytest.mark.parametrize("command", ["apply", "copy"])
def test_report_file_that_fails_at_the_end_is_a_warning(command, lab):
    """The other files are written, the report is printed, and the exit code is the work's."""
    content = lab.push("app", "1", image(1))
    lab.declare("app")
    (lab.folder / "gone").mkdir()
    lab.source.add(Hold(), method="GET", target="/blobs/", times=1)
    images = [f"{lab.source.host}/{lab.name}/app:1", f"{lab.destination.host}/m/{lab.name}/app:1"] if command == "copy" else []
    process = lab.start(command, *images, "--report", "gone/run.html", "--junit", "run.xml", "-o", "json")
    eventually(lambda: lab.source.requests("GET .*/blobs/"))
    (lab.folder / "gone").rmdir()
    lab.source.clear()

    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 1
    assert ET.parse(lab.folder / "run.xml")
    (line,) = ran.events("report.unwritten")
    assert (line["level"], line["path"], line["reason"]) == ("warning", "gone/run.html", "gone/run.html cannot be written: No such file or directory")
    lab.assert_served("app", "1", content)


def test_plan_that_cannot_be_saved_is_printed_and_fails(lab):
    """Exit 1 with the path: the file was asked for."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    (lab.folder / "gone").mkdir()
    lab.source.add(Hold(), target="/tags/list", times=1)
    process = lab.start("plan", "--out", "gone/plan.json", "-o", "json")
    eventually(lambda: lab.source.requests("/tags/list"))
    (lab.folder / "gone").rmdir()
    lab.source.clear()

    ran = finish(process)

    assert ran.code == 1
    assert len(ran.json["changes"]) == 1
    assert "error: gone/plan.json cannot be written: No such file or directory" in ran.stderr


def test_report_files_follow_the_umask(lab):
    """Collectors run as another user; an old file is replaced, not overwritten."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    old = lab.folder / "run.prom"
    old.write_text("an old one\n")
    kept = lab.folder / "kept"
    os.link(old, kept)
    before = os.umask(0o022)
    try:
        ran = lab.run("apply", *FILES)
    finally:
        os.umask(before)

    assert ran.code == 0, ran.stderr
    assert {oct((lab.folder / name).stat().st_mode & 0o777) for name in FILES[1::2]} == {"0o644"}
    assert kept.read_text() == "an old one\n"
    assert whole(lab.folder)


def test_report_as_markdown(lab):
    """stdout is the report alone."""
    lab.push("app", "1", image("markdown"))
    lab.declare("app")

    ran = lab.run("apply", "-o", "markdown")

    assert ran.code == 0
    assert ran.stdout.startswith("<!-- imgsync-report -->\n")
    assert "1 copied" in ran.stdout
    assert "table" in render_markdown(ran.stdout).elements
