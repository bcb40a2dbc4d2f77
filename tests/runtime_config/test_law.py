"""Whatever is declared, a runtime asks for what a plan copies, or its files are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, RegistrySettings, Source, Tls
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.destinations import find_reference
from imgsync.runtime_config.model import RuntimeOptions
from imgsync.runtime_config.runtimes import RUNTIMES, build_runtime_config
from tests.support.effort import NIGHTLY, effort
from tests.support.runtimes import ASK, UPSTREAM

DIGEST = f"sha256:{'0' * 64}"
words = st.sampled_from(["a", "b", "c", "library", "x.y", "d-e"])
paths = st.lists(words, min_size=1, max_size=4).map("/".join)
namespaces = st.one_of(st.just(""), st.lists(words, min_size=1, max_size=2).map("/".join))
templates = st.one_of(
    st.sampled_from(["{path}", "{flat}", "{name}", "{parent}/{name}", "{relative}", "{registry}/{path}", "x-{path}", "y/{relative}", "z"]),
    st.lists(st.sampled_from(["{path}", "{flat}", "{name}", "{parent}", "{relative}", "{registry}", "/", "-", "k"]), min_size=1, max_size=5)
    .map("".join)
    .filter(lambda text: "x" in text.format(path="x", flat="x", name="x", parent="x", relative="x", registry="x")),
)
registries = st.sampled_from(["docker.io", "quay.io", "r.example:5000", "mirror.example", "other.example:444"])
destinations = st.builds(
    Destination,
    registry=st.sampled_from(["mirror.example", "other.example:444", "quay.io"]),
    namespace=namespaces,
    repository=st.one_of(st.just("{path}"), templates),
    tag=st.sampled_from(["{tag}", "{tag}", "{tag}", "m-{tag}"]),
)
sources = st.builds(
    Source,
    registry=registries,
    namespaces=st.lists(namespaces, max_size=2, unique=True).map(tuple),
    repositories=st.lists(paths, max_size=3, unique=True).map(tuple),
    exclude=st.sampled_from([(), ("**/c",)]),
).filter(lambda source: source.namespaces or source.repositories)
mirrors = st.builds(
    Mirror,
    name=st.sampled_from(["one", "two", "three"]),
    source=sources,
    destinations=st.lists(destinations, min_size=1, max_size=2, unique=True).map(tuple),
    immutable=st.sampled_from([(), ("*",)]),
    platforms=st.sampled_from([None, ("linux/amd64",)]),
    file=st.just("mirrors.d/a.yaml"),
    line=st.just(1),
)
options = st.builds(RuntimeOptions, digest_only=st.booleans(), has_fallback=st.booleans())
PLAIN = RegistriesConfig({"mirror.example": RegistrySettings(tls=Tls(enabled=False))})


def find_relative(source: Source, path: str) -> str | None:
    """Return *path* as a plan has it below its namespace, None if the mirror does not select it."""
    patterns = source.compile_filter()
    if patterns.is_excluded(path):
        return None
    if path in source.repositories:
        return path
    return next((path.removeprefix(f"{namespace}/") for namespace in source.namespaces if not namespace or path.startswith(f"{namespace}/")), None)


def list_references(mirror: Mirror, path: str, tag: str) -> list[Reference]:
    """Return what a plan would copy *path* to."""
    relative = find_relative(mirror.source, path)
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


def is_ambiguous(path: str, declared: list[Mirror]) -> bool:
    """Return whether podman cannot tell *path* from a namespace or a repository above it: then it may ask at one place more."""
    repositories = {path for mirror in declared for path in mirror.source.repositories}
    namespaces = {namespace for mirror in declared for namespace in mirror.source.namespaces}
    return path in namespaces - repositories or any(path.startswith(f"{one}/") for one in repositories)


def iter_paths(mirror: Mirror, below: str) -> Iterator[str]:
    """Yield paths that *mirror* may select."""
    yield from mirror.source.repositories
    for namespace in mirror.source.namespaces:
        yield f"{namespace}/{below}" if namespace else below


@pytest.mark.nightly
@pytest.mark.row("NODE-04")
@settings(derandomize=not NIGHTLY, max_examples=effort(12, 1000))
@given(st.lists(mirrors, min_size=1, max_size=3, unique_by=lambda mirror: mirror.name), paths, options)
def test_runtimes_ask_for_what_a_plan_copies(declared: list[Mirror], below: str, chosen: RuntimeOptions):
    """Where a runtime cannot, the mirror is named; without those mirrors, there are files for the rest."""
    for name, runtime in RUNTIMES.items():
        can_block = runtime.has_no_fallback and runtime.has_fallback
        able = replace(chosen, digest_only=chosen.digest_only and runtime.has_digest_only, has_fallback=chosen.has_fallback or not can_block)
        check_runtime(name, declared, below, able)


def check_runtime(runtime: str, declared: list[Mirror], below: str, chosen: RuntimeOptions) -> None:
    built = build_runtime_config(runtime, Config(tuple(declared), PLAIN), chosen)
    refused = {error.path for error in built.errors}
    assert refused <= {mirror.name for mirror in declared}
    if refused:
        # As a user leaves them out with --only.
        check_runtime(runtime, [mirror for mirror in declared if mirror.name not in refused], below, chosen)
        return
    for mirror in declared:
        for path in iter_paths(mirror, below):
            check_image(runtime, built.files, declared, mirror, path, chosen)


def check_image(runtime: str, files: dict[str, str], declared: list[Mirror], mirror: Mirror, path: str, chosen: RuntimeOptions) -> None:
    own = list_references(mirror, path, "1.0")
    # Docker Hub has no repository without a namespace.
    if not own or (mirror.source.registry == "docker.io" and "/" not in path):
        return
    every = [one for other in declared if other.source.registry == mirror.source.registry for one in list_references(other, path, "1.0")]
    for name in (":1.0", f"@{DIGEST}"):
        allowed, needed = ({f"{one.repository}{name}" if "@" in name else str(one) for one in references} for references in (every, own))
        asked = ASK[runtime](files, mirror.source.registry, path, name)
        if not chosen.has_fallback:
            assert UPSTREAM not in asked
        found = [one for one in asked if one != UPSTREAM]
        if not is_ambiguous(path, declared):
            assert set(found) <= allowed
        if name == ":1.0" and (chosen.digest_only or (runtime == "podman" and chosen.has_fallback and not mirror.immutable and mirror.platforms is None)):
            # Tags come from the source, or from another mirror whose tags do not move.
            continue
        assert needed & set(found), (asked, needed)
