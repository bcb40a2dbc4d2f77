"""YAML: read strictly, within limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgsync.config.load import load_config
from imgsync.errors import ConfigError
from imgsync.oci.spec.reference import is_tag
from tests.support.canary import secrets_in
from tests.support.declarations import faults_of, mirror
from tests.support.images import image
from tests.support.lab import Lab


@pytest.mark.parametrize("bomb", ["alias", "merge"])
def test_yaml_that_expands_is_refused_before_it_expands(bomb, tmp_path):
    """Aliases and merge keys are counted first."""
    if bomb == "alias":
        text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    else:
        text = "m0: &m0 {k: v}\n" + "".join(f"m{n}: &m{n} {{<<: [{','.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
    began = time.monotonic()

    found = faults_of(tmp_path, text)

    assert "aliases expand to more" in found[0]
    assert time.monotonic() - began < 10


# What YAML 1.1 takes for something else than text, and tags that really exist look like.
TRAPS = [
    *("1.10", "010", "0x1F", "1_000", "1:30", "1e3", ".5", "on", "off", "yes", "no", "y", "true", "null", "~", ".inf", "+12"),
    *("2024-01-01", "2001-12-14t21:59:43.10-05:00"),
]


@pytest.mark.row("CFG-01")
@pytest.mark.parametrize("text", TRAPS)
def test_tag_is_read_as_written_or_is_an_error(text, tmp_path):
    """Quoted it is that tag; unquoted YAML types are errors that show the text."""
    quoted = mirror(f"tags: {{names: ['{text}'], include: ['{text}']}}")
    if is_tag(text):
        assert faults_of(tmp_path, quoted) == []
        (found,) = load_config([str(tmp_path / "a.yaml")], registries=None, environ={}).mirrors
        assert (found.tags.names, found.tags.include) == ((text,), (text,))

    faults = faults_of(tmp_path, mirror(f"tags: {{names: [{text}]}}"))
    if text in {"y", "1e3"}:
        assert faults == [], "text to our parser, and so exactly what was written"
        (found,) = load_config([str(tmp_path / "a.yaml")], registries=None, environ={}).mirrors
        assert found.tags.names == (text,)
    else:
        assert len(faults) == 1
        assert text in faults[0] or "got null" in faults[0]
        assert "a.yaml:6:20: mirrors[0].tags.names[0]: " in faults[0]


@pytest.mark.row("CFG-01")
def test_tags_that_look_like_numbers_are_mirrored_verbatim(lab):
    """`1.10`, `010` and `1_000` keep their names."""
    tags = ["1.10", "010", "1_000", "on", "null", "1e3"]
    for tag in tags:
        lab.push("app", tag, image(lab.name))
    lab.declare("app", "tags: {names: ['1.10', '010'], regex: ['.*']}")

    assert lab.run("apply").code == 0
    assert sorted(lab.served_tags("app")) == sorted(tags)


@pytest.mark.row("CFG-02")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (mirror("suspend: true\n    suspend: false"), "a.yaml:7:5: mirrors[0].suspend: duplicate key 'suspend' (first at line 6, column 5; keep one)"),
        ("version: 1\nmirrors: []\nmirrors: []\n", "a.yaml:3:1: mirrors: duplicate key 'mirrors' (first at line 2, column 1; keep one)"),
        (mirror("'suspend': true\n    suspend: false"), "duplicate key 'suspend' (first at line 6, column 5; keep one)"),
        (mirror('"sus\\x70end": true\n    suspend: false'), "duplicate key 'suspend' (first at line 6, column 5; keep one)"),
        (mirror("tags: {newest: 1, newest: 2}"), "mirrors[0].tags.newest: duplicate key 'newest' (first at line 6, column 12; keep one)"),
        (mirror(before="on: 1\ntrue: 2\n"), "a.yaml:2:1: on: unknown setting"),
    ],
)
def test_duplicate_key_is_an_error_with_both_places(text, expected, tmp_path):
    """`on` and `true` are two unknown keys."""
    assert any(expected in fault for fault in faults_of(tmp_path, text)), faults_of(tmp_path, text)


@pytest.mark.row("CFG-03", "GIT-02")
@pytest.mark.parametrize(
    "value",
    ["!!python/object/apply:os.system [id]", "!!python/name:os.system a", "!!python/module:os", "!include /etc/passwd", "!ENV x", "!!binary eA==", "!!set {a}"],
)
@pytest.mark.parametrize("file", ["mirrors", "registries"])
def test_yaml_tag_is_one_error(value, file, tmp_path):
    """In both kinds of file; the hint says to remove it."""
    text = f"version: 1\nx: {value}\n"
    faults = faults_of(tmp_path, mirror() if file == "registries" else text, registry_settings=text if file == "registries" else "version: 1\n")

    assert len(faults) == 1
    assert "is not allowed (write the value without a tag," in faults[0]
    assert ":2:4: " in faults[0]


@pytest.mark.row("CFG-03")
def test_several_documents_only_in_mirrors_d(tmp_path):
    """registries.yaml is one document."""
    found = faults_of(tmp_path, f"{mirror('a: 1')}---\n{mirror('b: 2')}", registry_settings="version: 1\n---\nversion: 1\n")

    assert [fault.split(": ")[1] for fault in found if "unknown" in fault] == ["mirrors[0].a", "mirrors[0].b"]
    assert any("only one document is allowed here" in fault for fault in found)


@pytest.fixture
def links(lab: Lab) -> Path:
    """Return a folder of declarations beside a secret file."""
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    lab.workplace.mirror("a", source=f"{lab.source}/x", destinations=[f"{lab.destination}/m"])
    (lab.folder / "secret.yaml").write_text("version: canary-SECRET\ncanary-SECRET: 1\n")
    return lab.folder / "mirrors.d"


@pytest.mark.row("CFG-05", "GIT-02")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("../secret.yaml", "the link points outside the folder"),
        ("/proc/self/environ", "the link points outside the folder"),
        ("/proc/self/status", "the link points outside the folder"),
        ("/dev/zero", "the link points outside the folder"),
        ("missing.yaml", "not a regular file"),
        ("evil.yaml", "not a regular file"),
        ("pipe", "not a regular file"),
    ],
)
def test_link_out_of_the_folder_is_an_error(target, said, links):
    """Also to a device, a pipe, nothing or itself; the target is not read."""
    os.mkfifo(links / "pipe")
    (links / "evil.yaml").symlink_to(target)

    with pytest.raises(ConfigError) as caught:
        load_config([str(links)], registries=None, environ={"CANARY": "canary-SECRET"})

    (fault,) = caught.value.errors
    assert str(fault).startswith(f"{links}/evil.yaml: {said}")
    assert secrets_in(str(caught.value)) == []


@pytest.mark.row("CFG-05")
def test_pipe_as_a_declaration_is_an_error(links, imgsync):
    """So is an endless file; a link within the folder works, as in Kubernetes."""
    (links / "..data").mkdir()
    (links / "a.yaml").rename(links / "..data/a.yaml")
    (links / "a.yaml").symlink_to("..data/a.yaml")
    assert imgsync("validate").stdout == "1 file, 1 mirror, 1 destination: all good.\n"

    os.mkfifo(links / "b.yaml")
    assert "mirrors.d/b.yaml: not a regular file" in imgsync("validate", timeout=20).stderr

    endless = imgsync("validate", "/dev/zero", timeout=20)
    assert (endless.code, "/dev/zero:1:1: the file is larger than 1 MiB" in endless.stderr) == (3, True)
    endless = imgsync("validate", links / "a.yaml", "--registries", "/dev/zero", timeout=20)
    assert (endless.code, "/dev/zero:1:1: the file is larger than 1 MiB" in endless.stderr) == (3, True)


@pytest.mark.row("CFG-05")
def test_includes_do_not_exist(tmp_path):
    """No include syntax is supported."""
    for key in ("include", "$include", "<<", "extends", "import"):
        assert faults_of(tmp_path, mirror(before=f"{key}: /proc/self/environ\n")) != []


MEBIBYTE = 1 << 20


def nest(first: str, other: Callable[[int], str], levels: int = 12) -> str:
    return first + "".join(other(number) for number in range(1, levels))


EXPAND = "aliases expand to more than 50,000 values"


# Each with where and what the fault is: for what expands that is where it is too much, not where it would have been built.
YAML_BOMBS = {
    "aliases": (nest("a0: &a0 [x,x,x,x,x,x,x,x,x]\n", lambda n: f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n"), f":5:34: {EXPAND}"),
    "mappings": (nest("a0: &a0 {a: x, b: x}\n", lambda n: f"a{n}: &a{n} {{a: *a{n - 1}, b: *a{n - 1}}}\n", 25), f":13:28: {EXPAND}"),
    "merge keys": (nest("m0: &m0 {k: v}\n", lambda n: f"m{n}: &m{n} {{<<: [{','.join([f'*m{n - 1}'] * 9)}]}}\n"), f":6:23: {EXPAND}"),
    "one of many": ("a: &a [" + "x," * 1000 + "x]\nb: [" + "*a," * 5000 + "x]\n", f":2:152: {EXPAND}"),
    "itself": ("a: &a [*a]\n", EXPAND),
    "depth": ("[" * 900, "nested deeper than 32 levels"),
    "depth of mappings": ("{a: " * 5000, "nested deeper than 32 levels"),
    "depth of blocks": ("".join(" " * number + "a:\n" for number in range(200)), "nested deeper than 32 levels"),
    "size": ("a: " + "x" * (5 * MEBIBYTE), "the file is larger than 1 MiB"),
    "parts": ("[" + "x," * 300_000 + "x]", "the file has more than 50,000 values"),
    "documents": ("---\na\n" * 20_000, "the file has more than 1,000 documents"),
    "anchors": ("a: [" + "&a x," * 200_000 + "x]", "the file has more than 50,000 values"),
    "long key": ("? " + "x" * 100_000 + "\n: 1\n", "missing required setting 'version'"),
    "many faults": ("version: 1\nmirrors: [" + "{x: 1}," * 1500 + "]\n", "missing required settings"),
}


@pytest.mark.row("DOS-12")
@pytest.mark.parametrize(("text", "expected"), YAML_BOMBS.values(), ids=YAML_BOMBS)
def test_yaml_bombs_are_errors_at_once(text, expected, tmp_path):
    """Expanding, nested or endless input is refused quickly."""
    began = time.process_time()

    found = faults_of(tmp_path, text)

    assert any(expected in fault for fault in found)
    assert time.process_time() - began < 3
    assert all(len(fault) < 1000 for fault in found)
