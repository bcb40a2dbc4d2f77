"""Examples of other tools' documentation, and their converted form."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from imgsync.config.load import load_config
from imgsync.config.schema_check import check_schema
from imgsync.config.yaml_reader import parse_documents
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.convert_files import convert_files
from imgsync.convert.format_yaml import format_mirror_files
from tests.support.canary import secrets_in

EXAMPLES = Path(__file__).parent / "examples"
# Name of the case: the files given, the options, the name of the format.
CASES = {
    "regsync-documented": (["regsync-documented.yml"], [], "regsync"),
    "regsync-settings": (["regsync-settings.yml"], [], "regsync"),
    "skopeo-documented": (["skopeo-documented.yml"], ["--destination", "my-registry.local.lan/repo/"], "skopeo-sync"),
    "skopeo-scoped": (["skopeo-documented.yml"], ["--destination", "my-registry.local.lan/repo", "--scoped"], "skopeo-sync"),
    "image-syncer-documented": (["image-syncer-documented.json"], [], "image-syncer"),
    "image-syncer-split": (["image-syncer-images.yaml", "image-syncer-auth.yaml"], [], "image-syncer"),
    "dregsy-documented": (["dregsy-documented.yaml"], [], "dregsy"),
    "dregsy-matching": (["dregsy-matching.yaml"], [], "dregsy"),
    "harbor-documented": (
        ["harbor-documented.json"],
        ["--set", "HARBOR=harbor.example.com", "--set", "ecr=123456789012.dkr.ecr.eu-central-1.amazonaws.com"],
        "harbor",
    ),
}
every_case = pytest.mark.parametrize("case", CASES)


def _files(case: str) -> list[str]:
    return [str(EXAMPLES / name) for name in CASES[case][0]]


@every_case
def test_example_is_converted_as_expected(case, imgsync):
    """stdout is the expected mirrors.d document; no secret is shown."""
    result = imgsync("convert", *_files(case), *CASES[case][1])

    assert result.stdout == (EXAMPLES / f"{case}.expected.yaml").read_text(encoding="utf-8")
    assert "Traceback" not in result.stderr
    assert secrets_in(result.stdout + result.stderr) == []


@every_case
def test_output_folder_is_valid(case, lab):
    """--output writes registry settings beside the mirrors, and `imgsync validate` accepts them."""
    result = lab.run("convert", *_files(case), *CASES[case][1], "--output", "out")
    registry_settings, expected = lab.folder / "out" / "registries.yaml", EXAMPLES / f"{case}.registries.yaml"

    assert result.code == 0
    assert (lab.folder / "out" / "mirrors.d" / f"{CASES[case][2]}.yaml").read_text() == (EXAMPLES / f"{case}.expected.yaml").read_text()
    assert registry_settings.exists() == expected.exists()
    assert not registry_settings.exists() or registry_settings.read_text() == expected.read_text()
    assert lab.run("validate", "out/mirrors.d").code == 0
    assert sorted(path.name for path in (lab.folder / "out").rglob(".*")) == []


@every_case
def test_expected_registry_settings_fit_their_schema(case):
    """Every written registries.yaml is valid."""
    file = EXAMPLES / f"{case}.registries.yaml"
    if file.exists():
        documents, faults = parse_documents(file.read_bytes(), file=file.name)

        assert faults == []
        assert check_schema(documents[0], "registries") == []


@every_case
def test_written_mirrors_are_read_back(case, tmp_path):
    """Our loader reads the same mirrors."""
    arguments = CASES[case][1]
    variables = dict(text.split("=") for text in arguments if "=" in text)
    options = ConvertOptions("my-registry.local.lan/repo" if "skopeo" in case else "", scoped="--scoped" in arguments, variables=variables)
    converted = convert_files(_files(case), options=options)
    file = tmp_path / "mirrors.yaml"
    file.write_text(next(iter(format_mirror_files(converted).values())), encoding="utf-8")
    (tmp_path / "none.yaml").write_text("version: 1\n", encoding="utf-8")

    loaded = load_config([str(file)], registries=str(tmp_path / "none.yaml"), environ=defaultdict(str)).mirrors

    assert [replace(mirror, file="", line=0) for mirror in loaded] == [replace(mirror, file="", line=0) for mirror in converted.mirrors]
