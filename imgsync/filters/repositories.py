"""Select repositories by path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgsync.filters.globs import compile_expression, compile_glob


class RepositoryFilter:
    """The globs and expressions of a mirror's `source`."""

    def __init__(self, *, include: Sequence[str], regex: Sequence[str], exclude: Sequence[str], exclude_regex: Sequence[str]) -> None:
        """
        Compile the patterns.

        Raises:
            ValueError: A pattern is malformed.
        """
        self._required = [_make_test(globs, expressions) for globs, expressions in ((include, ()), ((), regex)) if globs or expressions]
        self._is_excluded = _make_test(exclude, exclude_regex)

    def is_excluded(self, path: str) -> bool:
        """Return whether *path* is left out, however it was found."""
        return self._is_excluded(path)

    def includes(self, path: str) -> bool:
        """Return whether *path* is selected if found below a namespace."""
        return all(passes(path) for passes in self._required) and not self.is_excluded(path)


def _make_test(globs: Sequence[str], expressions: Sequence[str]) -> Callable[[str], bool]:
    patterns = [*(compile_glob(text) for text in globs), *(compile_expression(text) for text in expressions)]
    return lambda path: any(pattern.fullmatch(path) for pattern in patterns)
