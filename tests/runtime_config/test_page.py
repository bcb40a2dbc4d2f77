"""The page for nodes shows the files that its commands write."""

from __future__ import annotations

import re
from pathlib import Path

from docs.stage.pages import commands, read_blocks
from imgsync.runtime_config.runtimes import RUNTIMES
from tests.support.forked import Forked
from tests.support.run_imgsync import Workplace

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "nodes.md"
_FILE = re.compile(r"^`(nodes/[^`]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_page_shows_the_files_of_every_runtime(workplace: Workplace):
    """And has a section for each."""
    page = PAGE.read_text()
    for block in read_blocks(page):
        if block.language == "yaml":
            workplace.mirror_file(block.text, block.text.splitlines()[0].removeprefix("# "))
    lines = [line for block in read_blocks(page) if block.language == "console" for line in commands(block)]
    ran = [line.split()[1:] for line in lines if line.startswith("imgsync ") and "exit code" not in line]

    for command in ran:
        assert Forked(command, cwd=workplace.folder, env=workplace.environment()).communicate(timeout=60)[0]

    assert {command[1] for command in ran} == set(RUNTIMES)
    shown = dict(_FILE.findall(page))
    assert shown
    for name, text in shown.items():
        assert (workplace.folder / name).read_text() == text
