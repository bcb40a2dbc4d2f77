"""The files that a run writes: metrics, an HTML page, JUnit; also when it fails or is cut, whole or not at all."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests.support.images import image, push
from tests.support.rendered import render_markdown, strict_parse
from tests.switches import Hold, status

FILES = ("--metrics", "run.prom", "--report", "run.html", "--junit", "run.xml")


@pytest.fixture
def metrics(tmp_path):
    """Return the samples of a family in the metrics file: labels' values, sorted by name, and the value."""

    def read(family):
        families = {one.name: one for one in text_string_to_metric_families((tmp_path / "run.prom").read_text())}
        return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in families[family].samples}

    return read


def whole(folder):
    """Return whether the three files are there, whole, with nothing beside them."""
    strict_parse((folder / "run.html").read_text())
    ET.parse(folder / "run.xml")
    list(text_string_to_metric_families((folder / "run.prom").read_text()))
    return sorted(path.name for path in folder.iterdir() if "run." in path.name) == ["run.html", "run.prom", "run.xml"]


def test_metrics_tell_what_was_done(registry, name, declare, imgsync, source, destination, metrics, tmp_path):
    """Images by result, bytes, seconds, requests per registry as the registries counted them, throttles, the last success."""
    contents = [push(registry, f"{name}/app", tag, image(f"metrics {tag}")) for tag in "12"]
    declare(f"[{name}/app]")
    source.add(status(429, retry_after="0"), target="/blobs/", nth=1)

    ran = imgsync("apply", "-o", "json", *FILES)

    assert ran.code == 0, ran.stderr
    assert whole(tmp_path)
    assert metrics("imgsync_images")["a", "copied"] == 2
    assert metrics("imgsync_transferred_bytes") == {("a",): sum(content.size_bytes for content in contents)}
    assert 0 < metrics("imgsync_run_duration_seconds")[()] < 60
    for side, proxy in (("source", source), ("destination", destination)):
        asked = {key: count for key, count in metrics("imgsync_registry_requests").items() if key[2] == side}
        assert {key[1] for key in asked} == {proxy.host}
        assert sum(asked.values()) == len(proxy.seen)
    assert metrics("imgsync_registry_throttles") == {(source.host,): 1, (destination.host,): 0}
    assert metrics("imgsync_run_exit_code") == {(): 0}
    succeeded = metrics("imgsync_mirror_last_success_timestamp_seconds")["a",]
    assert abs(succeeded - metrics("imgsync_run_last_completion_timestamp_seconds")[()]) < 60


def test_last_success_outlives_a_run_that_fails(registry, name, declare, imgsync, source, metrics, tmp_path):
    """It comes from the state; of mirrors that are no longer declared nothing is told. The other files tell of the failure."""
    push(registry, f"{name}/app", "1", image("fails"))
    declare(f"[{name}/app]")
    long_ago = "2026-01-02T03:04:05Z"
    with open_state(str(tmp_path / ".imgsync" / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=print) as store:
        store.record_run_end(remaining=[], successes=["a", "undeclared"], requeues=0, moment=long_ago)
    source.add(status(403), target="/blobs/")

    ran = imgsync("apply", *FILES)

    assert ran.code == 1
    assert whole(tmp_path)
    assert metrics("imgsync_mirror_last_success_timestamp_seconds") == {("a",): datetime.fromisoformat(long_ago).astimezone(UTC).timestamp()}
    assert metrics("imgsync_images")["a", "failed"] == 1
    assert metrics("imgsync_run_exit_code") == {(): 1}
    assert "403" in (tmp_path / "run.html").read_text()
    assert ET.parse(tmp_path / "run.xml").getroot().attrib["failures"] == "1"


def test_run_that_is_cut_writes_its_files(registry, name, declare, imgsync, source, metrics, tmp_path):
    """Also one whose registry hangs for ever."""
    push(registry, f"{name}/app", "1", image("hangs"))
    declare(f"[{name}/app]")
    source.add(Hold(), method="GET", target="/blobs/")

    ran = imgsync("apply", *FILES, "--run-timeout", "2s")

    assert ran.code == 75, ran.stderr
    assert whole(tmp_path)
    assert metrics("imgsync_images")["a", "remaining"] == 1
    assert metrics("imgsync_mirror_last_success_timestamp_seconds") == {}


def test_run_that_a_brake_stops_writes_its_files(registry, name, declare, imgsync, metrics, tmp_path):
    """Nothing was done, and nobody takes the files of the run before for this one's."""
    push(registry, f"{name}/app", "1", image("brake"))
    declare(f"[{name}/app]")

    ran = imgsync("apply", *FILES, "--max-changes", "0")

    assert ran.code == 1
    assert whole(tmp_path)
    assert metrics("imgsync_run_exit_code") == {(): 1}
    assert metrics("imgsync_plan_errors") == {("a",): 1}
    assert "more than --max-changes 0" in (tmp_path / "run.html").read_text()
    assert "more than --max-changes 0" in (tmp_path / "run.xml").read_text()


@pytest.mark.parametrize("option", ["--metrics", "--report", "--junit"])
@pytest.mark.parametrize("where", ["missing/file", "folder", "file/below"], ids=["no folder", "a folder", "below a file"])
def test_what_cannot_be_written_is_told_before_anybody_is_asked(option, where, registry, name, declare, imgsync, source, destination, tmp_path):
    """Exit 3, the path is named, and no registry has heard of us."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")

    ran = imgsync("apply", option, where)

    assert ran.code == 3, ran.stderr
    assert f"{where} cannot be written" in ran.stderr
    assert (source.seen, destination.seen) == ([], [])


def test_others_may_read_what_is_written_for_them(registry, name, declare, imgsync, tmp_path):
    """Collectors and sites read as somebody else: the umask says who may. A file that was there is replaced, not written into."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    old = tmp_path / "run.prom"
    old.write_text("an old one\n")
    kept = tmp_path / "kept"
    os.link(old, kept)
    before = os.umask(0o022)
    try:
        ran = imgsync("apply", *FILES)
    finally:
        os.umask(before)

    assert ran.code == 0, ran.stderr
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in FILES[1::2]} == {"0o644"}
    assert kept.read_text() == "an old one\n"
    assert whole(tmp_path)


def test_report_as_markdown(registry, name, declare, imgsync, destination):
    """stdout is the report alone, and renders to what was done."""
    push(registry, f"{name}/app", "1", image("markdown"))
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "markdown")

    assert ran.code == 0
    assert ran.stdout.startswith("<!-- imgsync-report -->\n")
    assert "1 copied" in ran.stdout
    assert "table" in render_markdown(ran.stdout).elements
