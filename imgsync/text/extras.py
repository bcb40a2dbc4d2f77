"""Say how to install a part of imgsync that is optional."""

from __future__ import annotations


def format_extra_hint(extra: str) -> str:
    """Return the hint for what needs the *extra* of pyproject.toml."""
    # Not by the name on PyPI, where imgsync is not yet.
    return f"install imgsync with its extra `{extra}`; in a clone: pip install '.[{extra}]'"
