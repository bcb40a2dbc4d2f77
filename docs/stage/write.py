"""Write the parts of the documentation that commands print: outputs in pages, and pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from docs.stage.pages import is_same, read_blocks, run_page
from docs.stage.picture import draw
from docs.stage.scenes import prepare_picture, set_up
from docs.stage.shell import Shell
from docs.stage.stage import ROOT, Program, Stage, run_program

PICTURES = {"docs/pictures/plan.svg": 80, "docs/pictures/plan-narrow.svg": 56}


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


def main() -> None:
    """Write the pages and pictures that differ."""
    with tempfile.TemporaryDirectory() as temporary, Stage(Path(temporary)) as stage:
        folders = (Path(tempfile.mkdtemp(dir=temporary)) for _ in iter(int, 1))
        written = [*draw_pictures(stage, next(folders)), *((page, write_page(page, stage, next(folders))) for page in pages_with_commands())]
    for path, text in written:
        file = ROOT / path
        if not file.exists() or not is_same(text, file.read_text(encoding="utf-8")):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
