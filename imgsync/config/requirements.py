"""Read and check `require`, the policy of a mirror or the operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from imgsync.config.document import Path
from imgsync.config.model import Requirements
from imgsync.filters.globs import compile_glob
from imgsync.text.near import find_near
from imgsync.text.units import parse_size

# Earlier versions verify less.
_MIN_SIGSTORE = (4, 2)


def parse_requirements(entry: Mapping[str, Any]) -> Requirements:
    """Return the requirements in *entry*, which must be valid."""
    signatures = entry.get("signatures") or {}
    return Requirements(
        keys=tuple(signatures.get("keys") or ()),
        identities=tuple(signatures.get("identities") or ()),
        artifacts=tuple(entry.get("artifacts") or ()),
        media_types=tuple(entry.get("media_types") or ()),
        max_bytes=parse_size(entry["max_size"]) if "max_size" in entry else None,
    )


def check_requirements(entry: object) -> Iterator[tuple[Path, str, str]]:
    """
    Yield the errors in *entry* that the schema cannot find.

    Each is a path, a message and a hint. *entry* may have any type.
    """
    if not isinstance(entry, Mapping):
        return
    if entry.get("signatures") == {}:
        yield ("signatures",), "expected `keys` or `identities`", "name the signers: `keys: [NAME]`"
    media_types = entry.get("media_types")
    for index, text in enumerate(media_types if isinstance(media_types, list) else ()):
        try:
            compile_glob(text if isinstance(text, str) else "*")
        except ValueError as error:
            yield ("media_types", index), str(error), ""


def suggest_signer(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown signer *name*."""
    names = sorted(known)
    near = find_near(name, names)
    if near:
        return f"did you mean {near!r}?"
    return f"defined: {', '.join(names) or 'none'}; the operator of registries.yaml can add one"


def find_sigstore_problem() -> str:
    """Return why this machine cannot verify identities, "" if it can."""
    import importlib.metadata

    try:
        version = importlib.metadata.version("sigstore")
    except importlib.metadata.PackageNotFoundError:
        return "identities need the package sigstore, which is not installed"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    least = ".".join(map(str, _MIN_SIGSTORE))
    return "" if numbers >= _MIN_SIGSTORE else f"identities need sigstore {least} or newer; {version} is installed"
