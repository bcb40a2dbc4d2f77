"""Parse and compare platforms, such as `linux/arm64/v8`."""

from __future__ import annotations

import re

from imgsync.system.dataclass import dataclass

# What people and other tools call an architecture -> what indexes call it.
_OTHER_NAMES = {
    **dict.fromkeys(("x86_64", "x86-64", "x64", "amd64v1"), "amd64"),
    **dict.fromkeys(("aarch64", "arm64v8", "armv8"), "arm64"),
    **dict.fromkeys(("armhf", "armv7", "armv7l", "arm32v7"), "arm/v7"),
    **dict.fromkeys(("armel", "armv6", "armv6l", "arm32v6"), "arm/v6"),
    **dict.fromkeys(("armv5", "armv5l", "arm32v5"), "arm/v5"),
    **dict.fromkeys(("i386", "i486", "i586", "i686", "x86"), "386"),
    **dict.fromkeys(("ppc64el", "powerpc64le"), "ppc64le"),
}
_ARCHITECTURES = {"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le"}
_VARIANT = re.compile(r"[a-z0-9.]+")
_SYSTEMS = {"linux", "windows", "darwin", "freebsd"}


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


def suggest_platform(text: str) -> str:
    """
    Return how indexes write the platform *text*, "" if it is unknown.

    `amd64` and `linux/x86_64` are `linux/amd64`. The result is *text* if that is usual.
    """
    words = text.lower().replace(":", "/").strip("/ ").split("/")
    system = next((word for word in words if word in _SYSTEMS), "linux")
    others = [word for word in words if word not in _SYSTEMS]
    if not others:
        return ""
    architecture, _, variant = _OTHER_NAMES.get(others[0], others[0]).partition("/")
    if architecture not in _ARCHITECTURES or len(others) > 2:
        return ""
    variant = others[1] if len(others) == 2 else variant
    if variant and not _VARIANT.fullmatch(variant):
        return ""
    return "/".join(part for part in (system, architecture, re.sub(r"^(?=[0-9])", "v", variant)) if part)


def parse_platform(text: str) -> Platform:
    """
    Parse `os/architecture[/variant]`.

    Raises:
        ValueError: *text* has another form.
    """
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        meant = suggest_platform(text)
        raise ValueError(f"{text!r} is not a platform; write {meant or 'OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT'}")
    return Platform(*parts)


def check_platform(text: str) -> None:
    """
    Refuse a platform that no image has because indexes write it differently.

    Raises:
        ValueError: *text* is not a platform, or a usual one in unusual words.
    """
    parse_platform(text)
    meant = suggest_platform(text)
    if meant not in {"", text}:
        raise ValueError(f"images do not call a platform {text!r}; write {meant}")
