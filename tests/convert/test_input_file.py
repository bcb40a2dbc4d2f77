"""Reading other tools' YAML, which is laxer than ours."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgsync.config.yaml_nodes import YamlLimits
from imgsync.config.yaml_reader import parse_documents
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.convert_files import convert_files
from imgsync.convert.format_yaml import format_mirror_files
from imgsync.errors import ConfigError, ImgsyncError

MERGED = """\
x-base: &base
  type: repository
  tags: &tags
    allow:
      - 3
      - 1.10
      - on
      - 2024-01-01
sync:
  - <<: *base
    source: a.io/b
    target: d.io/b
  - source: a.io/c
    target: d.io/c
    type: repository
    tags: *tags
"""


def test_tags_are_read_as_written(tmp_path):
    """Numbers, booleans, dates; also through an alias and a merge key."""
    file = tmp_path / "peer.yml"
    file.write_text(MERGED, encoding="utf-8")

    mirrors = convert_files([str(file)]).mirrors

    assert [mirror.tags.names for mirror in mirrors] == [("3", "1.10", "on", "2024-01-01")]
    assert mirrors[0].source.repositories == ("b", "c")


def test_remark_on_a_merged_part_names_the_line_where_it_was_written(tmp_path):
    """The line of the part, not of the merge."""
    file = tmp_path / "peer.yml"
    file.write_text(
        MERGED.replace("    allow:\n", "    semverRange: ['1.x']\n    allow:\n") + "  - {source: a.io/d, target: d.io/d, type: image}\n", encoding="utf-8"
    )

    lines = [remark.line for remark in convert_files([str(file)]).remarks if remark.lost]

    assert lines == [4, 4]


@pytest.mark.parametrize("text", ['{\n\t"images": {\n\t\t"a.io/b:1":\t"d.io/b"\n\t}\n}\n', '\ufeff{"images": {"a.io/b:1": "d.io\\/b"}}'])
def test_json_is_read_with_its_tabs_and_escapes(text, tmp_path):
    """YAML forbids tabs."""
    file = tmp_path / "peer.json"
    file.write_text(text, encoding="utf-8")

    found = convert_files([str(file)]).mirrors

    assert [str(mirror.destinations[0].registry) for mirror in found] == ["d.io"]


def test_many_rules_for_one_repository_are_named_fast(tmp_path):
    """Names are numbered without searching."""
    file = tmp_path / "peer.yml"
    file.write_text(
        "images:\n" + "".join(f"  a.io/b:{number}: d.io/b:x{number}y\n  a.io/b:v{number}: d.io/b:{number + 5}\n" for number in range(1999)), encoding="utf-8"
    )

    names = [mirror.name for mirror in convert_files([str(file)]).mirrors]

    assert len(set(names)) == 2000
    assert names[-1] == "b-2000"


def test_similar_rules_become_one_mirror(tmp_path):
    """Rules that differ in tags alone; renamed tags stay separate."""
    file = tmp_path / "peer.yml"
    rules = ["a.io/x/b:1: d.io/y/b", "a.io/x/b: d.io/y/b", "a.io/x/b:2: d.io/y/b", "a.io/x/b:3: d.io/y/b:three", "a.io/x/c:1,2: d.io/y/c"]
    file.write_text("images:\n" + "".join(f"  {rule}\n" for rule in rules), encoding="utf-8")

    mirrors = convert_files([str(file)]).mirrors

    assert [(mirror.source.repositories, mirror.tags.names) for mirror in mirrors] == [(("x/b", "x/c"), ("1", "2")), (("x/b",), ()), (("x/b",), ("3",))]


DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"sync: [{{source: 'a.io/b:1@{DIGEST}', target: 'd.io/b:2', type: image}}]", (f"2@{DIGEST}",)),
        (f"sync: [{{source: 'a.io/b@{DIGEST}', target: 'd.io/b', type: image}}]", (f"latest@{DIGEST}",)),
        (f"images: {{'a.io/b@{DIGEST}': 'd.io/b:3'}}", (f"3@{DIGEST}",)),
        (f"tasks: [{{name: t, source: {{registry: a.io}}, target: {{registry: d.io}}, mappings: [{{from: b, tags: ['4@{DIGEST}']}}]}}]", (f"4@{DIGEST}",)),
    ],
)
def test_digests_are_pinned_to_the_tag_that_is_pushed(text, expected, tmp_path):
    """The destination's tag, as the file names it."""
    file = tmp_path / "peer.yml"
    file.write_text(text, encoding="utf-8")

    [mirror] = convert_files([str(file)]).mirrors

    assert mirror.tags.names == expected
    assert mirror.destinations[0].tag == "{tag}"


def test_copies_of_one_image_become_one_mirror(tmp_path):
    """Several destinations, and renamed tags with one prefix."""
    steps = [
        f"{{source: 'a.io/b:{tag}', target: '{target}/b:{prefix}{tag}', type: image}}"
        for target, prefix in (("d.io", ""), ("e.io/m", ""), ("f.io", "stable-"))
        for tag in ("1.0", "1.1")
    ]
    file = tmp_path / "peer.yml"
    file.write_text(f"sync: [{', '.join(steps)}]", encoding="utf-8")

    [mirror] = convert_files([str(file)]).mirrors

    assert mirror.tags.names == ("1.0", "1.1")
    assert [(one.registry, one.namespace, one.tag) for one in mirror.destinations] == [
        ("d.io", "", "{tag}"),
        ("e.io", "m", "{tag}"),
        ("f.io", "", "stable-{tag}"),
    ]


def test_thousands_of_entries_become_several_files(tmp_path, monkeypatch):
    """Each within the limits of a file, and the whole valid."""
    limits = YamlLimits(size_bytes=100_000, values=2000)
    monkeypatch.setattr("imgsync.convert.format_yaml._LIMITS", limits)
    file = tmp_path / "peer.yml"
    file.write_text("sync:\n" + "".join(f"- {{source: 'a.io/b{n}:{n}', target: 'd.io/x{n}:y', type: image}}\n" for n in range(500)), encoding="utf-8")

    files = format_mirror_files(convert_files([str(file)]))

    assert list(files)[:3] == ["regsync.yaml", "regsync-2.yaml", "regsync-3.yaml"]
    assert sum(text.count("- name: ") for text in files.values()) == 500
    assert [parse_documents(text.encode(), file=name, limits=limits)[1] for name, text in files.items()] == [[]] * len(files)


def test_large_files_of_other_tools_are_read(tmp_path):
    """Beyond the limits of imgsync's own files, up to 500,000 values."""
    file = tmp_path / "peer.yml"
    text = "sync:\n" + "".join(f"- source: a.io/b:{n}\n  target: d.io/b:{n}\n  type: image\n" for n in range(6000))
    file.write_text(text, encoding="utf-8")

    mirrors = convert_files([str(file)]).mirrors
    file.write_bytes(b"#" * (9 << 20))

    assert [len(mirror.tags.names) for mirror in mirrors] == [2000, 2000, 2000]
    with pytest.raises(ConfigError, match="larger than 8 MiB"):
        convert_files([str(file)])


EXAMPLES = sorted(path for path in (Path(__file__).parent / "examples").iterdir() if "." not in path.stem)
JUNK = [
    None,
    [],
    {},
    "",
    0,
    3.5,
    True,
    "a b",
    "*",
    "(",
    "^*$",
    "a@b",
    ["x", None, {}],
    {"a": {"b": [1]}},
    "$",
    "{{",
    ":/",
    ",",
    "/",
    "regex:(",
    "keep: latest 99999999999",
    "semver: >",
    "\u202e",
]


def _parts(value, path=()):
    yield path
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _parts(part, (*path, key))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(EXAMPLES), st.integers(min_value=0), st.sampled_from(JUNK))
def test_any_input_gives_mirrors_or_errors(tmp_path, example, number, junk):
    """Never a traceback."""
    document = yaml.safe_load(example.read_text(encoding="utf-8").replace("\t", " "))
    paths = list(_parts(document))[1:]
    *above, last = paths[number % len(paths)]
    place = document
    for key in above:
        place = place[key]
    place[last] = copy.deepcopy(junk)
    file = tmp_path / "peer.yml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")

    try:
        done = bool(convert_files([str(file)], options=ConvertOptions("d.io" if "skopeo" in example.name else "", variables={"HARBOR": "h.io"})).mirrors)
    except ImgsyncError as error:
        done = error.exit_code == 3
    assert done
