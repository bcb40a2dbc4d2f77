"""
Run the console blocks of a page, and write what they print.

A `text` block after a `console` block is the output of its last command. It is replaced when more than times, sizes, digests and
counts of bytes differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from docs.stage.shell import Shell

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARYING = re.compile(r"\b\d+(\.\d+)?(ms|s|m\d+s)\b|\b\d+(\.\d+)? ([KMG]i)?B(/s)?\b|\b[0-9a-f]{8,64}\b|\b20\d\d-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?( UTC|Z)?)?")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, and where the text is in the page."""

    language: str
    text: str
    start: int
    end: int


def read_blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(found[1], found[2], found.start(2), found.end(2)) for found in _BLOCK.finditer(page)]


def run_page(page: str, shell: Shell) -> str:
    """Return *page* with the output of its commands, which run in order."""
    pieces, position, printed = [], 0, None
    previous = 0
    for block in read_blocks(page):
        is_next = not page[previous : block.start].replace("`", "").replace(block.language, "", 1).strip()
        if block.language == "console":
            printed = _run_block(block, shell)
        elif block.language == "text" and printed is not None and is_next:
            pieces += [page[position : block.start], block.text if is_same(printed, block.text) else printed.rstrip() + "\n"]
            position = block.end
        elif block.language == "yaml":
            _write_file(block.text, shell)
        previous = block.end
    return "".join([*pieces, page[position:]])


def is_same(output: str, text: str) -> bool:
    """Return whether two outputs differ only in times, sizes and digests."""
    return _mask(output) == _mask(text)


def _mask(text: str) -> str:
    return re.sub(r"[ \t]+", " ", _VARYING.sub("#", text)).strip()


def commands(block: Block) -> Iterator[str]:
    """Yield the lines that a reader types."""
    for line in block.text.splitlines():
        if line.startswith("$ "):
            yield line.removeprefix("$ ")


def _run_block(block: Block, shell: Shell) -> str | None:
    """Run the lines of a block; the variables that it exports are known in it alone."""
    before, printed = {**shell.variables}, None
    for line in commands(block):
        printed = shell.run(line)
    shell.variables = before
    return printed


def _write_file(text: str, shell: Shell) -> None:
    """Write a block that begins with its own path."""
    path = re.match(r"# ([\w./-]+\.yaml)\n", text)
    if path:
        target = shell.folder / path[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
