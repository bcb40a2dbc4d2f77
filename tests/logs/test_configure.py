"""Log lines are data: one line each, without secrets."""

from __future__ import annotations

import io
import json
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.logs.configure import configure_logging
from imgsync.text.redaction import Redaction
from tests.support.effort import effort
from tests.support.hostile_text import obeyed
from tests.support.plans import hostile


def logged_with(form: str, **fields: object) -> str:
    stream = io.StringIO()
    configure_logging(level="debug", form=form, stream=stream, redaction=Redaction()).warning("image.failed", **fields)
    return stream.getvalue()


@pytest.mark.row("OUT-01", "OUT-02", "OUT-07")
@pytest.mark.parametrize("form", ["json", "console"])
@settings(max_examples=effort(20, 1000), deadline=None)
@given(hostile)
def test_log_fields_contain_no_command(form, text):
    """A field stays on its line; as JSON it is unchanged."""
    shown = logged_with(form, reference=text, error=f"denied: {text}", nested=[text, {"detail": text}])

    assert obeyed(shown) == []
    assert shown.count("\n") == 1
    if form == "json":
        assert json.loads(shown)["reference"] == text


def logged(form: str = "json", *, level: str = "debug", secrets: tuple[str, ...] = (), **fields: object) -> str:
    stream, redaction = io.StringIO(), Redaction()
    redaction.hide(secrets)
    configure_logging(level=level, form=form, stream=stream, redaction=redaction).info("image.copied", **fields)
    return stream.getvalue()


def test_log_lines_are_json_with_fixed_first_fields():
    """timestamp (UTC, RFC 3339), level and event come first."""
    line = json.loads(logged(mirror="a", seconds=1.5, error=None))

    assert list(line) == ["timestamp", "level", "event", "mirror", "seconds", "error"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"]) == ("info", "image.copied")


def test_fields_never_replace_the_first_three():
    """What a registry sends can be a field, not the level."""
    line = json.loads(logged(level="debug", timestamp="x"))

    assert line["timestamp"] != "x"
    assert list(line) == ["timestamp", "level", "event"]


def test_value_that_json_has_not_is_shown():
    """As Python shows it."""
    assert json.loads(logged(mirror={"a"}))["mirror"] == "{'a'}"


def test_log_level_is_a_threshold():
    """Lower levels are not written."""
    assert logged(level="warning") == ""


@pytest.mark.row("OUT-07")
@given(st.text())
def test_no_field_breaks_a_log_line(text):
    """A line stays one line, of JSON or of text."""
    assert json.loads(logged(error=text))["error"] == text
    assert logged(error=text).count("\n") == 1
    assert len(logged("console", error=text).splitlines()) == 1


@pytest.mark.parametrize("secret", ["hunter2!", 'quo"te', "info"])
def test_log_hides_secrets(secret):
    """Field names stay."""
    assert json.loads(logged(secrets=(secret,), error=f"denied: {secret}"))["error"] == "denied: ***"


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch):
    """A terminal of 40 columns."""
    monkeypatch.setattr("imgsync.logs.configure.read_size", lambda _: os.terminal_size((40, 24)))
    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return _Screen()


def shown_on(screen: _Screen, **fields: object) -> str:
    configure_logging(level=None, form="auto", stream=screen, redaction=Redaction()).error("image.failed", **fields)
    return screen.getvalue()


@pytest.mark.parametrize("ci", ["", "true"])
def test_lines_for_people_wrap_between_words(ci, screen, monkeypatch):
    """A reference that is longer than the line stays whole; a CI job with a terminal has its width too."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("NO_COLOR", "1")
    reference = f"registry.example/{'a' * 40}:1"

    time, *lines = shown_on(screen, source=reference, error="push manifest: 400 MANIFEST_INVALID: unknown field", digest=None).splitlines()

    assert re.fullmatch(r"\d\d:\d\d:\d\dZ error image\.failed", time)
    assert lines == [f"  source={reference}", '  error="push manifest: 400', '  MANIFEST_INVALID: unknown field"']


@pytest.mark.parametrize(("operation", "shown"), [("resolve", []), ("pull blob", ['operation="pull blob"', "reference=r.io/a:1"])])
def test_lines_for_people_say_once_what_an_error_is_about(operation, shown):
    """A field that the message begins with is left out; JSON has it."""
    fields = {"operation": operation, "reference": "r.io/a:1", "attempt": 1, "error": "resolve r.io/a:1 (source): 503"}

    line = logged("console", **fields)

    assert line.split(" ", 3)[3].rstrip() == " ".join([*shown, "attempt=1", 'error="resolve r.io/a:1 (source): 503"'])
    assert json.loads(logged(**fields))["operation"] == operation


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"FORCE_COLOR": "1", "TERM": "dumb"}, True)], ids=str
)
def test_lines_for_people_are_coloured_as_the_terminal_allows(environ, coloured, screen, monkeypatch):
    """NO_COLOR comes first, then FORCE_COLOR, then the terminal."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert ("\x1b[" in shown_on(screen, error="denied")) is coloured


def test_a_line_is_written_at_once():
    """Something else that writes to the terminal cannot come between its parts."""
    writes = []
    stream = io.StringIO()
    stream.write = writes.append  # type: ignore[assignment,method-assign]
    configure_logging(level="debug", form="json", stream=stream, redaction=Redaction()).info("image.copied")

    assert len(writes) == 1
    assert writes[0].endswith("}\n")
