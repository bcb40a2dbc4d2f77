"""The corpus: files as projects write them, and the images that are expected in each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgsync.oci.spec.reference import parse_reference
from tests.discover.corpus_figures import CORPUS, SHAPES, Figures, is_held_out, measure

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "discovery.md"
HELD_OUT = tuple(shape for shape in SHAPES if is_held_out(shape))


@pytest.fixture(scope="module")
def everything() -> Figures:
    return measure(tuple(SHAPES))


def test_corpus_has_the_shapes_that_others_miss():
    """At least forty; those of the reports that began it by name."""
    assert len(SHAPES) >= 40
    assert {"kai-config", "kai-half", "kai-configmap", "cert-manager", "grafana", "clusterrole", "gpu-operator", "environment"} <= {one.name for one in SHAPES}


def test_images_are_found_and_others_are_not(everything: Figures):
    """Sure and likely: 98 % of the images, and 95 % of the finds are images."""
    assert everything.recall >= 0.98
    assert everything.precision >= 0.95


def test_unresolved_names_are_reported(everything: Figures):
    """All of them, and nothing else: `--strict` fails on each."""
    assert everything.unresolved_found == everything.unresolved_expected


def test_page_lists_what_is_missed_and_its_figures(everything: Figures):
    """The documentation says no other numbers than those of this run."""
    page = PAGE.read_text(encoding="utf-8")
    held_out = measure(HELD_OUT)
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))

    assert listed == {one.place.partition("/")[0] for one in (everything.expected - everything.found) + (everything.found - everything.expected)}
    for figures, label in ((everything, "all"), (held_out, "held out")):
        shapes = len(SHAPES) if label == "all" else len(HELD_OUT)
        images = figures.expected.total()
        assert f"| {label} | {shapes} | {images} | {figures.recall:.1%} | {figures.precision:.1%} |" in page


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_expected_names_are_in_the_files(shape: Path):
    """A place in EXPECTED is a line of a file, and an image is one to imgsync."""
    text = (shape / "EXPECTED").read_text(encoding="utf-8")
    assert text.startswith("# ")
    for line in text.splitlines():
        if not line.startswith("#"):
            certainty, place, name = line.split("\t")
            file, _, number = place.rpartition(":")
            assert int(number) <= len((CORPUS / shape.name / file).read_text(encoding="utf-8").splitlines())
            assert certainty == "unresolved" or str(parse_reference(name)) == name
