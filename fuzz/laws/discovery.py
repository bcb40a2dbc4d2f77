"""Check what discovery reads, and all that is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from fuzz.laws.shared import MOMENT, make_folder
from imgsync.config.load import load_mirrors
from imgsync.discover.chart_files import Chart
from imgsync.discover.chart_metadata import find_in_metadata, is_library
from imgsync.discover.coverage import Covered, Declarations
from imgsync.discover.kustomize import find_remote
from imgsync.discover.model import Certainty, FoundImage, SkippedInput
from imgsync.discover.readers import find_in_data
from imgsync.discover.write_mirrors import MirrorTarget, write_mirrors
from imgsync.documents.json_stream import to_json
from imgsync.documents.references import encode_references
from imgsync.oci.spec.reference import parse_reference
from imgsync.render.references_table import render_coverage_table, render_references_table
from imgsync.text.layout import PLAIN, Layout

_NAMES = ("web.yaml", "pods.json", "Dockerfile", "compose.yaml", ".gitlab-ci.yml", "main.tf", "Chart.yaml", "Images.lock", "kustomization.yaml")
# As much of a name as is shown.
_LONGEST_NAME = 1025
_FILE_BYTES = 900_000


def discoveries(data: bytes) -> None:
    """
    Check the readers of discovery, and what is written and shown of their finds.

    The first line names the file. Each find has a place, and a reference or a reason. As mirrors, the finds are valid and cover each image.
    """
    first, _, text = data.partition(b"\n")
    name = first.decode("latin-1").strip("# ")
    found = list(_read(name if name in _NAMES else _NAMES[0], text))
    images = [one for one in found if isinstance(one, FoundImage)]
    skipped = [one for one in found if isinstance(one, SkippedInput)]
    for image in images:
        assert image.line >= 0
        assert (image.certainty is Certainty.UNRESOLVED) == bool(image.reason)
        assert image.reference is None or parse_reference(str(image.reference)) == image.reference
        assert image.certainty is Certainty.UNRESOLVED or (image.reference is not None and image.reference.tag_or_digest)
        assert image.line <= text.count(b"\n") + text.count(b"\r") + 2
        assert len(image.text) <= _LONGEST_NAME
    _check_outputs(images, skipped)


def _read(name: str, text: bytes) -> Iterable[FoundImage | SkippedInput]:
    if name in {"Chart.yaml", "Images.lock"}:
        chart = Chart("app", {"Chart.yaml": b"", name: text})
        is_library(chart)
        return find_in_metadata(chart)
    if name == "kustomization.yaml":
        (make_folder() / name).write_bytes(text)
        error = find_remote(str(make_folder()))
        return [] if error is None else [SkippedInput(error.file, error.line, error.message, error.hint)]
    return find_in_data(text, file=name)


def _check_outputs(images: list[FoundImage], skipped: list[SkippedInput]) -> None:
    written = write_mirrors(images, MirrorTarget("r.corp.com", "mirror"))
    # More than fits into a file is the caller's to divide.
    mirrors = load_mirrors({"a.yaml": written.text.encode()}) if written.text and len(written.text) < _FILE_BYTES else ()
    left_out = {reference for reference, _ in written.left_out}
    declarations = Declarations(mirrors)
    coverage = [declarations.find_coverage(image.reference) for image in images if image.reference is not None]
    for one in coverage:
        assert not mirrors or (one.covered is Covered.YES) != (one.reference in left_out)
    for layout in (PLAIN, Layout(40, is_terminal=True)):
        for table in (render_references_table(images, layout=layout), render_coverage_table(coverage, images, layout=layout)):
            assert table.replace("\n", "").isprintable()
    document = encode_references(images, skipped, coverage, created_at=MOMENT)
    assert len(json.loads(to_json(document, indented=False))["references"]) == len(images)
