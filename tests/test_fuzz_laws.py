"""Parsers of untrusted input keep their laws on the corpus and on variations of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzz.laws import LAWS
from fuzz.run import CORPUS
from tests.support.effort import effort

SEEDS = {law: sorted((CORPUS / law).iterdir()) for law in LAWS}
# What breaks parsers: numbers beyond every type, digits that are none, half of a pair, ends that do not come, names of other hosts.
BREAKERS = tuple(
    text.encode()
    for text in (
        *("9" * 30, "9" * 400, "9" * 5000, "-1", "1e999", "NaN", "²", "٣", "0x1", "true", "null", '""', "[]", "{}", "[" * 300, "{" * 40, '{"":' * 40),
        *("\0", "\n", "\r\n", "\t", '"', "\\", "\\ud800", "\\u0000", "\x1b[2J", "\u202e", "%00", "%2e%2e", "../..", "//evil.example/", "https://[", "]", "@"),
        *(":99999", ":x", "#", "?", ";", ",", "=", "&a", "*a", "<<: ", "- ", "!!x ", "---\n", "${", "$${X", "> ", "|", "~", "^", " - ", "||", "(?i)", "(a+)+$"),
    )
)
PARTS = re.compile(rb"[A-Za-z0-9]+|\s+|.", re.DOTALL)


@st.composite
def altered(draw: st.DrawFn, law: str) -> bytes:
    """Return an input of the corpus with random changes."""
    parts = PARTS.findall(draw(st.sampled_from(SEEDS[law])).read_bytes())
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(parts) - 1)))
        length = draw(st.integers(0, 3))
        put = draw(
            st.sampled_from([(), parts[place : place + 2]]) | st.sampled_from(BREAKERS).map(lambda one: (one,)) | st.binary(max_size=4).map(lambda one: (one,))
        )
        parts[place : place + length] = put
    return b"".join(parts)


@pytest.mark.parametrize("path", [pytest.param(path, id=f"{law}-{path.name}") for law, paths in SEEDS.items() for path in paths])
def test_corpus_keeps_its_laws(path: Path):
    """Findings of earlier fuzzing stay fixed."""
    LAWS[path.parent.name](path.read_bytes())


@pytest.mark.nightly
@pytest.mark.parametrize("law", LAWS)
def test_random_inputs_keep_their_laws(law: str):
    """A valid value or one of our errors, nothing else."""

    @settings(max_examples=effort(40, 5000), deadline=None, suppress_health_check=list(HealthCheck), derandomize=effort(1, 0) == 1)
    @given(altered(law) | st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
    @example(b"")
    def holds(data: bytes) -> None:
        LAWS[law](data)

    holds()


def test_every_law_has_a_corpus():
    """And every corpus belongs to a law."""
    assert {path.name for path in CORPUS.iterdir()} == set(LAWS)
    assert all(SEEDS.values())
