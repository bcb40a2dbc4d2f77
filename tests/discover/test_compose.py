"""The images of a Compose file."""

from __future__ import annotations

from imgsync.discover.readers import find_in_yaml
from tests.discover.finds import brief

HUB = "docker.io/library"


def found(text: str) -> list[tuple[str, str, int]]:
    return brief(find_in_yaml(text.encode(), file="compose.yaml"))


def test_variables_have_the_defaults_of_the_file():
    """In all forms of Compose; one without a default is unresolved."""
    text = (
        'services:\n  a: {image: "nginx:${TAG:-1.27}"}\n  b: {image: "${REGISTRY-docker.io}/library/b:${V-${W:-2}}"}\n  c: {image: "c:$TAG"}\n'
        '  d: {image: "d:${TAG:?give it}"}\n  e: {image: "e:1${X:+no}"}\n  f: {image: "f:${"}\n'
    )

    assert found(text) == [
        (f"{HUB}/nginx:1.27", "sure", 2),
        (f"{HUB}/b:2", "sure", 3),
        ("c:$TAG", "unresolved", 4),
        ("d:${TAG:?give it}", "unresolved", 5),
        (f"{HUB}/e:1", "sure", 6),
        ("f:${", "unresolved", 7),
    ]


def test_service_that_is_only_built_has_no_image():
    """With an image as well, the image may be pulled. The inline Dockerfile of a build is read."""
    text = (
        "services:\n  a: {build: .}\n  b: {build: ., image: 'mine/b:1'}\n  c:\n    build:\n      dockerfile_inline: |\n        FROM alpine:3.22\n"
        "      additional_contexts: {base: 'docker-image://busybox:1.36'}\n"
    )

    assert found(text) == [("docker.io/mine/b:1", "likely", 3), (f"{HUB}/alpine:3.22", "sure", 7), (f"{HUB}/busybox:1.36", "sure", 8)]


def test_anchors_and_extensions_are_followed():
    """The line is where the image is written."""
    text = "x-base: &base\n  image: redis:7\nservices:\n  a:\n    <<: *base\n  b:\n    extends: a\n"

    assert found(text) == [(f"{HUB}/redis:7", "sure", 2)]
