"""The images of GitLab's pipelines."""

from __future__ import annotations

from imgsync.discover.readers import find_in_yaml
from tests.discover.finds import brief

HUB = "docker.io/library"


def found(text: str) -> list[tuple[str, str, int]]:
    return brief(find_in_yaml(text.encode(), file=".gitlab-ci.yml"))


def test_images_and_services_are_found_in_both_forms():
    """At the top, in `default` and in jobs, hidden ones too."""
    text = (
        "image: a:1\nservices: [b:1, {name: 'c:1', alias: c}]\ndefault: {image: {name: 'd:1', entrypoint: ['']}}\n"
        ".hidden: {image: 'e:1'}\njob: {image: 'f:1', script: [x]}\n"
    )

    assert [name for name, _, _ in found(text)] == [f"{HUB}/{one}:1" for one in "abcdef"]


def test_variables_have_the_values_of_the_file():
    """Of the job, of what it extends, of its matrix, then of the top."""
    text = (
        "variables: {V: '1', W: {value: '2'}}\n.base: {variables: {V: '3'}, script: []}\na: {image: 'x:$V-$W', script: []}\n"
        "b: {extends: .base, image: 'x:$V', script: []}\n"
        "c: {image: 'x:${V}', parallel: {matrix: [{V: ['4', '5']}, {V: '6'}]}, script: []}\nd: {image: '$CI_REGISTRY_IMAGE:1', script: []}\n"
    )

    assert [name.removeprefix(f"{HUB}/x:") for name, _, _ in found(text)] == ["1-2", "3", "4", "5", "6", "$CI_REGISTRY_IMAGE:1"]


def test_inputs_and_variables_without_a_value_are_unresolved():
    """With their names; jobs that extend each other do not loop."""
    text = "a: {image: '$[[ inputs.x ]]', script: []}\nb: {extends: c, image: 'x:$NONE', script: []}\nc: {extends: [b, c], script: []}\n"

    assert found(text) == [("$[[ inputs.x ]]", "unresolved", 1), ("x:$NONE", "unresolved", 2)]
