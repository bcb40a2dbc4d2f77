"""Parse and compare platforms, such as `linux/arm64/v8`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform of an image; `variant` may be empty."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Return `os/architecture[/variant]`."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def matches(self, other: Platform) -> bool:
        """
        Return whether this requested platform includes *other*.

        A request without a variant includes every variant; arm64 equals arm64/v8.
        """
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        return not self.variant or self._normalized_variant == other._normalized_variant

    @property
    def _normalized_variant(self) -> str:
        return self.variant or ("v8" if self.architecture == "arm64" else "")


def parse_platform(text: str) -> Platform:
    """
    Parse `os/architecture[/variant]`.

    Raises:
        ValueError: *text* has another form.
    """
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise ValueError(f"{text!r} is not a platform; write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")
    return Platform(*parts)
