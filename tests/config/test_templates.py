"""Templates of destinations."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.config.allowlist import get_fixed_prefix, is_allowed
from imgsync.config.model import Destination
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.errors import InvalidReferenceError
from tests.support.declarations import declared, faults_of
from tests.support.effort import effort


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{path}", "ns/a/b/c"),
        ("{name}", "ns/c"),
        ("{parent}/x", "ns/a/b/x"),
        ("{flat}", "ns/a_b_c"),
        ("{relative}", "ns/c"),
        ("{registry}/{name}", "ns/r.io_5000/c"),
    ],
)
def test_repository_templates_have_all_fields(template, expected):
    """Each field of a destination's template."""
    assert expand_repository(Destination("x.io", "ns", template), "a/b/c", relative="c", registry="r.io:5000") == expected


def test_templates_cannot_leave_the_grammar():
    """The result is a valid repository path and tag, or an error."""
    with pytest.raises(InvalidReferenceError, match="not a valid repository path"):
        expand_repository(Destination("x.io", "ns", "../{name}"), "a", relative="a", registry="r.io")
    with pytest.raises(InvalidReferenceError, match="not a valid tag"):
        expand_tag(Destination("x.io", tag="-{tag}"), "1")


PATHS = ["a/../../b", "a/%2e%2e/b", "a?b", "a#b", "a/./b", "a\nb", "a b", "ａ/b", "A/b", "a" * 256]


@pytest.mark.row("AUTH-13")
def test_invalid_path_in_a_declaration_is_an_error(lab):
    """With its place, before any request."""
    odd = [*PATHS, "a//b", "/a", "a/"]
    mirrors = [
        {"name": "a", "source": {"registry": "127.0.0.1:1", "repositories": odd, "namespaces": odd}, "destinations": ["127.0.0.1:1/m"]},
        {"name": "b", "source": "127.0.0.1:1/a", "destinations": [{"registry": "127.0.0.1:1", "namespace": path} for path in odd]},
    ]
    lab.workplace.mirror_file(json.dumps({"version": 1, "mirrors": mirrors}))

    ran = lab.run("validate")

    assert ran.code == 3, ran.stdout
    for number in range(len(odd)):
        for place in (f"mirrors[0].source.repositories[{number}]", f"mirrors[0].source.namespaces[{number}]", f"mirrors[1].destinations[{number}]"):
            assert place in ran.stderr


@pytest.mark.row("AUTH-13")
@pytest.mark.parametrize("path", PATHS)
def test_template_makes_no_invalid_path(path):
    """The result is checked by the same grammar."""
    with pytest.raises(InvalidReferenceError, match="not a valid repository path"):
        expand_repository(Destination("r.io", "m", path), "app", relative="app", registry="s.io")


@pytest.mark.row("GIT-02")
@pytest.mark.parametrize(
    "template", ["{path.__class__}", "{path!r}", "{path:>999999999}", "{0}", "{}", "{env}", "{path[0]}", "{{path", "$(id)", "`id`", "{path|sh}"]
)
@pytest.mark.parametrize("setting", ["repository", "tag"])
def test_templates_have_no_functions(template, setting, tmp_path):
    """Named fields only: no attribute, index, conversion or expression."""
    text = json.dumps(declared(destination={"registry": "r.io", setting: template}))

    (fault,) = faults_of(tmp_path, text)

    assert "unknown template field" in fault or "invalid template" in fault or "would become" in fault


@pytest.mark.row("OUT-04")
@settings(max_examples=effort(60, 2000), deadline=None)
@given(
    namespace=st.sampled_from(("", "prod", "prod/a")),
    template=st.lists(
        st.sampled_from(["{path}", "{name}", "{parent}", "{flat}", "{relative}", "{registry}", "/", "..", ".", "a", "-", "//"]), min_size=1, max_size=5
    ).map("".join),
    path=st.lists(st.sampled_from(["..", ".", "a", "prod", "x", "%2e%2e", "", "\n", "A", "?", "#"]), min_size=1, max_size=4).map("/".join),
    tag=st.sampled_from(["1", "-1", "../1", "1\n", "a/b", "a:b", ""]),
)
def test_template_stays_below_its_allowed_part(namespace, template, path, tag):
    """For any repository name of a registry."""
    destination = Destination("r.io", namespace, template)
    try:
        written = f"r.io/{expand_repository(destination, path, relative=path, registry='s.io:5000')}:{expand_tag(destination, tag)}"
    except InvalidReferenceError:
        return

    assert is_allowed((get_fixed_prefix(destination),), written.rpartition(":")[0])
    assert re.fullmatch(r"r\.io/[a-z0-9]+([._/-]+[a-z0-9]+)*:\w[\w.-]*", written)
    assert not {".", ".."} & set(written.split("/"))
