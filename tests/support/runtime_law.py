"""The law of `runtime-config`: a runtime asks for what a plan copies, or its files are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from imgsync.config.model import Config, Mirror, RegistriesConfig, RegistrySettings, Source, Tls
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Reference, Repository, is_registry_like
from imgsync.plan.destinations import find_reference
from imgsync.runtime_config.model import RuntimeOptions
from imgsync.runtime_config.runtimes import RUNTIMES, build_runtime_config
from tests.support.runtimes import ASK, UPSTREAM

DIGEST = f"sha256:{'0' * 64}"
PLAIN = RegistriesConfig({"mirror.example": RegistrySettings(tls=Tls(enabled=False))})


def _find_relative(source: Source, path: str) -> str | None:
    """Return *path* as a plan has it below its namespace, None if the mirror does not select it."""
    patterns = source.compile_filter()
    if patterns.is_excluded(path):
        return None
    if path in source.repositories:
        return path
    if not patterns.includes(path):
        return None
    return next((path.removeprefix(f"{namespace}/") for namespace in source.namespaces if not namespace or path.startswith(f"{namespace}/")), None)


def _list_references(mirror: Mirror, path: str, tag: str) -> list[Reference]:
    """Return what a plan would copy *path* to."""
    relative = _find_relative(mirror.source, path)
    if relative is None:
        return []
    found = []
    for destination in mirror.destinations:
        try:
            found.append(find_reference(destination, Repository(mirror.source.registry, path), relative, tag))
        except InvalidReferenceError:
            # A plan reports it as an error.
            continue
    return found


def _is_ambiguous(path: str, declared: Sequence[Mirror]) -> bool:
    """Return whether podman cannot tell *path* from a namespace or a repository above it: then it may ask at one place more."""
    repositories = {path for mirror in declared for path in mirror.source.repositories}
    namespaces = {namespace for mirror in declared for namespace in mirror.source.namespaces}
    return path in namespaces - repositories or any(path.startswith(f"{one}/") for one in repositories)


def _iter_paths(mirror: Mirror, below: str) -> Iterator[str]:
    """Yield paths that *mirror* may select."""
    yield from mirror.source.repositories
    for namespace in mirror.source.namespaces:
        yield f"{namespace}/{below}" if namespace else below


def check_runtimes(declared: Sequence[Mirror], below: str, chosen: RuntimeOptions, *, names: Iterable[str] = RUNTIMES) -> None:
    """
    Check the law for each runtime of *names*.

    Args:
        declared: The mirrors.
        below: A path below each namespace, of a repository to pull.
        chosen: The options, of which each runtime gets those that it has.
        names: The runtimes.
    """
    for name, runtime in ((name, RUNTIMES[name]) for name in names):
        can_block = runtime.has_no_fallback and runtime.has_fallback
        able = replace(chosen, digest_only=chosen.digest_only and runtime.has_digest_only, has_fallback=chosen.has_fallback or not can_block)
        _check_runtime(name, [mirror for mirror in declared if not mirror.suspend], below, able)


def _check_runtime(runtime: str, declared: Sequence[Mirror], below: str, chosen: RuntimeOptions) -> None:
    built = build_runtime_config(runtime, Config(tuple(declared), PLAIN), chosen)
    refused = {error.path for error in built.errors}
    assert refused <= {mirror.name for mirror in declared}
    if refused:
        # As a user leaves them out with --only.
        _check_runtime(runtime, [mirror for mirror in declared if mirror.name not in refused], below, chosen)
        return
    for mirror in declared:
        for path in _iter_paths(mirror, below):
            _check_image(runtime, built.files, declared, mirror, path, chosen)


def _check_image(runtime: str, files: Mapping[str, str], declared: Sequence[Mirror], mirror: Mirror, path: str, chosen: RuntimeOptions) -> None:
    own = _list_references(mirror, path, "1.0")
    # Docker Hub has no repository without a namespace, and a name without a dot or a port is one of Docker Hub.
    if not own or (mirror.source.registry == "docker.io" and "/" not in path) or not is_registry_like(mirror.source.registry):
        return
    every = [one for other in declared if other.source.registry == mirror.source.registry for one in _list_references(other, path, "1.0")]
    for name in (":1.0", f"@{DIGEST}"):
        allowed, needed = ({f"{one.repository}{name}" if "@" in name else str(one) for one in references} for references in (every, own))
        asked = ASK[runtime](files, mirror.source.registry, path, name)
        if not chosen.has_fallback:
            assert UPSTREAM not in asked
        found = [one for one in asked if one != UPSTREAM]
        if not _is_ambiguous(path, declared):
            assert set(found) <= allowed
        if name == ":1.0" and (chosen.digest_only or (runtime == "podman" and chosen.has_fallback and not mirror.immutable and mirror.platforms is None)):
            # Tags come from the source, or from another mirror whose tags do not move.
            continue
        assert needed & set(found), (asked, needed)
