"""The images of Kubernetes objects."""

from __future__ import annotations

import json
import time

import pytest

from imgsync.discover.kubernetes import find_in_documents
from tests.discover.finds import brief, skipped

HUB = "docker.io/library"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def found(text: str) -> list[tuple[str, str, int]]:
    return brief(find_in_documents(text.encode(), file="a.yaml"))


def spec(lines: str, *, kind: str = "Thing") -> str:
    return f"apiVersion: example.com/v1\nkind: {kind}\nmetadata: {{name: x, namespace: y}}\nspec:\n" + "".join(f"  {line}\n" for line in lines.splitlines())


def test_find_has_file_line_and_field():
    """With kind, namespace and name of the object."""
    (one,) = find_in_documents(spec("template:\n  containers:\n    - image: nginx:1.27", kind="Job").encode(), file="a.yaml")

    assert (one.file, one.line, one.field) == ("a.yaml", 7, "Job y/x: spec.template.containers[0].image")


def test_status_says_which_digests_run():
    """A name with a digest is a find; an ID alone, and the last applied copy, are none."""
    pod = {
        "kind": "Pod",
        "metadata": {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"image": "quay.io/old/old:1"}'}},
        "spec": {"containers": [{"image": "nginx:1.27"}]},
        "status": {
            "containerStatuses": [
                {"image": "nginx:1.27", "imageID": f"docker-pullable://nginx@{DIGEST}"},
                {"image": "sha256:1", "imageID": DIGEST},
                {"imageID": ""},
            ]
        },
    }
    text = json.dumps({"apiVersion": "v1", "items": [pod], "kind": "List"}, indent=1)

    assert [name for name, _, _ in found(text)] == [f"{HUB}/nginx:1.27", f"{HUB}/nginx@{DIGEST}"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("image: {registry: quay.io, repository: a/b, tag: 1.20}", "quay.io/a/b:1.20"),
        (f"image: {{registry: docker.io, repository: quay.io/a/b, digest: '{DIGEST}'}}", f"quay.io/a/b@{DIGEST}"),
        ("image: {name: redis, tag: '7'}", f"{HUB}/redis:7"),
        ("driver: {repository: nvcr.io/nvidia, image: driver, version: 535.1}", "nvcr.io/nvidia/driver:535.1"),
        (f"driver: {{repository: nvcr.io/nvidia, image: driver, version: '{DIGEST}'}}", f"nvcr.io/nvidia/driver@{DIGEST}"),
        ("image: quay.io/a/b\ntag: v1", "quay.io/a/b:v1"),
        ("imageName: ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("volumes: [{image: {reference: 'quay.io/a/b:1'}}]", "quay.io/a/b:1"),
    ],
)
def test_parts_of_an_image_are_joined(lines, expected):
    """As operators hold them apart."""
    assert [(name, certainty) for name, certainty, _ in found(spec(lines))] == [(expected, "sure")]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("containers: [{image: nginx}]", "it has no tag and no digest"),
        ("containers: [{image: '{{ .Values.image }}'}]", "a template that is not rendered"),
        ("containers: [{image: '${IMAGE}'}]", "a variable that has no value here"),
        (f"containers: [{{image: '{DIGEST}'}}]", "it is the ID of an image, not a name"),
        ("image: {repository: quay.io/a/b}", "it has no tag and no digest"),
        ("image: {tag: v1}", "the repository of this tag is not here"),
    ],
)
def test_name_that_is_not_complete_is_unresolved_with_the_reason(lines, reason):
    """It is never left out silently."""
    (one,) = find_in_documents(spec(lines).encode(), file="a.yaml")

    assert (one.certainty, one.reason) == ("unresolved", reason)


def test_template_that_is_not_yaml_is_read_by_line():
    """Its fields of images are finds, and that it is a template is said."""
    text = 'spec:\n  {{- if .Values.on }}\n  image: "{{ .Values.image }}"\n  initImage: quay.io/a/b:1 # pinned\n  {{- end }}\n'
    text += "---\nkind: Pod\nspec: {containers: [{image: c:1}]}\n"

    assert found(text) == [("{{ .Values.image }}", "unresolved", 3), ("quay.io/a/b:1", "likely", 4), (f"{HUB}/c:1", "sure", 8)]
    assert "rendered" in skipped(find_in_documents(text.encode(), file="a.yaml"))[0].message


@pytest.mark.parametrize(
    "text", ["image" * 80_000, "a.image-" * 50_000, "-" * 400_000, "image" + " " * 400_000, "a: |\\n" + "-" * 400_000, "\\n" + "image" * 80_000]
)
def test_long_texts_take_time_in_proportion(text):
    """Not the square of their length, which would be minutes."""
    began = time.process_time()

    assert found(spec(f'containers: [{{image: a:1, args: ["{text}"]}}]')) == [(f"{HUB}/a:1", "sure", 5)]
    assert time.process_time() - began < 20
