"""Declarations, and the errors found in them."""

from __future__ import annotations

from pathlib import Path

from imgsync.config.load import load_config
from imgsync.errors import ConfigError


def faults_of(folder: Path, text: str | bytes, *, registry_settings: str = "", environ: dict[str, str] | None = None) -> list[str]:
    """Return the errors of one file, as users see them."""
    path = folder / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    registries = folder / "registries"
    registries.write_text(registry_settings or "version: 1\n")
    try:
        load_config([str(path)], registries=str(registries), environ=environ or {})
    except ConfigError as error:
        return [str(fault).replace(f"{folder}/", "") for fault in error.errors]
    return []


def mirror(settings: str = "", *, source: str = "s.io/x", destination: str = "r.io/m", before: str = "") -> str:
    return f"version: 1\n{before}mirrors:\n  - name: a\n    source: {source}\n    destinations: [{destination}]\n    {settings}\n"


def declared(source: dict[str, object] | str = "s.io/x", destination: dict[str, object] | str = "r.io/m", **more: object) -> dict[str, object]:
    return {"version": 1, "mirrors": [{"name": "a", "source": source, "tags": {"names": ["1"]}, "destinations": [destination]} | more]}
