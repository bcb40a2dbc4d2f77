"""
Write what the commands of the documentation print: outputs in pages, and pictures.

    python -m docs.stage.write [PAGE...]

Without PAGE, such as docs/tutorial.md, it writes all pages and the pictures, which takes some minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from docs.stage.page_picture import draw_page
from docs.stage.pages import is_same, read_blocks, run_page
from docs.stage.picture import draw
from docs.stage.report import make_report
from docs.stage.scenes import prepare_picture, set_up
from docs.stage.serve_page import make_serve_page
from docs.stage.shell import Shell
from docs.stage.stage import ROOT, Program, Stage, run_program

PICTURES = {"docs/pictures/plan.svg": 80, "docs/pictures/plan-narrow.svg": 56}
# Width and height of the part of the page, in pixels.
REPORT_PICTURES = {"docs/pictures/report.svg": (900, 865), "docs/pictures/report-narrow.svg": (390, 1000)}
SERVE_PICTURES = {"docs/pictures/serve.svg": (1080, 800), "docs/pictures/serve-narrow.svg": (390, 900)}


def pages_with_commands() -> list[str]:
    """Return the paths of the pages that have console blocks."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(page.relative_to(ROOT)) for page in pages if any(block.language == "console" for block in read_blocks(page.read_text(encoding="utf-8")))]


def write_page(page: str, stage: Stage, folder: Path, program: Program = run_program) -> str:
    """Return a page with what its commands print."""
    stage.reset(folder)
    shell = Shell(stage, program, folder)
    set_up(page, shell)
    return run_page((ROOT / page).read_text(encoding="utf-8"), shell)


def draw_pictures(stage: Stage, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path of each picture and its text."""
    stage.reset(folder)
    prepare_picture(Shell(stage, run_program, folder))
    for picture, columns in PICTURES.items():
        yield picture, draw("imgsync plan", stage.run_on_terminal("plan", columns=columns), columns=columns)


def draw_report(stage: Stage, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path of each picture of the HTML report, and its text."""
    stage.reset(folder)
    html = make_report(Shell(stage, run_program, folder))
    for picture, (width, height) in REPORT_PICTURES.items():
        yield picture, draw_page(html, width=width, height=height)


def draw_serve_page() -> Iterator[tuple[str, str]]:
    """Yield the path of each picture of the page of `imgsync serve`, and its text."""
    html = make_serve_page()
    for picture, (width, height) in SERVE_PICTURES.items():
        yield picture, draw_page(html, width=width, height=height)


def main(pages: Sequence[str]) -> None:
    """Write those of *pages* that differ; without any, all pages and the pictures."""
    with tempfile.TemporaryDirectory() as temporary, Stage(Path(temporary)) as stage:
        folders = (Path(tempfile.mkdtemp(dir=temporary)) for _ in iter(int, 1))
        if not pages:
            _write_changed(draw_pictures(stage, next(folders)))
            _write_changed(draw_report(stage, next(folders)))
            _write_changed(draw_serve_page())
        _write_changed((page, write_page(page, stage, next(folders))) for page in pages or pages_with_commands())


def _write_changed(written: Iterable[tuple[str, str]]) -> None:
    for path, text in written:
        file = ROOT / path
        if not file.exists() or not is_same(text, file.read_text(encoding="utf-8")):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
