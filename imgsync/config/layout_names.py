"""Check names of OCI layouts against registries.yaml."""

from __future__ import annotations

from imgsync.config.model import Config, RegistriesConfig
from imgsync.errors import UsageError
from imgsync.oci.spec.reference import LAYOUT_PREFIX, is_layout
from imgsync.text.near import find_near


def is_layout_path(text: str) -> bool:
    """Return whether *text* names a layout by its path."""
    return text.startswith(tuple(f"{LAYOUT_PREFIX}{sign}" for sign in "./~"))


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
        raise UsageError(f"registries.yaml has no layout named {name!r}", hint=f"{suggest_layout(name, registries)}; or write a path: oci-layout:./{name}")


def refuse_layouts(config: Config, option: str) -> None:
    """
    Refuse layouts, because *option* divides the work among machines.

    Raises:
        UsageError: One does.
    """
    for mirror in config.mirrors:
        for registry in (mirror.source.registry, *(destination.registry for destination in mirror.destinations)):
            if is_layout(registry) and not mirror.suspend:
                message = f"the mirror {mirror.name} uses {registry}, a folder of one machine, and {option} divides the work among machines"
                raise UsageError(message, hint=f"apply this mirror without {option}, and the others with --only")
