"""The commands in the documentation run, and print what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from docs.stage.pages import is_same, read_blocks
from docs.stage.stage import ROOT, Output, Stage
from docs.stage.write import draw_pictures, draw_report, draw_serve_page, pages_with_commands, write_page
from tests.support.chart_tools import WITH_TOOLS, needs_tools
from tests.support.forked import Forked

# A block of text there is a drawing.
_DRAWINGS = {"docs/reference/bundle-format.md"}
# They run helm.
_RENDER = {"docs/how-to/mirror-a-chart.md"}
# tests/test_reference.py compares these.
_GENERATED = re.compile(r"<!-- begin: (\S+) -->.*?<!-- end: \1 -->", re.DOTALL)


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Iterator[Stage]:
    """Return registries with real names."""
    with Stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


def run_forked(arguments: list[str], folder: Path, environ: Mapping[str, str], text: str) -> Output:
    """Run imgsync without a start of its own."""
    process = Forked(arguments, cwd=folder, env=environ)
    out, err = process.communicate(text, timeout=60)
    return Output(process.returncode, out, err)


@pytest.mark.parametrize("page", [pytest.param(page, marks=[needs_tools] if page in _RENDER else []) for page in pages_with_commands()])
def test_commands_of_a_page_print_what_it_shows(page, stage, tmp_path, monkeypatch):
    """Each ends with 0, or the code that its comment names. `python -m docs.stage.write` writes their outputs."""
    monkeypatch.setenv("PATH", WITH_TOOLS["PATH"])
    text = (ROOT / page).read_text(encoding="utf-8")

    assert is_same(write_page(page, stage, tmp_path, run_forked), text)


def test_every_block_of_text_is_printed_by_the_program():
    """It comes after the command that prints it, is generated, or is a drawing."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    loose = []
    for page in pages:
        blocks = read_blocks(_GENERATED.sub("", page.read_text(encoding="utf-8")))
        for before, block in zip([None, *blocks], blocks, strict=False):
            if block.language == "text" and (before is None or before.language != "console"):
                loose.append(str(page.relative_to(ROOT)))

    assert set(loose) == _DRAWINGS


def test_pictures_show_what_the_program_prints(stage, tmp_path):
    """With its colours, at both widths."""
    for path, picture in draw_pictures(stage, tmp_path):
        assert is_same(picture, (ROOT / path).read_text(encoding="utf-8")), f"{path}: python -m docs.stage.write"


def test_pictures_of_the_status_page_show_what_is_served():
    """The page of `imgsync serve`, at both widths."""
    for path, picture in draw_serve_page():
        assert is_same(picture, (ROOT / path).read_text(encoding="utf-8")), f"{path}: python -m docs.stage.write"


def test_pictures_of_the_report_show_what_the_program_writes(stage, tmp_path):
    """The HTML report of a run, at both widths."""
    for path, picture in draw_report(stage, tmp_path):
        assert is_same(picture, (ROOT / path).read_text(encoding="utf-8")), f"{path}: python -m docs.stage.write"
