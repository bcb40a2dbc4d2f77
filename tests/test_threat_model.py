"""docs/threat-model.md and the tests name each other."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_PAGE = ROOT / "docs" / "threat-model.md"
# How many rows each family has; a row is never dropped, one that cannot apply says so.
_FAMILIES = {"AUTH": 30, "DIG": 22, "DOS": 18, "OUT": 8, "CFG": 14, "ST": 20, "NET": 21, "REG": 31, "GIT": 17, "SIG": 8, "RUN": 17, "LOCK": 9} | {
    "LOCK": 9,
    "DISC": 11,
    "NODE": 5,
    "GITS": 7,
    "LEASE": 4,
    "SRV": 13,
    "EVT": 8,
    "K8S": 8,
    "LOOP": 9,
    "LAY": 9,
    "ARC": 13,
    "BUN": 12,
    "INV": 16,
    "LOAD": 9,
}
_ROWS = [f"{family}-{number:02}" for family, count in _FAMILIES.items() for number in range(1, count + 1)]
_MARK = re.compile(r"^@pytest\.mark\.row\((.*?)\)$(?=.*?^def (test_\w+)\()", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`")


def _table() -> dict[str, list[str]]:
    """Return the cells of each row of the page, by its name."""
    found: dict[str, list[str]] = {}
    for line in _PAGE.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| [A-Z][A-Z0-9]*-\d\d \|", line):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert cells[0] not in found, f"{cells[0]} is there twice"
            found[cells[0]] = cells[1:]
    return found


def _marked() -> dict[str, set[tuple[str, str]]]:
    """Return which tests name each row with `@pytest.mark.row`."""
    found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for rows, test in _MARK.findall(path.read_text(encoding="utf-8")):
            for row in re.findall(r'"([^"]+)"', rows):
                found[row].add((path.relative_to(ROOT).as_posix(), test))
    return dict(found)


TABLE = _table()
MARKED = _marked()


def test_page_has_every_row_in_order():
    """And no test names an unknown row."""
    assert list(TABLE) == _ROWS
    assert set(MARKED) <= set(_ROWS)


@pytest.mark.parametrize("row", _ROWS)
def test_row_and_its_tests_name_each_other(row: str):
    """A row lists exactly its marked tests, or says why it does not apply."""
    threat, weight, does, tests = TABLE[row]

    assert threat
    assert weight in {"critical", "high", "medium", "low"}
    assert len(does) > 10
    if tests.startswith("not applicable: "):
        assert len(tests) > 40, "say why"
        assert row not in MARKED
    else:
        assert set(_TEST.findall(tests)) == MARKED.get(row, set())
        assert row in MARKED, "no test names it"


def test_every_advisory_of_others_is_answered_by_rows():
    """Each once, with existing rows."""
    section = _PAGE.read_text(encoding="utf-8").partition("\n## Advisories of other tools\n")[2]
    answered = {
        cells[1]: cells[4]
        for line in section.splitlines()
        if (cells := [cell.strip() for cell in line.split("|")])[1:2] and cells[1].startswith(("CVE", "GHSA"))
    }
    names = [name for cell in answered for name in cell.split(", ")]

    assert len(names) == len(set(names)) >= 30
    assert all(re.fullmatch(r"CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3}", name) for name in names)
    assert all(rows and set(rows.split(", ")) <= set(TABLE) for rows in answered.values())
