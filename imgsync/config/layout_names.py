"""Check names of OCI layouts against registries.yaml."""

from __future__ import annotations

from imgsync.config.model import RegistriesConfig
from imgsync.errors import UsageError
from imgsync.oci.spec.reference import LAYOUT_PREFIX, is_layout
from imgsync.text.near import find_near


def suggest_layout(name: str, registries: RegistriesConfig) -> str:
    """Return a hint for an unknown layout *name*."""
    near = find_near(name, registries.layouts)
    if near:
        return f"did you mean oci-layout:{near}?"
    return f"declared: {', '.join(sorted(registries.layouts)) or 'none'}; the operator of registries.yaml can add it: `layouts: {{{name}: {{path: FOLDER}}}}`"


def require_layout(registry: str, registries: RegistriesConfig) -> None:
    """
    Check that registries.yaml declares *registry*, if it is a layout.

    Raises:
        UsageError: It does not.
    """
    name = registry.removeprefix(LAYOUT_PREFIX)
    if is_layout(registry) and name not in registries.layouts:
        raise UsageError(f"registries.yaml has no layout named {name!r}", hint=f"{suggest_layout(name, registries)}; or write oci-layout:PATH")
