"""
Check the sources and destinations of declarations.

Each function yields a path, a message and a hint. Values may have any type, because the schema reports those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from imgsync.config.corrections import format_flow
from imgsync.config.document import Path
from imgsync.config.templates import check_repository_template, check_tag_template
from imgsync.errors import InvalidReferenceError
from imgsync.filters.globs import is_glob
from imgsync.oci.spec.reference import (
    LAYOUT_PREFIX,
    is_registry_like,
    is_repository_path,
    parse_registry,
    parse_repository,
    parse_repository_path,
    refuse_scheme,
)

Problem = tuple[Path, str, str]

_SOURCE_SETTINGS = {"registry", "layout", "namespaces", "repositories", "include", "regex", "exclude", "exclude_regex"}
_WHOLE_REGISTRY = 'for the whole registry write `namespaces: [""]`'
_NAMESPACE_FORM = "a namespace is lower-case words joined by '/', '.', '_' or '-'"


def check_source(entry: object) -> Iterator[Problem]:
    """Yield the errors of a mirror's `source`."""
    if isinstance(entry, str):
        yield from _try((), partial(parse_repository, entry))
    if not isinstance(entry, Mapping):
        return
    yield from _check_registry(entry)
    for index, text in enumerate(_texts(entry, "namespaces")):
        yield from _check_source_namespace(("namespaces", index), text)
    for index, text in enumerate(_texts(entry, "repositories")):
        yield from _check_source_repository(("repositories", index), text, find_registry(entry))
    for name in ("include", "regex"):
        if entry.get(name) and not entry.get("namespaces"):
            yield (name,), f"{name} without namespaces selects nothing", _WHOLE_REGISTRY.replace("for", "to search", 1).replace(" write", ", write")
    # An unknown setting was meant as one of them, and has an error of its own.
    if not entry.get("namespaces") and not entry.get("repositories") and entry.keys() <= _SOURCE_SETTINGS:
        yield (), "expected namespaces or repositories", _WHOLE_REGISTRY


def check_destination(entry: object) -> Iterator[Problem]:
    """Yield the errors of one of a mirror's `destinations`."""
    if isinstance(entry, str):
        yield from _check_destination_text(entry)
    elif isinstance(entry, Mapping):
        yield from _check_registry(entry)
        yield from _check_namespace(("namespace",), entry.get("namespace", ""))
        for name, check in (("repository", check_repository_template), ("tag", check_tag_template)):
            if isinstance(entry.get(name), str):
                yield from _try((name,), partial(check, entry[name]))


def find_registry(entry: Mapping[str, Any]) -> str:
    """Return the registry that *entry* names, also by `layout`."""
    return f"{LAYOUT_PREFIX}{entry['layout']}" if "layout" in entry else str(entry.get("registry"))


def _check_registry(entry: Mapping[str, Any]) -> Iterator[Problem]:
    if "registry" in entry and "layout" in entry:
        yield ("layout",), "expected either `registry` or `layout`", "remove one of them"
    elif "registry" not in entry and "layout" not in entry:
        yield (), "missing required setting 'registry'", ""
    elif isinstance(entry.get("registry"), str):
        yield from _try(("registry",), partial(parse_registry, entry["registry"]))


def _check_source_namespace(path: Path, text: str) -> Iterator[Problem]:
    parts = text.strip("/").split("/")
    literal = "/".join(parts[: next((index for index, part in enumerate(parts) if is_glob(part)), len(parts))])
    if literal == text.strip("/") or not (literal == "" or is_repository_path(literal)):
        yield from _check_namespace(path, text, whole=_WHOLE_REGISTRY)
    else:
        hint = (
            f'write "{literal}"'
            if parts[-1] in {"*", "**"} and len(parts) - 1 == literal.count("/") + bool(literal)
            else f'write "{literal}", and the pattern under `include`'
        )
        yield path, f"a namespace has no wildcard, got {text!r}", f"every repository below it is copied: {hint}"


def _check_source_repository(path: Path, text: str, registry: str) -> Iterator[Problem]:
    host, slash, rest = text.partition("/")
    if slash and host == registry:
        yield path, f"{text!r} begins with the registry", f"write {rest}"
        return
    try:
        name = parse_registry(registry)
    except InvalidReferenceError:
        # It has an error of its own.
        name = ""
    yield from _try(path, partial(parse_repository_path, text, registry=name))


def _check_destination_text(text: str) -> Iterator[Problem]:
    host, slash, namespace = text.partition("/")
    problems = list(_try((), partial(refuse_scheme, text)))
    if not problems and not is_registry_like(host) and "@" not in host:
        named = f"{host}:443{slash}{namespace}"
        hint = f"write HOST/{text.strip('/')}, such as registry.internal:5000/{text.strip('/')}; for a registry that is called {host}, write {named}"
        problems = [((), f"{text!r} has no registry", hint if host and is_repository_path(text.strip("/")) else "write HOST or HOST/NAMESPACE")]
    problems = problems or list(_try((), partial(parse_registry, host)))
    if not problems and "{" in namespace:
        parts = namespace.split("/")
        fixed = next(index for index, part in enumerate(parts) if "{" in part)
        entry = {"registry": host, "namespace": "/".join(parts[:fixed]), "repository": "/".join(parts[fixed:])}
        problems = [((), "a destination in one text has no template", f"write {format_flow({name: one for name, one in entry.items() if one})}")]
    yield from problems or _check_namespace((), namespace, prefix=f"{host}/")


def _check_namespace(path: Path, text: object, *, prefix: str = "", whole: str = "") -> Iterator[Problem]:
    if not isinstance(text, str) or not text or is_repository_path(text):
        return
    usual = text.strip("/ ").lower()
    name, colon, _ = usual.partition(":")
    if colon and is_repository_path(name):
        yield (
            path,
            f"invalid namespace {text!r}",
            f"write {prefix}{name.rpartition('/')[0] or name}; repository and tag of the source are added, or set by `repository` and `tag`",
        )
    elif is_repository_path(usual):
        yield path, f"invalid namespace {text!r}", f"write {prefix}{usual}"
    else:
        yield path, f"invalid namespace {text!r}", whole if whole and not usual else _NAMESPACE_FORM


def _try(path: Path, parse: Callable[[], object]) -> Iterator[Problem]:
    try:
        parse()
    except InvalidReferenceError as error:
        yield path, error.message, error.hint
    except ValueError as error:
        yield path, str(error), ""


def _texts(entry: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the texts of a list; "x" stands for other values."""
    value = entry.get(name)
    for one in value if isinstance(value, list) else ():
        yield one if isinstance(one, str) else "x"
