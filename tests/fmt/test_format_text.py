"""One layout for declarations: meaning and comments stay."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.config.yaml_reader import parse_documents
from imgsync.errors import ConfigError
from imgsync.fmt.format_text import format_text
from tests.support.effort import effort

ROOT = Path(__file__).parents[2]
MIRROR = "source: r.io/x\n    destinations: [r.io/m]\n"


def formatted(text: str) -> str:
    return format_text(text.encode(), file="a.yaml")


def mirror(lines: str) -> str:
    """Return a file with one mirror; *lines* are indented by four."""
    return f"version: 1\nmirrors:\n  - name: a\n{lines}"


@pytest.mark.parametrize("path", sorted((ROOT / "mirrors.d").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_declarations_have_the_layout(path):
    """Our own examples need no change."""
    assert formatted(path.read_text()) == path.read_text()


def test_keys_are_in_the_order_of_the_schema():
    """What it is called, from where, which tags, to where."""
    text = "mirrors:\n- destinations: [r.io/m]\n  tags: {newest: 2, semver: '>=1'}\n  source: r.io/x\n  name: a\nversion: 1\n"

    assert formatted(text) == mirror('    source: r.io/x\n    tags: {semver: ">=1", newest: 2}\n    destinations: [r.io/m]\n')


def test_comments_move_with_their_key():
    """Those above, those beside, and the ones at the end of a block."""
    text = (
        "# yaml-language-server: $schema=x\nversion: 1 # one\nmirrors:\n- name: a\n"
        "  # to where\n  destinations: [r.io/m] # beside\n\n  # from where\n  source: r.io/x\n  # platforms: [linux/amd64]\n"
        "# second\n- name: b\n  source: r.io/y\n  destinations:\n  - r.io/m\n  # - r.io/n\n# end\n"
    )

    assert formatted(text) == (
        "# yaml-language-server: $schema=x\nversion: 1  # one\nmirrors:\n  - name: a\n\n"
        "    # from where\n    source: r.io/x\n    # to where\n    destinations: [r.io/m]  # beside\n    # platforms: [linux/amd64]\n"
        "  # second\n  - name: b\n    source: r.io/y\n    destinations:\n      - r.io/m\n      # - r.io/n\n  # end\n"
    )


@pytest.mark.parametrize(
    ("written", "laid_out"),
    [
        ("names: [v1, 'v2', \"v3\"]", 'names: ["v1", "v2", "v3"]'),
        ("include: ['1.*', v2]", 'include: ["1.*", "v2"]'),
        ("regex: ['a\\d']", "regex: ['a\\d']"),
        ("semver: '>=1'", 'semver: ">=1"'),
        ("{newest: 2}", None),
    ],
)
def test_tags_are_quoted(written, laid_out):
    """Without quotes, 3.10 would be the number 3.1."""
    if laid_out is None:
        assert formatted(mirror(f"    source: r.io/x\n    tags: {written}\n    destinations: [r.io/m]\n")).count('"') == 0
    else:
        assert f"      {laid_out}\n" in formatted(mirror(f"    source: r.io/x\n    tags:\n      {written}\n    destinations: [r.io/m]\n"))


def test_repositories_are_not_quoted():
    """Only tags look like numbers."""
    text = mirror("    source:\n      registry: r.io\n      repositories: [x, y/z]\n      exclude: [x-*]\n    destinations: [r.io/m]\n")

    assert formatted(text) == text


@pytest.mark.parametrize(
    ("written", "comment"),
    [
        ('    description: "a # b"  # real\n', "  # real\n"),
        ("    description: a#b  # real\n", "  # real\n"),
        ("    platforms: [linux/amd64]# close\n", "  # close\n"),
        ("    description: |  # header\n      # text\n", "  # header\n      # text\n"),
        ("    platforms: [linux/amd64]  # one # two\n", "  # one # two\n"),
    ],
)
def test_number_sign_in_a_text_is_no_comment(written, comment):
    """Nor is a comment in a comment."""
    assert comment in formatted(mirror(f"{written}    {MIRROR}"))


def test_several_documents_stay():
    """With their separator and their comments."""
    text = "# first\nversion: 1\nmirrors:\n  - name: a\n    " + MIRROR + "# end of first\n---\n# second\nversion: 1\nmirrors:\n  - name: b\n    " + MIRROR

    assert formatted(text) == text
    assert formatted(f"---\n{text}") == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("---\n---\nFIRST", "FIRST"),
        ("---\n# c\n---\nFIRST", "# c\nFIRST"),
        ("---\n# c\n---\n# d\n---\n# e\nFIRST", "# c\n# d\n# e\nFIRST"),
        ("FIRST---\n---\nSECOND", "FIRST---\nSECOND"),
        ("FIRST---\n---\n", "FIRST"),
        ("FIRST---\n# c\n---\n# d\n", "FIRST---\n# c\n# d\n"),
    ],
)
def test_empty_documents_are_dropped(before, after):
    """They declare nothing; a comment in one goes to the next document."""
    names = {"FIRST": mirror(f"    {MIRROR}"), "SECOND": mirror(f"    {MIRROR}").replace("name: a", "name: b")}
    for name, text in names.items():
        before, after = before.replace(name, text), after.replace(name, text)

    assert formatted(before) == after


@pytest.mark.parametrize("header", ["|", ">", "|+", "|2"])
def test_line_of_a_tab_is_content_of_a_text(header):
    """It looks empty, and is not."""
    lines = f"    description: {header}\n      one\n      \t\n        \t\n      two\n    {MIRROR}"
    (before,), _ = parse_documents(mirror(lines).encode(), file="a")

    (after,), _ = parse_documents(formatted(mirror(lines)).encode(), file="a")

    assert after.value == before.value
    assert "\t" in after.value["mirrors"][0]["description"]


def test_anchor_stays_above_its_alias():
    """The order of keys yields where YAML needs another one."""
    text = (
        "version: 1\nmirrors:\n  - name: a\n    destinations: &d [r.io/m]\n    source: r.io/x\n"
        "  - destinations: *d\n    name: b\n    source: r.io/y\n    tags: &t\n      newest: 1\n  - {source: r.io/z, name: c, tags: *t, destinations: *d}\n"
    )
    laid_out = formatted(text)

    assert "    destinations: &d [r.io/m]\n" in laid_out
    assert "    tags: &t\n      newest: 1\n    destinations: *d\n" in laid_out
    assert formatted("mirrors: [{name: a, source: &s r.io/x, destinations: [*s]}]\nversion: 1\n").endswith("source: &s r.io/x, destinations: [*s]}\n")


def test_keys_keep_their_order_around_an_alias():
    """`destinations` defines what `source` uses."""
    text = mirror("    destinations:\n      - &r r.io/m\n    source: *r\n")

    assert formatted(text) == text


@pytest.mark.parametrize("header", ["|", "|-", "|+", ">", "|2"])
def test_long_texts_keep_their_lines(header):
    """A block scalar is indented anew, and nothing else."""
    first = "  indented" if header == "|2" else "first"
    text = (
        f"version: 1\nmirrors:\n- name: a\n  source: r.io/x\n  description: {header}\n    {first}\n      more\n\n    # no comment\n\n  destinations: [r.io/m]\n"
    )
    (before,), _ = parse_documents(text.encode(), file="a")
    (after,), _ = parse_documents(formatted(text).encode(), file="a")

    assert after.value == before.value
    assert "\n        more\n\n      # no comment\n" in formatted(text) or header == "|2"


def test_long_lists_become_lines():
    """Brackets are for what fits in a line, and have no place for comments."""
    long = ", ".join(f"repository-{number}" for number in range(12))
    text = mirror(f"    source: {{registry: r.io, repositories: [{long}]}}\n    destinations: [r.io/m, # one\n      r.io/n]\n")

    assert "      repositories:\n        - repository-0\n" in formatted(text)
    assert "    destinations:\n      - r.io/m  # one\n      - r.io/n\n" in formatted(text)


def test_json_becomes_yaml():
    """JSON is YAML, and its quotes stay where they are not in the way."""
    assert formatted('{"mirrors": [{"name": "a", "source": "r.io/x", "destinations": ["r.io/m"]}], "version": 1}') == (
        'version: 1\nmirrors:\n  - {name: "a", source: "r.io/x", destinations: ["r.io/m"]}\n'
    )


def test_line_ends_of_windows_are_replaced():
    """One layout has one kind of line end."""
    assert formatted(mirror(f"    {MIRROR}").replace("\n", "\r\n")) == mirror(f"    {MIRROR}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1\nmirrors: [{nam: a}]\n", "unknown setting"),
        ("version: 1\nmirrors: [\n", "invalid YAML"),
        ("%YAML 1.1\n---\n" + mirror(f"    {MIRROR}"), "cannot be formatted without changing its meaning"),
        (mirror(f"    tags: {{names: [3.10]}}\n    {MIRROR}"), "3.10"),
    ],
    ids=["schema", "syntax", "directive", "number"],
)
def test_files_with_errors_are_refused(text, message):
    """With the error that `validate` shows."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        formatted(text)


_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "description": st.sampled_from(["x", "a: b", "it's", 'say "x"', "# no comment", "two\nlines\n", " a", "é", "123", "no"]),
    "suspend": st.booleans(),
    "tags": st.fixed_dictionaries(
        {}, optional={"names": st.lists(st.sampled_from(["1.0", "v1", "latest"]), min_size=1, unique=True), "newest": st.integers(1, 9)}
    ),
    "platforms": st.just(["linux/amd64", "linux/arm64/v8"]),
    "immutable": st.just(["v*"]),
    "prune": st.just({"at_most": 3, "protect": ["1.*"]}),
    "retry": st.just({"interval": "1s", "attempts": 2}),
}
_MIRRORS = st.fixed_dictionaries({"name": st.just("a"), "source": st.just("r.io/x"), "destinations": st.just(["r.io/m"])}, optional=_SETTINGS)


@given(st.lists(_MIRRORS, min_size=1, max_size=3), st.randoms(use_true_random=False), st.sampled_from([None, False, True]), st.integers(2, 5))
@settings(max_examples=effort(40, 500), deadline=None)
def test_any_valid_file_is_formatted(mirrors, chance: random.Random, flow, indent):
    """Same values, same comments, and nothing left to change."""
    mirrors = [dict(chance.sample(list(one.items()), len(one))) for one in mirrors]
    lines = yaml.safe_dump({"mirrors": mirrors, "version": 1}, sort_keys=False, default_flow_style=flow, indent=indent, allow_unicode=True)
    with_comments = _add_comments(lines, chance)
    documents, errors = parse_documents(with_comments.encode(), file="a")
    if errors or documents[0].value != parse_documents(lines.encode(), file="a")[0][0].value:
        return  # A comment was added inside a text.

    laid_out = formatted(with_comments)

    assert parse_documents(laid_out.encode(), file="a")[0][0].value == documents[0].value
    assert sorted(re.findall("# c\\d+", laid_out)) == sorted(re.findall("# c\\d+", with_comments))
    assert formatted(laid_out) == laid_out
    assert list(yaml.safe_load(laid_out)) == ["version", "mirrors"]


def _add_comments(text: str, chance: random.Random) -> str:
    """Return *text* with comments and blank lines at random places."""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines()):
        if chance.random() < 0.2:
            lines.append(f"{' ' * chance.randrange(9)}# c{number}")
        if chance.random() < 0.1:
            lines.append("")
        lines.append(f"{line}{' ' * chance.randint(1, 3)}# c{number}00" if chance.random() < 0.2 else line)
    return "\n".join([*lines, ""])


@pytest.mark.parametrize(
    "text",
    ["one\n      two  # c", '"one\n\n      two"  # c', "'it''s\n\n      # two'  # c", "|  # c\n      one\n      two"],
    ids=["plain", "double", "single", "block"],
)
def test_comment_beside_a_text_of_several_lines_stays(text):
    """Inside the text it would be content, or end it."""
    laid_out = formatted(mirror(f"    description: {text}\n    {MIRROR}"))

    assert " # c\n" in laid_out


def test_alias_as_key_keeps_its_space():
    """In YAML 1.2, `*a:` is an alias of that name, colon included."""
    assert "    *a : b\n" in formatted("version: 1\nx-a: &a name\nmirrors:\n- *a : b\n  source: r.io/x\n  destinations: [r.io/m]\n")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (mirror(f"    description: x\t# c\n    {MIRROR}"), "a.yaml:4:19: the file cannot be formatted.*replace this tab by spaces"),
        (mirror(f"    description: |\n      one\n      \ttwo\n    {MIRROR}"), r"a.yaml:6:7: tab in the indentation \(indent with spaces\)"),
        (mirror(f"    description: |\n      one\n\t\n    {MIRROR}"), r"a.yaml:6:1: .*tab character.*\(indent with spaces, also a line that looks empty\)"),
        (f"%YAML 1.1\n---\n{mirror(f'    {MIRROR}')}", r"a.yaml:1:1: the file cannot be formatted.*remove the directive \(%\)"),
    ],
    ids=["tab", "tab in a text", "line of a tab", "directive"],
)
def test_forms_that_cannot_be_kept_are_named(text, place):
    """With their place, and what to do."""
    with pytest.raises(ConfigError, match=place):
        formatted(text)
