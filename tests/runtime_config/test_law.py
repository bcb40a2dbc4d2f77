"""Whatever is declared, a runtime asks for what a plan copies, or its files are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.config.model import Destination, Mirror, Source
from imgsync.runtime_config.model import RuntimeOptions
from tests.support.effort import NIGHTLY, effort
from tests.support.runtime_law import check_runtimes

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


@pytest.mark.nightly
@pytest.mark.row("NODE-04")
@settings(derandomize=not NIGHTLY, max_examples=effort(12, 1000))
@given(st.lists(mirrors, min_size=1, max_size=3, unique_by=lambda mirror: mirror.name), paths, options)
def test_runtimes_ask_for_what_a_plan_copies(declared: list[Mirror], below: str, chosen: RuntimeOptions):
    """Where a runtime cannot, the mirror is named; without those mirrors, there are files for the rest."""
    check_runtimes(declared, below, chosen)
