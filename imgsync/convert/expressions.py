"""Read expressions of a file that select or deny."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.convert.input_file import Node
from imgsync.convert.regex_to_globs import convert_to_globs, convert_to_tags
from imgsync.convert.regexes import anchor, match_whole
from imgsync.filters.globs import compile_expression, compile_glob
from imgsync.system.dataclass import dataclass

_PLAIN_DOTS = "the dots are read as dots, not as any character"


@dataclass(frozen=True, slots=True)
class Denied:
    """What is denied: globs where possible, else expressions."""

    globs: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()

    def matches(self, text: str) -> bool:
        """Return whether *text*, a tag, is denied."""
        patterns = [*map(compile_glob, self.globs), *map(compile_expression, self.expressions)]
        return any(pattern.fullmatch(text) for pattern in patterns)


def read_search(node: Node) -> str:
    """Return the anchored expression; report an error if invalid."""
    search = anchor(node.read_text())
    try:
        compile_expression(search)
    except ValueError as error:
        node.report_error(str(error))
        return anchor("")
    return search


def convert_denied(searches: Iterable[str], *, crossing: bool) -> Denied:
    """Convert what is denied; *crossing* is whether `.*` matches `/`."""
    globs: list[str] = []
    expressions: list[str] = []
    for search in searches:
        found = convert_to_globs(search, crossing=crossing)
        if found is None:
            expressions.append(match_whole(search))
        globs += found or ()
    return Denied(tuple(dict.fromkeys(globs)), tuple(dict.fromkeys(expressions)))


def convert_names(searches: Iterable[str], node: Node) -> tuple[str, ...] | None:
    """Return the tags that *searches* find, None if not fixed."""
    found = [(search, convert_to_tags(search)) for search in searches]
    names = [name for _, tags in found for name in tags or ()]
    if not names or any(tags is None for _, tags in found):
        return None
    if any("." in search.replace("\\.", "") for search, _ in found):
        node.report_note(_PLAIN_DOTS)
    return tuple(dict.fromkeys(names))
