"""Kustomizations are rendered with kubectl, from local files only."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsync.discover.kustomizations import find_in_kustomization
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.run_tool import ToolLimits
from tests.discover.finds import skipped
from tests.support.chart_tools import KUBECTL, needs_tools

TOOLS = str(Path(KUBECTL).parent)
WEB = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [{name: web, image: 'nginx:1.27'}]}}}}\n"

pytestmark = needs_tools


def write(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return str(folder / "prod")


def find(folder: str, tools: str = TOOLS, **options) -> list[FoundImage | SkippedInput]:
    return list(find_in_kustomization(folder, program_path=tools, **options))


def test_overlay_decides_the_image(tmp_path):
    """Of its base, in its own name and tag; the find names the overlay."""
    overlay = write(
        tmp_path,
        {
            "base/kustomization.yaml": "resources: [web.yaml]\n",
            "base/web.yaml": WEB,
            "prod/kustomization.yml": "resources: [../base]\nimages: [{name: nginx, newName: quay.io/a/nginx, newTag: '1.29'}]\n"
            "configMapGenerator: [{name: a, literals: ['URL=https://example.com']}]\ncommonAnnotations: {see: 'https://example.com'}\n",
        },
    )

    (found,) = find(overlay)

    assert (str(found.reference), found.file, found.line) == ("quay.io/a/nginx:1.29", f"{overlay}/kustomization.yml", 0)
    assert found.field == "Deployment web: spec.template.spec.containers[0].image"


@pytest.mark.row("DISC-06")
@pytest.mark.parametrize(
    "text",
    [
        "resources: ['https://127.0.0.1:1/web.yaml']",
        "resources: [github.com/a/b//k8s?ref=v1]",
        "resources: ['git@example.com:a/b.git']",
        "components: ['ssh://git@example.com/a']",
        "resources: [../base]",
        "configMapGenerator: [{name: a, files: ['x=http://127.0.0.1:1/x']}]",
        "secretGenerator: [{name: a, envs: ['http://127.0.0.1:1/x']}]",
        "patches: [{path: 'http://127.0.0.1:1/x'}]",
        "openapi: {path: 'http://127.0.0.1:1/x'}",
        "replacements: [{path: 'http://127.0.0.1:1/x'}]",
        "generators: [generator.yaml]",
        "generators: [\"{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: a}, files: ['http://127.0.0.1:1/x']}\\n\"]",
        "helmCharts: [{name: a, repo: 'https://charts.example.com'}]",
        "resources: [nothing.yaml]",
    ],
)
def test_nothing_is_loaded_from_elsewhere(text, tmp_path):
    """Not by a base either; the error names the entry, and kubectl is not run."""
    overlay = write(
        tmp_path,
        {
            "prod/kustomization.yaml": f"{text}\n",
            "prod/generator.yaml": "{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: a}, files: ['http://127.0.0.1:1/x']}\n",
            "base/kustomization.yaml": "\nresources: ['https://127.0.0.1:1/x']\n",
        },
    )

    (found,) = find(overlay, tools="/nonexistent")

    assert isinstance(found, SkippedInput)
    assert "would load" in found.message or "is not a local file or folder" in found.message or "would download" in found.message
    assert "imgsync does not download" in found.hint
    assert (Path(found.file).parent.name, found.line) == (("base", 2) if "base" in text else ("prod", 1))


@pytest.mark.row("DISC-06")
def test_folder_named_like_a_repository_is_not_cloned(tmp_path):
    """kustomize would prefer the repository, and has no git."""
    overlay = write(
        tmp_path,
        {
            "prod/kustomization.yaml": "resources: [github.com/a/b]\n",
            "prod/github.com/a/b/kustomization.yaml": "resources: [web.yaml]\n",
            "prod/github.com/a/b/web.yaml": WEB,
        },
    )

    assert "no 'git' program on path" in skipped(find(overlay))[0].message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bogus: 1\n", 'kubectl: invalid Kustomization: json: unknown field "bogus"'),
        ("- a\n", "expected a mapping"),
        ("a: [\n", "invalid YAML"),
        ("", "the file is empty"),
    ],
)
def test_invalid_kustomization_says_why(text, message, tmp_path):
    """In one line."""
    (found,) = find(write(tmp_path, {"prod/kustomization.yaml": text}))

    assert message in found.message
    assert found.file.endswith("prod/kustomization.yaml")


@pytest.mark.row("DISC-04")
def test_kustomization_reads_no_file_outside(tmp_path):
    """kustomize follows a link, and then refuses it."""
    overlay = write(tmp_path, {"prod/kustomization.yaml": "configMapGenerator: [{name: a, files: [link]}]\n", "secret": "r.io/a:1"})
    Path(overlay, "link").symlink_to("../secret")

    assert "is not in or below" in skipped(find(overlay))[0].message


def test_missing_kubectl_is_an_error_that_says_what_to_do(tmp_path):
    """As a missing helm."""
    (found,) = find(write(tmp_path, {"prod/kustomization.yaml": "resources: [web.yaml]\n", "prod/web.yaml": WEB}), tools="")

    assert found.message == "kubectl is not on PATH; imgsync needs it to render kustomizations"
    assert "install kubectl" in found.hint


@pytest.mark.row("DISC-01")
def test_kustomization_has_limits(tmp_path):
    """Those of a chart."""
    overlay = write(tmp_path, {"prod/kustomization.yaml": "resources: [web.yaml]\n", "prod/web.yaml": WEB})

    assert "printed more than" in skipped(find(overlay, limits=ToolLimits(output_bytes=10)))[0].message
