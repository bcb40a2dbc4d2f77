"""Progress on a terminal, below the log and never on stdout."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.images import first_layer, image, shared_base_images
from tests.support.terminal import CTRL_C, Terminal, record, without_escapes
from tests.switches import Hold, status

WIDTHS = [60, 80, 120]
COLOURS = [{}, {"NO_COLOR": "1"}]
# `apply` asks nothing: these tests are about what it shows.
# What arrived of the held image, of what it has to move.
MOVED = r"[12]\.\d/4\.0 MiB"
APPROVED = {"IMGSYNC_YES": "1"}


@pytest.fixture
def held(lab):
    """Declare a mirror of one image whose layer does not arrive until the switch is released."""
    content = lab.push("team/a-quite-long-name-for-a-repo", "1.27.3-with-a-suffix", image(lab.name, layers=1, layer_bytes=4 << 20))
    lab.declare("team/a-quite-long-name-for-a-repo")
    return lab.source.add(Hold(after_bytes=2 << 20), target=first_layer(content))


def assert_readable(seen, *, colour: bool) -> None:
    """Assert that nobody saw a raw escape, or a line of ours that is too wide."""
    assert seen.raw_escapes == []
    assert seen.has_colour is colour
    # A reference of an error stands alone on its line, and stays whole.
    assert [line for line in seen.too_wide if len(line.split()) > 1 or "/" not in line] == []


@pytest.mark.parametrize("environ", COLOURS, ids=["colour", "NO_COLOR"])
@pytest.mark.parametrize("columns", WIDTHS)
def test_plan_shows_what_it_does(columns, environ, lab):
    """Repositories listed, tags found and looked up, in place; nothing of it stays."""
    lab.push("app", "1", image(lab.name))
    lab.push("more", "1", image(lab.name))
    lab.declare("app more")
    held = lab.source.add(Hold(), target="/more/manifests/")

    with Terminal(lab.workplace, "plan", columns=columns, **environ) as terminal:
        frame = terminal.wait_for("[01] of 2 tags")
        held.release()
        seen = terminal.finish()

    assert seen.code == 0
    assert "Planning ━" in frame
    assert re.search("2 of 2 repositories, [01] of 2 tags", frame)
    assert "Planning ━" not in seen.text
    assert_readable(seen, colour=not environ)


@pytest.mark.parametrize("environ", COLOURS, ids=["colour", "NO_COLOR"])
@pytest.mark.parametrize("columns", WIDTHS)
def test_failures_are_logged_above_the_bars(columns, environ, lab, held):
    """The line of a failure stays above the bars, which stay whole."""
    lab.source.add(status(404), target="/broken/blobs/")
    lab.push("broken", "1", image((lab.name, "broken")))
    lab.declare("team/a-quite-long-name-for-a-repo broken")

    with Terminal(lab.workplace, "apply", columns=columns, **APPROVED, **environ) as terminal:
        frame = terminal.wait_for(rf"(?s)image\.failed.*{MOVED}")
        held.release()
        seen = terminal.finish()

    assert seen.code == 1
    log, _, bars = frame.partition("image.failed")[2].partition(" of 2 images" if columns > 79 else "/2 images")
    assert "error=" in log
    assert "MiB/s" in bars or "KiB/s" in bars
    assert ("…" in bars) is (columns < 120)
    assert re.search(MOVED, bars)
    assert "━" not in seen.text
    assert_readable(seen, colour=not environ)


@pytest.mark.parametrize("environ", COLOURS, ids=["colour", "NO_COLOR"])
@pytest.mark.parametrize("columns", WIDTHS)
def test_ctrl_c_leaves_bars_and_log_whole(columns, environ, lab, held):
    """The first says how to stop at once; running copies may end."""
    with Terminal(lab.workplace, "apply", columns=columns, **APPROVED, **environ) as terminal:
        terminal.wait_for(r"[12]\.\d/4\.0 MiB")
        terminal.press(CTRL_C)
        frame = terminal.wait_for(r"(?s)run\.stopping.* stopping\n")
        held.release()
        seen = terminal.finish()

    assert seen.code == 0
    assert "press Ctrl-C again" in " ".join(frame.split())
    assert len(re.findall(MOVED, frame)) == 2
    assert "━" not in seen.text
    assert_readable(seen, colour=not environ)


def test_second_ctrl_c_removes_the_bars(lab, held):
    """The process ends at once, and the terminal is as before."""
    with Terminal(lab.workplace, "apply", **APPROVED) as terminal:
        terminal.wait_for(r"[12]\.\d/4\.0 MiB")
        terminal.press(CTRL_C)
        terminal.wait_for(r"run\.stopping")
        terminal.press(CTRL_C)
        seen = terminal.finish()

    assert seen.code == 130
    assert "━" not in seen.text
    assert seen.raw_escapes == []


@pytest.mark.parametrize("columns", [60, 120])
def test_resize_leaves_no_part_of_a_bar(columns, lab, held):
    """Bars fit the new width, and no part of an old one stays."""
    # TERM=linux: like the emulator, this terminal cuts lines off instead of wrapping them.
    with Terminal(lab.workplace, "apply", TERM="linux", **APPROVED) as terminal:
        terminal.wait_for(r"[12]\.\d/4\.0 MiB")
        terminal.resize(columns)
        frame = terminal.wait_for("0/1 image " if columns == 60 else f"0 of 1 image {'─' * 30}|0 of 1 image ━")
        held.release()
        seen = terminal.finish()

    assert len(re.findall(MOVED, frame)) == 2
    assert "━" not in seen.text


@pytest.mark.parametrize("off", [(["--no-progress"], {}), ([], {"CI": "true"}), ([], {"TERM": "dumb"})], ids=["--no-progress", "CI", "dumb"])
def test_progress_in_place_can_be_off(off, lab, held):
    """By option, in a CI that has a terminal, and on a terminal without escapes."""
    held.release()
    arguments, environ = off

    seen = record(lab.workplace, "apply", *arguments, **APPROVED, **environ)

    assert seen.code == 0
    assert "━" not in seen.raw
    assert "Planning " not in seen.raw.replace("Planning took", "")
    assert (environ.get("TERM") == "dumb") is ("\x1b" not in seen.raw)


def test_terminal_of_a_ci_gets_heartbeats(lab, held):
    """A CI that gives its jobs a terminal kills quiet ones as well."""
    with Terminal(lab.workplace, "apply", "--heartbeat", "200ms", CI="true", **APPROVED) as terminal:
        terminal.wait_for(r"apply\.progress .*images_running=1")
        held.release()
        assert terminal.finish().code == 0


def test_log_lines_stay_json_above_the_bars(lab, held):
    """A JSON line is not wrapped, whatever the width."""
    with Terminal(lab.workplace, "apply", "--log-level", "info", "--log-format", "json", columns=60, **APPROVED) as terminal:
        terminal.wait_for(r"[12]\.\d/4\.0 MiB")
        held.release()
        seen = terminal.finish()

    lines = [line.strip() for line in without_escapes(seen.raw).splitlines() if '"image.copied"' in line]
    assert [json.loads(line)["event"] for line in lines] == ["image.copied"]


def test_total_is_what_an_image_has_to_move(lab):
    """Layers that the destination has do not count."""
    first, second = shared_base_images(2, seed=lab.name, layer_bytes=1 << 20)
    lab.push("app", "1", first)
    lab.declare("app", "tags: {names: ['1']}")
    assert lab.run("apply").code == 0
    lab.push("app", "2", second)
    lab.declare("app")
    held = lab.source.add(Hold(after_bytes=1), target="/blobs/")

    with Terminal(lab.workplace, "apply", **APPROVED) as terminal:
        frame = terminal.wait_for(r"app:2 .*/")
        held.release()
        terminal.finish()

    assert "0.0/1.0 MiB" in frame.rpartition("app:2")[2]


def test_saving_a_plan_prints_the_apply_command(lab):
    """On stderr, quoted for a shell."""
    lab.push("app", "1", image(lab.name))
    lab.declare("app")

    seen = record(lab.workplace, "plan", "--out", "my plan.json")

    assert seen.code == 0
    assert "Saved to my plan.json. Apply it with: imgsync apply --plan 'my plan.json'" in seen.text
    assert (lab.folder / "my plan.json").exists()


@pytest.mark.parametrize(("command", "verb"), [("list", "Listing"), ("login-check", "Checking logins")])
def test_commands_that_wait_show_requests(command, verb, lab):
    """A registry that is slow to answer does not look like a program that hangs."""
    lab.push("app", "1", image(lab.name))
    lab.declare("app")
    held = lab.source.add(Hold())
    arguments = [command, f"{lab.source.host}/{lab.name}/app"] if command == "list" else [command]

    with Terminal(lab.workplace, *arguments) as terminal:
        terminal.wait_for(rf"{verb} \d+ requests?, \ds")
        held.release()
        seen = terminal.finish()

    assert seen.code == 0
    assert verb not in seen.text


@pytest.mark.parametrize("columns", WIDTHS)
def test_verify_shows_images_checked_and_read(columns, lab):
    """Checked of how many, then read of how many with bytes and rate."""
    content = lab.push("app", "1", image(lab.name, layers=1, layer_bytes=4 << 20))
    lab.declare("app")
    assert lab.run("apply").code == 0
    asked = lab.destination.add(Hold(), target="/manifests/1")
    read = lab.destination.add(Hold(after_bytes=2 << 20), target=first_layer(content), method="GET")

    with Terminal(lab.workplace, "verify", "--deep", columns=columns) as terminal:
        checking = terminal.wait_for("Checking .*0 of 1 image")
        asked.release()
        reading = terminal.wait_for(r"Reading .*0 of 1 image [12]\.\d MiB .*/s")
        read.release()
        seen = terminal.finish()

    assert seen.code == 0
    assert "1 of 1 repository" in checking
    assert "━" in checking
    assert "─" in reading
    assert_readable(seen, colour=True)


def test_copy_of_a_repository_shows_its_planning(lab):
    """As `apply` does."""
    lab.push("app", "1", image(lab.name))
    lab.declare("app")
    held = lab.source.add(Hold(), target="/manifests/")

    with Terminal(lab.workplace, "copy", f"{lab.source.host}/{lab.name}/app", f"{lab.destination.host}/copied/{lab.name}") as terminal:
        terminal.wait_for("Planning .*1 of 1 repository, 0 of 1 tag, ")
        held.release()
        seen = terminal.finish()

    assert seen.code == 0
    assert seen.raw_escapes == []
