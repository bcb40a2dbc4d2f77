"""Texts are plain: short first lines of docstrings, and none of the words that readers stumble over."""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def list_texts(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder*, without what programs keep there in hidden ones."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not path.name.startswith("."):
                yield from list_texts(path)
        else:
            yield path


MODULES = sorted((ROOT / "imgsync").rglob("*.py"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "action.yml", "Makefile", "Dockerfile")),
    *(path for folder in ("docs", ".github", "mirrors.d", "fuzz", "benchmarks", "schema") for path in list_texts(ROOT / folder)),
    *sorted((ROOT / "imgsync").rglob("*.jinja")),
]
TEXTS = {".md", ".yml", ".yaml", ".json", ".jinja", ".py", ".html", ""}
LONGEST_FIRST_LINE = 12
LONGEST_MEDIAN = 9
# Each is a riddle to somebody; CONTRIBUTING.md says what to write instead.
BANNED = re.compile(
    r"\b(so many|whoever|nobody|anew|as ever|what is wanted|who we are|the door|the house|tells|wants)\b|(?<!there )\bis no (?!longer\b|more\b)", re.IGNORECASE
)


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where each docstring of a module is, and its first line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text.splitlines()[0]


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of all that people read in a file: of Python, strings and comments."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} or tokenize.tok_name[token.type].startswith("FSTRING"):
            yield from ((token.start[0] + number, line) for number, line in enumerate(token.string.splitlines()))


def test_first_lines_of_docstrings_are_short():
    """No first line has more than twelve words; half have nine or fewer."""
    lines = [(place, line) for path in MODULES for place, line in docstrings(path)]

    assert [f"{place}: {line}" for place, line in lines if len(line.split()) > LONGEST_FIRST_LINE] == []
    assert statistics.median(len(line.split()) for _, line in lines) <= LONGEST_MEDIAN


@pytest.mark.parametrize("files", [MODULES, PAGES], ids=["package", "pages"])
def test_no_text_has_a_banned_word(files):
    """Neither docstrings, comments, errors and help of the package, nor the documentation, have one."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in files
        if path.suffix in TEXTS
        for number, line in words(path)
        if BANNED.search(line)
    ]

    assert found == []
