"""How many of the corpus's images discovery finds, and how many of its finds are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from imgsync.discover.find import find_images
from imgsync.discover.model import Certainty, FoundImage

CORPUS = Path(__file__).parent / "corpus"
SHAPES = sorted(path for path in CORPUS.iterdir() if path.is_dir())
_EXPECTED = "EXPECTED"


class Find(NamedTuple):
    """A name of an image, and where it is in the corpus."""

    place: str
    name: str


class Figures(NamedTuple):
    """What was expected and found, sure and likely together; what is unresolved apart."""

    expected: Counter[Find]
    found: Counter[Find]
    unresolved_expected: Counter[Find]
    unresolved_found: Counter[Find]

    @property
    def recall(self) -> float:
        return (self.expected & self.found).total() / max(1, self.expected.total())

    @property
    def precision(self) -> float:
        return (self.expected & self.found).total() / max(1, self.found.total())


def is_held_out(shape: Path) -> bool:
    """Return whether *shape* was not looked at when the finder was changed."""
    return "# held out" in (shape / _EXPECTED).read_text(encoding="utf-8").splitlines()


@cache
def measure(shapes: tuple[Path, ...]) -> Figures:
    """Return the figures of *shapes*, folders of the corpus."""
    expected = Counter(_read_expected(shapes))
    unresolved = Counter(_read_expected(shapes, unresolved=True))
    found: Counter[Find] = Counter()
    unresolved_found: Counter[Find] = Counter()
    for shape in shapes:
        for one in find_images([str(shape)]):
            if isinstance(one, FoundImage):
                where = f"{Path(one.file).relative_to(CORPUS)}:{one.line}"
                if one.certainty is Certainty.UNRESOLVED:
                    unresolved_found[Find(where, one.text)] += 1
                else:
                    found[Find(where, str(one.reference))] += 1
    return Figures(expected, found, unresolved, unresolved_found)


def _read_expected(shapes: tuple[Path, ...], *, unresolved: bool = False) -> Iterator[Find]:
    for shape in shapes:
        for line in (shape / _EXPECTED).read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                certainty, where, name = line.split("\t")
                if (certainty == "unresolved") is unresolved:
                    yield Find(f"{shape.name}/{where}", name)
