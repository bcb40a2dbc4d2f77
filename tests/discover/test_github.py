"""The images of GitHub's workflows and actions."""

from __future__ import annotations

from imgsync.discover.readers import find_in_yaml
from tests.discover.finds import brief

HUB = "docker.io/library"


def found(text: str) -> list[tuple[str, str, int]]:
    return brief(find_in_yaml(text.encode(), file=".github/workflows/ci.yaml"))


def workflow(job: str) -> str:
    return "on: push\njobs:\n  a:\n    runs-on: x\n" + "".join(f"    {line}\n" for line in job.splitlines())


def test_containers_services_and_docker_steps_are_found():
    """As text and as mappings; names of images in other fields are not."""
    text = workflow(
        "container: node:22\nservices: {db: {image: 'postgres:17'}}\nsteps:\n  - uses: docker://alpine:3\n  - uses: a/b@v1\n    with: {image: 'c:1'}"
    )

    assert found(text) == [(f"{HUB}/node:22", "sure", 5), (f"{HUB}/postgres:17", "sure", 6), (f"{HUB}/alpine:3", "sure", 8)]


def test_matrix_gives_each_of_its_rows():
    """With what it excludes and includes, as GitHub combines them."""
    text = workflow(
        "container: ${{ matrix.base.name }}:${{matrix.tag}}\nstrategy:\n  matrix:\n    base: [{name: a}, {name: b}]\n    tag: [1, 2]\n"
        "    exclude: [{base: {name: b}, tag: 2}]\n    include: [{base: {name: c}, tag: 3}]"
    )

    assert [name for name, _, _ in found(text)] == [f"{HUB}/{name}" for name in ("a:1", "a:2", "b:1", "c:3")]


def test_expression_of_something_else_is_unresolved():
    """As is a matrix that is computed."""
    assert found(workflow("container: ${{ inputs.image }}")) == [("${{ inputs.image }}", "unresolved", 5)]
    assert found(workflow("container: a:${{ matrix.x }}\nstrategy: {matrix: '${{ fromJSON(x) }}'}")) == [("a:${{ matrix.x }}", "unresolved", 5)]


def test_action_that_runs_an_image_is_found():
    """One that builds a Dockerfile has none here."""
    assert found("name: a\nruns:\n  using: docker\n  image: docker://ghcr.io/a/b:1\n") == [("ghcr.io/a/b:1", "sure", 4)]
    assert found("name: a\nruns: {using: docker, image: Dockerfile}\n") == []
