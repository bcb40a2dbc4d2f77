"""A part of the declarations, as `--only` names it."""

from __future__ import annotations

from imgsync.filters.globs import compile_glob
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class OnlyPattern:
    """Globs of a mirror's name, repositories and tags; "" for all."""

    text: str
    mirror: str
    repository: str = ""
    tag: str = ""

    @property
    def is_part(self) -> bool:
        """Return whether it selects only a part of a mirror."""
        return bool(self.repository or self.tag)

    def has_mirror(self, name: str) -> bool:
        """Return whether it selects the mirror *name*, or a part of it."""
        return compile_glob(self.mirror).fullmatch(name)
