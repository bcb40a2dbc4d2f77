"""`require`: what an image has to satisfy, as a mirror or the operator says it (design.md §2)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from imgsync.config.model import Mirror, RegistriesConfig, Requirements
from imgsync.config.yaml_reader import Path
from imgsync.errors import FileError
from imgsync.filters.globs import compile_glob
from imgsync.text.units import parse_size

# What came before verifies less.
_LEAST_SIGSTORE = (4, 2)


def require_of(entry: Mapping[str, Any]) -> Requirements:
    """Return what *entry*, which is without fault, asks for."""
    signatures = entry.get("signatures") or {}
    return Requirements(
        keys=tuple(signatures.get("keys") or ()),
        identities=tuple(signatures.get("identities") or ()),
        artifacts=tuple(entry.get("artifacts") or ()),
        media_types=tuple(entry.get("media_types") or ()),
        max_bytes=parse_size(entry["max_size"]) if "max_size" in entry else None,
    )


def require_faults(entry: object) -> Iterator[tuple[Path, str, str]]:
    """Yield where in *entry*, which may have any type, something is wrong that no schema can tell: the path in it, what, and a hint."""
    if not isinstance(entry, Mapping):
        return
    if entry.get("signatures") == {}:
        yield ("signatures",), "nobody is named who has to have signed", "name some: `keys: [NAME]`"
    media_types = entry.get("media_types")
    for index, text in enumerate(media_types if isinstance(media_types, list) else ()):
        try:
            compile_glob(text if isinstance(text, str) else "*")
        except ValueError as error:
            yield ("media_types", index), str(error), ""


def unknown_signers(mirrors: Iterable[Mirror], registries: RegistriesConfig) -> Iterator[FileError]:
    """Yield a fault for each name in a mirror's `require` that registries.yaml does not know."""
    for mirror in mirrors:
        for setting, what, known in (("keys", "key", registries.keys), ("identities", "identity", registries.identities)):
            for name in getattr(mirror.require, setting):
                if name not in known:
                    path = f"{mirror.name}.require.signatures.{setting}"
                    yield FileError(mirror.file, mirror.line, 1, path, f"registries.yaml has no {what} named {name!r}", unknown_hint(name, known))


def unknown_hint(name: str, known: Iterable[str]) -> str:
    """Return what to do about the *name* of a signer that is none of *known*."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are: {', '.join(names) or 'none'}; only the operator of registries.yaml can add one"


def missing_sigstore() -> str:
    """Return what keeps identities from being verified on this machine, in words, "" for nothing."""
    import importlib.metadata

    try:
        version = importlib.metadata.version("sigstore")
    except importlib.metadata.PackageNotFoundError:
        return "identities are verified by sigstore, which is not installed"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    least = ".".join(map(str, _LEAST_SIGSTORE))
    return "" if numbers >= _LEAST_SIGSTORE else f"identities are verified by sigstore {least} or newer, and {version} is installed"
