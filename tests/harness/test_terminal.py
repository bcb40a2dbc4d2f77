"""The emulated terminal shows what a user would see."""

from __future__ import annotations

from tests.support.terminal import Recording, Terminal, record


def test_recording_keeps_lines_that_scrolled_away(workplace):
    """The help is longer than the screen, and fits its width."""
    seen = record(workplace, "apply", "--help", rows=10, columns=80)

    assert seen.code == 0
    assert seen.text.startswith("Usage: imgsync apply")
    assert seen.text.count("\n") > 10
    assert seen.raw_escapes == []


def test_lines_wider_than_the_terminal_are_recorded(workplace):
    """A line that wraps is named whole, or to where it wrapped."""
    seen = record(workplace, "plan", "no-such-folder-with-a-long-name-" * 2, columns=40)

    assert any("no-such-folder-with-a-long-name" in line for line in seen.too_wide)


def test_escapes_without_their_first_character_are_found():
    """A terminal shows them as text; brackets of ours are none."""
    shown = Recording(0, "", ("ok [1/2] [warning]\n[2m2026-11-30[0m failed",), "", ())

    assert shown.raw_escapes == ["[2m", "[0m"]


def test_keys_reach_the_program(workplace):
    """Ctrl-C ends a program that waits."""
    with Terminal(workplace, "convert", "-") as terminal:
        terminal.press("\x03")

        assert terminal.finish().code != 0
