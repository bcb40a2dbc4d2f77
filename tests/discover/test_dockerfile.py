"""The images that a Dockerfile builds from."""

from __future__ import annotations

import pytest

from imgsync.discover.dockerfile import find_in_dockerfile
from tests.discover.finds import brief

HUB = "docker.io/library"


def found(text: str) -> list[tuple[str, str, int]]:
    return brief(find_in_dockerfile(text.encode(), file="Dockerfile"))


def test_bases_of_stages_are_found_and_stages_are_not():
    """Names of stages in any case, numbers, and `scratch` are no images."""
    text = "FROM golang:1.23 AS Build\nFROM build AS test\nCOPY --from=0 /a /b\nCOPY --from=BUILD /a /b\nFROM scratch\n"
    text += "COPY --chown=1:1 --from=busybox:1.36 /x /y\n"

    assert found(text) == [(f"{HUB}/golang:1.23", "sure", 1), (f"{HUB}/busybox:1.36", "sure", 6)]


def test_arguments_have_their_defaults():
    """Those before FROM count in FROM, and in a stage that names them again."""
    text = (
        "ARG VERSION=3.22\nARG BASE=alpine:${VERSION} OTHER='busybox:1'\nFROM --platform=$BUILDPLATFORM ${BASE}\nFROM $OTHER\nARG VERSION\n"
        "COPY --from=nginx:$VERSION /a /b\nFROM node:${NODE:-22}\nCOPY --from=nginx:$VERSION /a /b\n"
    )

    assert found(text) == [
        (f"{HUB}/alpine:3.22", "sure", 3),
        (f"{HUB}/busybox:1", "sure", 4),
        (f"{HUB}/nginx:3.22", "sure", 6),
        (f"{HUB}/node:22", "sure", 7),
        ("nginx:$VERSION", "unresolved", 8),
    ]


def test_argument_without_default_is_unresolved_with_its_name():
    """As the text has it."""
    (one,) = find_in_dockerfile(b"ARG TAG\nFROM alpine:$TAG\n", file="Dockerfile")

    assert (one.text, one.reference, one.reason) == ("alpine:$TAG", None, "TAG has no default")


def test_mounts_and_the_syntax_line_are_found():
    """Several mounts of one RUN, and a mount of a stage."""
    text = "# syntax=docker/dockerfile:1.7\nFROM a:1 AS b\n"
    text += "RUN --mount=type=bind,from=quay.io/x/y:2,target=/y --mount=type=cache,target=/c --mount=from=b,target=/b make\n"

    assert found(text) == [("docker.io/docker/dockerfile:1.7", "sure", 1), (f"{HUB}/a:1", "sure", 2), ("quay.io/x/y:2", "sure", 3)]


def test_text_of_heredocs_and_comments_is_not_read():
    """Nor is a `FROM` in a continued line."""
    text = "FROM a:1\nRUN <<EOF <<-'END'\nFROM b:1\nEOF\nFROM c:1\n\tEND\nRUN echo \\\n# a comment\n\n  FROM d:1\nCOPY <<x /y\nFROM e:1\nx\nFROM f:1\n"

    assert [name for name, _, _ in found(text)] == [f"{HUB}/a:1", f"{HUB}/f:1"]


def test_lines_may_end_with_the_escape_character_that_is_declared():
    """Windows' Dockerfiles use a backtick."""
    text = "# escape=`\nFROM `\n  mcr.microsoft.com/windows/servercore:ltsc2022\nRUN dir C:\\\nFROM mcr.microsoft.com/windows/nanoserver:ltsc2022\n"

    assert found(text) == [("mcr.microsoft.com/windows/servercore:ltsc2022", "sure", 2), ("mcr.microsoft.com/windows/nanoserver:ltsc2022", "sure", 5)]


@pytest.mark.parametrize("text", ["FROM", "FROM \\", "from", "RUN <<EOF", "ARG", "ARG =", "COPY --from= a b", "FROM --platform=x", "\\\n\\\n", "FROM scratch"])
def test_incomplete_instructions_name_no_image(text):
    """And are no error: the builder reports them."""
    assert found(text) == []


def test_name_without_tag_is_unresolved_but_known():
    """Docker would take `latest`."""
    (one,) = find_in_dockerfile(b"FROM alpine\n", file="Dockerfile")

    assert (str(one.reference), one.certainty, one.reason) == (f"{HUB}/alpine", "unresolved", "it has no tag and no digest")
