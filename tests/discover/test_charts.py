"""Charts: what their metadata lists and what helm renders, of charts in the styles of five makers."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from imgsync.discover import chart_files
from imgsync.discover.charts import find_in_chart
from imgsync.discover.find import find_images
from imgsync.discover.helm import HelmOptions
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.run_tool import ToolLimits
from imgsync.errors import UsageError
from tests.support.chart_tools import CHARTS, HELM, needs_tools

TOOLS = str(Path(HELM).parent)
_PROMETHEUS = "sha256:52d0cd7cf4acd2cd0e0c9a0a0c2ffb4d0c63f9d9db1b0aa3b15b0d5a0d1c7f31"
_EXPORTER = "sha256:8b8bb3c4b1d2a9a5ad2b1f5f16dd3ff0a1c64f3a6a54bc3c7bb64c8e5c0a7d19"
IMAGES = {
    "blog": {
        "docker.io/example/apache-exporter:1.0.10-debian-12-r23",
        "docker.io/example/blog:6.8.1-debian-12-r0",
        "docker.io/example/mariadb:11.4.6-debian-12-r0",
        "docker.io/example/os-shell:12-debian-12-r46",
    },
    "certificates": {f"quay.io/example/certificates-{name}:v1.18.2" for name in ("acmesolver", "controller", "startupapicheck", "webhook")},
    "monitoring": {
        "quay.io/example/alertmanager:v0.28.1",
        "quay.io/example/kube-rbac-proxy:v0.19.1",
        "quay.io/example/node-exporter:v1.9.1",
        f"quay.io/example/prometheus:v3.4.2@{_PROMETHEUS}",
        "quay.io/example/prometheus-config-reloader:v0.83.0",
        "quay.io/example/prometheus-operator:v0.83.0",
        "quay.io/example/thanos:v0.39.1",
    },
    "dashboards": {
        "docker.io/bats/bats:v1.4.1",
        "docker.io/curlimages/curl:8.9.1",
        "docker.io/example/dashboards:12.0.2",
        "docker.io/library/busybox:1.31.1",
        "quay.io/kiwigrid/k8s-sidecar:1.30.3",
    },
    "accelerators": {
        "registry.example.com/accelerators/cloud-native/driver-manager:v0.8.0",
        "registry.example.com/accelerators/driver:570.148.08",
        "registry.example.com/accelerators/k8s/container-toolkit:v1.17.8-ubuntu20.04",
        f"registry.example.com/accelerators/k8s/dcgm-exporter@{_EXPORTER}",
        "registry.example.com/accelerators/operator:v25.3.1",
        "registry.example.com/accelerators/validator:v25.3.1",
    },
}
VALUES = {"dashboards": HelmOptions(values=(str(CHARTS / "dashboards/values-ci.yaml"),))}

pytestmark = needs_tools


def find(path: Path | str, options: HelmOptions | None = None, *, root: str = "", tools: str = TOOLS) -> list[FoundImage | SkippedInput]:
    return list(find_in_chart(str(path), options or HelmOptions(), root=root or str(path), program_path=tools))


def make_chart(folder: Path, templates: dict[str, str], metadata: str = "") -> Path:
    """Write a chart named app."""
    files = {"Chart.yaml": f"apiVersion: v2\nname: app\nversion: 1.0.0\n{metadata}", **{f"templates/{name}": text for name, text in templates.items()}}
    for name, text in files.items():
        (folder / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "app" / name).write_text(text)
    return folder / "app"


@pytest.mark.parametrize("name", IMAGES)
def test_chart_of_each_style_is_found_whole(name):
    """Each image, and no other: no ClusterRole, no description, no URL."""
    found = find(CHARTS / name, VALUES.get(name))

    assert [one for one in found if isinstance(one, SkippedInput)] == []
    assert {str(one.reference) for one in found} == IMAGES[name]


def test_find_names_its_template():
    """The line is there if the whole name is in one line of it, else 0; subcharts have their folder."""
    places = {(str(one.reference).rpartition("/")[2], one.line): Path(one.file).relative_to(CHARTS) for one in find(CHARTS / "monitoring")}

    assert places[("kube-rbac-proxy:v0.19.1", 14)] == Path("monitoring/charts/node-exporter/templates/daemonset.yaml")
    assert places[("node-exporter:v1.9.1", 0)] == Path("monitoring/charts/node-exporter/templates/daemonset.yaml")
    assert places[("prometheus-operator:v0.83.0", 9)] == Path("monitoring/Chart.yaml")


def test_packed_chart_is_like_its_folder(tmp_path):
    """Also with a packed subchart."""
    chart = shutil.copytree(CHARTS / "monitoring", tmp_path / "monitoring")
    for folder in ("monitoring/charts/node-exporter", "monitoring"):
        subprocess.run([HELM, "package", tmp_path / folder, "-d", (tmp_path / folder).parent], check=True, capture_output=True, env={"HOME": str(tmp_path)})
        shutil.rmtree(tmp_path / folder)
    packed = tmp_path / "monitoring-75.6.1.tgz"

    found = find(packed)

    assert not chart.exists()
    (tmp_path / "other.tgz").write_bytes(b"")
    in_folder = list(find_images([str(tmp_path)], read_chart=lambda path: iter(find(path))))
    assert in_folder == found == list(find_images([str(packed)], read_chart=lambda path: iter(find(path))))
    assert [one for one in found if isinstance(one, SkippedInput)] == []
    assert {str(one.reference) for one in found} == IMAGES["monitoring"]
    assert {one.file for one in found} >= {f"{packed}/Chart.yaml", f"{packed}/charts/node-exporter/templates/daemonset.yaml"}


@pytest.mark.parametrize(
    ("templates", "metadata", "options", "message", "hint", "line"),
    [
        ({"a.yaml": '\n{{ required "set image.name" .Values.image }}'}, "", {}, "helm: set image.name", "-f values.yaml", 2),
        ({"a.yaml": "{{ requird }}"}, "", {}, 'helm: function "requird" not defined', "", 1),
        ({"a.yaml": "{{ .Values.a.b }}"}, "", {}, "nil pointer evaluating interface {}.b", "-f values.yaml", 1),
        (
            {},
            "dependencies: [{name: redis, version: 1.x, repository: 'https://charts.example.com'}]",
            {},
            "dependencies are missing in charts/: redis",
            "helm dependency build",
            0,
        ),
        ({}, "kubeVersion: '>=1.30-0'", {"kube_version": "1.29"}, "chart requires kubeVersion: >=1.30-0", "--kube-version", 0),
        ({"a.yaml": "a: b: c"}, "", {}, "error converting YAML to JSON", "", 0),
    ],
)
def test_chart_that_cannot_be_rendered_says_why(templates, metadata, options, message, hint, line, tmp_path):
    """With the template and its line, and what to do."""
    (found,) = find(make_chart(tmp_path, templates, metadata), HelmOptions(**options))

    assert isinstance(found, SkippedInput)
    assert message in found.message
    assert hint in found.hint
    assert found.line == line
    assert found.file == str(tmp_path / "app" / ("templates/a.yaml" if line else ""))


def test_version_of_kubernetes_is_passed_on(tmp_path):
    """And values, and settings."""
    text = "{kind: Pod, apiVersion: v1, spec: {containers: [{image: 'r.io/{{ .Values.a }}:{{ .Capabilities.KubeVersion.Minor }}-{{ .Values.b }}'}]}}"
    (tmp_path / 'v",x.yaml').write_text("a: x\nb: y\n")
    options = HelmOptions(values=(str(tmp_path / 'v",x.yaml'),), settings=("b=z",), kube_version="v1.27.3")

    (found,) = find(make_chart(tmp_path, {"a.yaml": text}), options)

    assert str(found.reference) == "r.io/x:27-z"


def test_chart_of_helpers_is_not_rendered():
    """It has no images of its own."""
    assert find(CHARTS / "blog/charts/common") == []


def test_missing_helm_is_an_error_that_says_what_to_do():
    """What the metadata lists is found all the same."""
    found = find(CHARTS / "blog", tools="/nonexistent")

    (skipped,) = [one for one in found if isinstance(one, SkippedInput)]
    assert skipped.message == "helm is not on PATH; imgsync needs it to render charts"
    assert "install helm" in skipped.hint
    assert len(found) == 6


@pytest.mark.row("DISC-01", "DISC-02")
@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{{ range until 100000 }}{{ repeat 100000 "0123456789" }}{{ end }}', "helm needed more than|helm printed more than"),
        ("{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}", "helm did not end within 1s"),
        ('{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}', "rendering template has a nested reference name|helm needed more than"),
    ],
    ids=["a GiB", "a loop", "a recursion"],
)
def test_chart_that_does_not_end_is_stopped(template, message, tmp_path):
    """In time and memory, with a clear error."""
    limits = ToolLimits(seconds=1) if "within" in message else ToolLimits(memory_bytes=1 << 30)

    (found,) = find(make_chart(tmp_path, {"a.yaml": template}), HelmOptions(limits=limits))

    assert isinstance(found, SkippedInput)
    assert any(part in found.message for part in message.split("|")), found.message


@pytest.mark.row("DISC-03")
def test_chart_reads_no_environment_cluster_or_host(tmp_path, monkeypatch):
    """Functions that could are empty or missing."""
    monkeypatch.setenv("SECRET", "of-the-user")
    for text, said in (('{{ env "SECRET" }}', "not defined"), ('{{ expandenv "$SECRET" }}', "not defined")):
        (found,) = find(make_chart(tmp_path, {"a.yaml": text}))
        assert said in found.message
    image = '{kind: Pod, apiVersion: v1, spec: {containers: [{image: "r.io/a:x{{ getHostByName "localhost" }}{{ lookup "v1" "Secret" "" "" | len }}"}]}}'

    (found,) = find(make_chart(tmp_path, {"a.yaml": image}))

    assert str(found.reference) == "r.io/a:x0"


@pytest.mark.row("DISC-04")
def test_chart_reads_no_file_outside(tmp_path):
    """A template could print the file that a link leads to."""
    (tmp_path / "config.json").write_text("r.io/secret:1")
    chart = make_chart(tmp_path, {"a.yaml": '{kind: Pod, apiVersion: v1, spec: {containers: [{image: {{ .Files.Get "link" }}}]}}'})
    (chart / "link").symlink_to("../config.json")

    (outside,) = find(chart)
    (inside,) = find(chart, root=str(tmp_path))

    assert outside == SkippedInput(str(chart), 0, f"link is a link to a file outside of {chart}", "put the file itself there")
    assert str(inside.reference) == "r.io/secret:1"


@pytest.mark.row("DISC-04")
def test_schema_of_values_loads_nothing(tmp_path):
    """A chart's schema may name a URL or a file."""
    chart = make_chart(tmp_path, {"a.yaml": "{kind: Pod, apiVersion: v1, spec: {containers: [{image: r.io/a:1}]}}"})
    (chart / "values.schema.json").write_text('{"$ref": "http://127.0.0.1:1/x"}')

    (found,) = find(chart)

    assert str(found.reference) == "r.io/a:1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": ("https://example.com/values.yaml",)}, "does not exist"),
        ({"settings": ("a",)}, "--set needs NAME=VALUE"),
        ({"kube_version": "1.31 --x"}, "is not a version of Kubernetes"),
    ],
)
def test_options_that_helm_would_read_otherwise_are_refused(options, message):
    """No URL, no option."""
    with pytest.raises(UsageError, match=message):
        HelmOptions(**options).check()


def test_packed_file_that_is_no_chart_is_an_error(tmp_path):
    """Damaged, or something else."""
    (tmp_path / "a.tgz").write_bytes(b"x")
    with tarfile.open(tmp_path / "b.tgz", "w:gz") as archive:
        archive.add(__file__, "app/x.py")
    (tmp_path / "c.tgz").write_bytes((tmp_path / "b.tgz").read_bytes()[:500])

    assert [find(tmp_path / name)[0].message for name in ("a.tgz", "b.tgz", "c.tgz")] == [
        "the chart cannot be read: it is damaged, or not a packed chart",
        "it has no Chart.yaml, so it is not a chart",
        "the chart cannot be read: it is damaged, or not a packed chart",
    ]


@pytest.mark.row("DISC-02")
def test_packed_chart_that_expands_is_not_read_whole(tmp_path, monkeypatch):
    """A file of a few KiB may hold GiB."""
    monkeypatch.setattr(chart_files, "_ARCHIVE_BYTES", 1 << 20)
    (tmp_path / "zeros").write_bytes(bytes(2 << 20))
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "zeros", "app/zeros")

    (found,) = find(tmp_path / "a.tgz")

    assert found.message == "the packed chart is larger than any that Helm reads"


def test_lists_of_metadata_are_read_with_their_lines(tmp_path):
    """Lists of texts, errors, and names without a tag too."""
    metadata = (
        "annotations:\n  artifacthub.io/images: |\n    - r.io/a:1\n    - {image: 'r.io/b'}\n    - {name: c}\n    - {image: '{{ x }}'}\n  images: '- [a'\n"
    )
    chart = make_chart(tmp_path, {}, metadata)
    (chart / "images-lock.yaml").write_text("images: [{image: r.io/c:1}]\n")
    (chart / "Images.lock").write_text("- r.io/d:1\n- 7\n")

    found = find(chart)

    assert [(one.line, one.text, one.certainty.value) for one in found if isinstance(one, FoundImage)] == [
        (6, "r.io/a:1", "sure"),
        (7, "r.io/b", "unresolved"),
        (9, "{{ x }}", "unresolved"),
        (1, "r.io/d:1", "sure"),
        (1, "r.io/c:1", "sure"),
    ]
    (skipped,) = [one for one in found if isinstance(one, SkippedInput)]
    assert (skipped.line, skipped.message.partition(":")[0]) == (10, "annotations.images")
