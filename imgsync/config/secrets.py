"""A text that is never shown."""

from __future__ import annotations

from typing import NoReturn, Self


class Secret:
    """
    A text that `repr`, `str` and `format` show as `***`.

    It cannot be pickled. Not a dataclass, because `asdict` would expose its text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret text, for the Authorization header only."""
        return self._text

    def __repr__(self) -> str:
        """Hide the value."""
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Hide the value."""
        return "***"

    def __deepcopy__(self, memo: object) -> Self:
        """Return the same object: `asdict` deep-copies it."""
        return self

    def __reduce__(self) -> NoReturn:
        """
        Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a secret cannot be pickled")
