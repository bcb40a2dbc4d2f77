"""How it stands with what is declared, as Markdown for a comment, an issue or a step's summary."""

from __future__ import annotations
