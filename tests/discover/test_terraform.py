"""The images of Terraform's files."""

from __future__ import annotations

import sys

import pytest

from imgsync.discover.find import find_images
from imgsync.discover.terraform import find_in_terraform
from tests.discover.finds import brief, skipped

HUB = "docker.io/library"


def found(text: str) -> list[tuple[str, str, int]]:
    return brief(find_in_terraform(text.encode(), file="main.tf"))


def test_images_of_blocks_and_objects_are_found():
    """With the lines of the text, also within a heredoc."""
    text = (
        'resource "kubernetes_pod" "a" {\n  spec {\n    container {\n      image = "nginx:1.27" # pinned\n    }\n  }\n}\n'
        'resource "aws_ecs_task_definition" "b" {\n  container_definitions = jsonencode([{\n    image = "quay.io/a/b:1"\n  }])\n}\n'
        'resource "docker_image" "c" { name = "redis:7" }\n'
        'resource "helm_release" "d" {\n  values = [<<-YAML\n    image:\n      repository: quay.io/c/d\n      tag: 2\n  YAML\n  ]\n}\n'
        'resource "hcloud_server" "e" { image = "ubuntu-24.04" }\n'
    )

    assert found(text) == [(f"{HUB}/nginx:1.27", "sure", 4), ("quay.io/a/b:1", "sure", 10), (f"{HUB}/redis:7", "sure", 13), ("quay.io/c/d:2", "likely", 17)]


def test_variables_and_locals_have_the_defaults_of_the_file():
    """What is not known here is unresolved."""
    text = (
        'variable "tag" {\n  default = "1.2"\n}\nvariable "no" {}\nlocals {\n  base = "quay.io/a"\n}\n'
        'module "m" {\n  image = "${local.base}/b:${var.tag}"\n}\nmodule "n" {\n  image = "a/b:${var.no}"\n}\nmodule "o" {\n  image = "a:${data.x.y}"\n}\n'
    )

    assert found(text) == [("quay.io/a/b:1.2", "sure", 9), ("a/b:${var.no}", "unresolved", 12), ("a:${data.x.y}", "unresolved", 15)]


def test_missing_library_is_said_with_the_way_to_install_it(monkeypatch, tmp_path):
    """Other files are still read."""
    monkeypatch.setitem(sys.modules, "hcl2", None)
    (tmp_path / "a.tf").write_text("")
    (tmp_path / "b.Dockerfile").write_text("FROM alpine:3\n")

    everything = list(find_images([str(tmp_path)]))

    assert [(one.message, one.hint) for one in skipped(everything)] == [
        ("files of Terraform need a library that is not installed", "install imgsync with its extra `terraform`; in a clone: pip install '.[terraform]'")
    ]
    assert brief(everything) == [(f"{HUB}/alpine:3", "sure", 1)]


@pytest.mark.row("DISC-09")
@pytest.mark.parametrize(
    "text", ["a = [", "x {" * 2000, "a = " + "(" * 3000 + "1" + ")" * 3000, 'a = "\\', "\0", "a = <<E\n" + "\n" * 100_000, "a = 1\n" * 300_000]
)
def test_text_that_is_not_terraform_is_skipped(text):
    """Within a bounded time."""
    (one,) = find_in_terraform(text.encode(), file="main.tf")

    assert one in skipped([one])
