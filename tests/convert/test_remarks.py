"""Remarks of `convert` on stderr, and the count of losses."""

from __future__ import annotations

import base64
import re

import pytest

from imgsync.cli import run
from imgsync.cli.commands import convert
from imgsync.convert.formats import NAMES
from tests.support.canary import secrets_in
from tests.support.run_imgsync import Result

REGSYNC = "version: 1\nsync:\n  - source: alpine\n    target: registry.internal/alpine\n    type: repository\n"
DREGSY = "tasks:\n  - name: a\n    source: {registry: a.io}\n    target: {registry: b.io}\n    mappings:\n      - {from: x/y, platform: all}\n"

# A file, and for each line that is not carried over a part of what is said of it.
LOST = {
    "a backup": (REGSYNC + "    backup: old\n", {6: "does not back up"}),
    "hooks": (REGSYNC + "    hooks: {pre: {type: script, params: [x]}}\n", {6: "does not run hooks"}),
    "a range that regsync refuses": (
        REGSYNC + "    tags:\n      semverRange:\n        - '>=1.0 || 2.x'\n        - '>=2.0.0'\n",
        {8: "regsync refuses the range '>=1.0 || 2.x'; its tags are skipped"},
    ),
    "a range of four numbers": (
        REGSYNC + "    tags: {semverRange: ['>=1.0.0.1']}\n  - {source: b, target: c.io/b, type: image}\n",
        {6: "more than three parts"},
    ),
    "a range of four numbers, besides another": (
        REGSYNC + "    tags:\n      semverRange:\n        - '>=1.0.0.1'\n        - '>=2.0.0'\n",
        {8: "more than three parts"},
    ),
    "a template with a condition": (REGSYNC + "  - source: b\n    target: 'c.io/{{if true}}b{{end}}'\n    type: image\n", {7: "the step is skipped"}),
    "the content of a file": (REGSYNC + "  - source: b\n    target: '{{ file \"x\" }}/b'\n    type: image\n", {7: "'file' is not supported"}),
    "a directory": (REGSYNC + "  - source: b\n    target: ocidir://b\n    type: image\n", {7: "only between registries"}),
    "annotations of referrers": (REGSYNC + "    referrers: true\n    referrerFilters:\n      - annotations: {a: b}\n", {8: "only by artifact type"}),
    "another host": ("creds:\n  - registry: a.io\n    hostname: b.io\n" + REGSYNC.replace("version: 1\n", ""), {3: "under its own name"}),
    "a certificate as text": ("creds:\n  - registry: a.io\n    regcert: |\n      PEM\n" + REGSYNC.replace("version: 1\n", ""), {3: "from files"}),
    "a digest": (
        REGSYNC + f"  - source: b\n    target: c.io/b@sha256:{'0' * 64}\n    type: image\n",
        {7: "pushes no image without a tag"},
    ),
    "logins for two namespaces": (
        "auth:\n  a.io/b: {username: u, password: p}\n  a.io/c: {username: v, password: p}\nimages:\n  a.io/b/c: d.io/b/c\n",
        {2: "login for a.io/b: imgsync has one login per registry in registries.yaml, and none of them is used", 3: "login for a.io/c"},
    ),
    "a login for a namespace beside that of the registry": (
        "creds:\n  - {registry: a.io/b, user: u, pass: p}\n  - {registry: a.io, user: v, pass: p}\n" + REGSYNC.replace("version: 1\n", ""),
        {2: "the one for the whole registry is used"},
    ),
    "tags without counterpart": ("images:\n  a.io/b: d.io/b\n  a.io/c:1,2: d.io/c:1\n", {3: "different numbers of tags"}),
    "two logins for one registry": (
        DREGSY.replace("a.io}", "a.io, auth: b25lOmE=}").replace("registry: b.io}", "registry: a.io, auth: dHdvOmI=}"),
        {4: "second login for the same registry"},
    ),
    "a move of paths that cannot be said": (
        DREGSY.replace("from: x/y", "from: 'regex:x/.*', to: 'regex:x/y(.*),z/$1'") + "      - {from: x/z}\n",
        {6: "path change"},
    ),
}


@pytest.fixture
def ran(tmp_path, monkeypatch, capsys):
    """Run the command line within this process, which is faster."""
    monkeypatch.chdir(tmp_path)
    for variable in ("IMGSYNC_DESTINATION", "IMGSYNC_FROM", "IMGSYNC_OUTPUT", "IMGSYNC_SCOPED", "GITHUB_ACTIONS"):
        monkeypatch.delenv(variable, raising=False)

    def run_here(*arguments: str) -> Result:
        code = run(list(arguments))
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        assert secrets_in(out + err) == []
        return Result(code, out, err)

    return run_here


def _lines(stderr: str) -> dict[int, str]:
    found = re.findall(r"^peer\.yml:(\d+):\d+: not carried over: (.*)$", stderr, re.MULTILINE)
    return {int(line): text for line, text in found}


@pytest.mark.parametrize("case", LOST)
def test_losses_are_remarked_with_their_line(case, ran, lab):
    """The rest is written, and the last line counts."""
    text, expected = LOST[case]
    lab.write("peer.yml", text)

    result = ran("convert", "peer.yml")

    assert result.code == 0, result.stderr
    assert "mirrors:" in result.stdout
    assert re.fullmatch(rf"{len(expected)} lines? not carried over, see above\.", result.stderr.splitlines()[-1])
    lines = _lines(result.stderr)
    assert sorted(lines) == sorted(expected), result.stderr
    assert all(part in lines[line] for line, part in expected.items()), lines


@pytest.mark.parametrize("text", [REGSYNC, REGSYNC + "    interval: 60m\n    fastCheck: true\n", "images:\n  a.io/b: d.io/b\n", DREGSY])
def test_irrelevant_settings_are_not_counted(text, ran, lab):
    """Schedules, and what imgsync does anyway."""
    lab.write("peer.yml", text)

    result = ran("convert", "peer.yml")

    assert result.code == 0, result.stderr
    assert _lines(result.stderr) == {}


# A file that is not understood, and the parts of what is said.
WRONG = {
    "a type of step that is none": (REGSYNC.replace("repository", "repo"), ["peer.yml:5:11: sync[0].type: unknown type 'repo'"]),
    "no target": (REGSYNC.replace("    target: registry.internal/alpine\n", ""), ["peer.yml:3:5: sync[0]: 'target' is required"]),
    "a text for a list": (REGSYNC + "    tags: {allow: latest}\n", ["peer.yml:6:19: sync[0].tags.allow: expected a list"]),
    "no expression": (REGSYNC + "    tags: {allow: ['(']}\n", ["peer.yml:6:20:", "invalid RE2 expression"]),
    "a name that is none": (REGSYNC.replace("source: alpine", "source: Alpine:x:y"), ["peer.yml:3:13: sync[0].source"]),
    "a newer version": (REGSYNC.replace("version: 1", "version: 2"), ["peer.yml:1:10: version"]),
    "a key given twice": (REGSYNC + "    type: image\n", ["peer.yml:6:5: sync[0].type: duplicate key 'type'"]),
    "a list": ("- a\n", ["unknown format"]),
    "a variable that is not set": (
        REGSYNC + "  - source: b\n    target: '{{env \"NOT_SET_HERE\"}}/b'\n    type: image\n",
        ["peer.yml:7:13: sync[1].target: the variable NOT_SET_HERE is not set", "pass --set NOT_SET_HERE=VALUE"],
    ),
    "a variable of image-syncer that is not set": ("images:\n  a.io/c: $NOT_SET_HERE/c\n", ["the variable NOT_SET_HERE is not set"]),
    "a platform that imgsync does not know": (
        REGSYNC + "    platform: windows/amd64,osver=10\n",
        ["peer.yml:6:15: sync[0].platform: imgsync does not know the platform"],
    ),
    "images skipped by media type": (
        REGSYNC + "    mediaTypes: [application/vnd.oci.image.index.v1+json]\n",
        ["peer.yml:6:17: sync[0].mediaTypes: imgsync does not skip images by media type"],
    ),
    "a denial that is no expression": (REGSYNC + "    tags: {deny: ['(?=a)']}\n", ["peer.yml:6:19:", "invalid RE2 expression"]),
    "a count over exact versions": (
        DREGSY.replace("platform: all", "platform: all, tags: ['1.0.0', 'semver: >=2.0.0', 'keep: latest 2']"),
        ["peer.yml:6:", "counts exact tags"],
    ),
    "a count over several filters": (
        DREGSY.replace("platform: all", "platform: all, tags: ['regex: a.*', 'semver: >=2.0.0', 'semver: <1.0.0', 'keep: latest 2']"),
        ["cannot count the latest over several filters"],
    ),
    "more expressions than can be required": (
        DREGSY.replace("platform: all", "platform: all, tags: ['regex: a+', 'keep: b+', 'keep: c+']"),
        ["imgsync cannot require that many expressions at once"],
    ),
    "nothing": ("", ["the file is empty"]),
    "broken YAML": ("a: [\n", ["invalid YAML"]),
    "nothing known": ("a: {b: c}\n", ["unknown format; known formats: regsync, skopeo-sync, image-syncer, dregsy, harbor", "--from"]),
    "nothing left": (REGSYNC.replace("registry.internal/alpine", "ocidir://x"), ["nothing in this file can be converted", "only between registries"]),
    "two sources for one image": (
        "images:\n  a.io/b:1: d.io/b\n  a.io/c:1: d.io/b\n",
        ["peer.yml:3:1:", "a.io/c:1 would be written to d.io/b:1, and so would a.io/b:1 (peer.yml:2)", "imgsync cannot express this"],
    ),
    "one image with two platforms": (
        REGSYNC.replace("repository", "image") + "    platform: linux/amd64\n  - {source: alpine, target: registry.internal/alpine, type: image}\n",
        ["peer.yml:7:1:", "and so would docker.io/library/alpine:latest with other platforms (peer.yml:3)"],
    ),
    "logins alone": ("a.io: {username: b, password: c}\n", ["logins but no images", "convert auth.yaml images.yaml"]),
}


@pytest.mark.row("CFG-12")
@pytest.mark.parametrize("case", WRONG)
def test_unknown_settings_are_errors_without_output(case, ran, lab):
    """Each with its place, exit 3."""
    text, expected = WRONG[case]
    lab.write("peer.yml", text)

    result = ran("convert", "peer.yml", "--output", "out", *(["--destination", "d.io"] if "skopeo" in case else []))

    assert result.code == 3, result.stderr
    assert result.stdout == ""
    assert all(part in result.stderr for part in expected), result.stderr
    assert not (lab.folder / "out").exists()


# A file with a key that its tool ignores, and what is said of it.
UNKNOWN = {
    "regsync's": (REGSYNC + "    tag: {allow: [a]}\n", ["peer.yml:6:5: sync[0].tag: unknown key, which regsync ignores (did you mean 'tags'?)"]),
    "at the top": (REGSYNC + "default: {}\nx-base: {}\n", ["peer.yml:6:1: default: unknown key, which regsync ignores (did you mean 'defaults'?)"]),
    "skopeo's": (
        "a.io:\n  images: {b: []}\n  tls-verfy: false\n  updated: 2024-06-17T10:53:16Z\n",
        ["peer.yml:3:3:", "did you mean 'tls-verify'?", "peer.yml:4:3:"],
    ),
    "dregsy's": (DREGSY.replace("from:", "form: a, from:"), ["peer.yml:6:10: tasks[0].mappings[0].form: unknown key", "did you mean 'from'?"]),
    "image-syncer's": ("auth:\n  a.io: {user: b}\nimages:\n  a.io/b: d.io/b\nispublic: false\n", ["peer.yml:2:10:", "did you mean 'username'?", "ispublic"]),
    "of a second document": (REGSYNC + "---\na: b\n", ["peer.yml:7:1: not carried over: only the first document of a file is read"]),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_keys_that_the_other_tool_ignores_are_remarked(case, ran, lab):
    """The tool itself passes over them, so the meaning stays."""
    text, expected = UNKNOWN[case]
    lab.write("peer.yml", text)

    result = ran("convert", "peer.yml", *(["--destination", "d.io"] if "skopeo" in case else []))

    assert result.code == 0, result.stderr
    assert "mirrors:" in result.stdout
    assert all(part in result.stderr for part in expected), result.stderr
    assert "x-base" not in result.stderr


def test_equal_remarks_are_shown_once(ran, lab):
    """With the first lines, and the number of the others."""
    lab.write("peer.yml", "sync:\n" + "".join(f"  - {{source: a.io/b{number}, target: d.io/b{number}, type: image, backup: x}}\n" for number in range(9)))

    result = ran("convert", "peer.yml")

    [line] = [line for line in result.stderr.splitlines() if "does not back up" in line]
    assert line.startswith("peer.yml:2:")
    assert line.endswith(" [also in lines 3, 4, 5, 6, 7 and 3 more]")
    assert result.stderr.splitlines()[-1] == "9 lines not carried over, see above."


def test_invalid_file_prints_nothing(ran, lab):
    """Without --output too."""
    lab.write("peer.yml", REGSYNC + "    tags: []\n    platform: {}\n")

    result = ran("convert", "peer.yml")

    assert (result.code, result.stdout) == (3, "")


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\x00", b"a: &a {<<: *a}\nsync: []\n", b"[" * 5000, b"sync: [" + b"{a: b}," * 10 + b"]"])
def test_hostile_files_are_errors(data, ran, tmp_path):
    """Binary data, endless merges, deep nesting: never a traceback."""
    (tmp_path / "peer.yml").write_bytes(data)

    result = ran("convert", "peer.yml")

    assert result.code == 3
    assert result.stdout == ""


def test_all_errors_are_shown_at_once(ran, lab):
    """Two mistakes, two lines."""
    lab.write("peer.yml", REGSYNC + "    tags: {allow: a}\n    platforms: linux/amd64\n")

    result = ran("convert", "peer.yml")

    assert "peer.yml:6:19: sync[0].tags.allow: expected a list" in result.stderr
    assert "peer.yml:7:16: sync[0].platforms: expected a list" in result.stderr


def test_missing_input_file_is_an_error(ran):
    """Exit 3."""
    result = ran("convert", "nowhere.yml")

    assert result.code == 3
    assert "nowhere.yml" in result.stderr


@pytest.mark.parametrize("existing", ["out/mirrors.d/regsync.yaml", "out/registries.yaml"])
def test_existing_files_are_never_overwritten(existing, ran, lab):
    """One existing file stops both."""
    lab.write("peer.yml", "creds: [{registry: a.io, tls: disabled}]\n" + REGSYNC.replace("version: 1\n", ""))
    lab.write(existing, "mine\n")

    result = ran("convert", "peer.yml", "--output", "out")

    assert result.code == 3
    assert existing in result.stderr
    assert [path.read_text() for path in (lab.folder / "out").rglob("*") if path.is_file()] == ["mine\n"]


def test_impossible_output_folder_is_an_error(ran, lab):
    """If a file is in its place."""
    lab.write("peer.yml", REGSYNC)
    lab.write("out", "a file\n")

    result = ran("convert", "peer.yml", "--output", "out")

    assert result.code == 3
    assert "cannot be written" in result.stderr


def test_skopeo_needs_a_destination(ran, lab):
    """A placeholder with a remark, unless the option gives it."""
    lab.write("peer.yml", "a.io:\n  images: {b: []}\n")
    lab.write("other.yml", REGSYNC)

    unsaid = ran("convert", "peer.yml")
    assert unsaid.code == 0
    assert "registry: registry.invalid" in unsaid.stdout
    assert "not carried over: the file does not contain the destination" in unsaid.stderr
    assert "--destination" in unsaid.stderr
    assert "registry.invalid" not in ran("convert", "peer.yml", "--destination", "b.io").stdout
    assert "invalid namespace 'A'" in ran("convert", "peer.yml", "--destination", "b.io/A").stderr
    assert ran("convert", "other.yml", "--destination", "b.io").code == 3


def test_option_lists_every_format():
    """Without importing the converters."""
    assert convert._FORMATS == NAMES


def test_format_can_be_forced(ran, lab):
    """By --from."""
    lab.write("peer.yml", DREGSY)

    result = ran("convert", "peer.yml", "--from", "regsync")

    assert result.code == 3
    assert "'sync' is required" in result.stderr


def test_several_files_of_one_format_become_one_result(ran, lab):
    """Names stay unique, also beside files that exist already."""
    for number in range(3):
        lab.write(f"{number}.yml", REGSYNC.replace("alpine\n    type", f"alpine{number}\n    type") + "    tags: {allow: ['[0-9]+']}\n")
    lab.write("other.yml", DREGSY)
    lab.write("out/mirrors.d/mine.yaml", "version: 1\nmirrors: [{name: alpine, source: a.io/b, destinations: [d.io/c]}]\n")

    result = ran("convert", "0.yml", "1.yml", "2.yml", "--output", "out")
    checked = ran("validate", "out/mirrors.d")

    assert result.code == 0, result.stderr
    assert checked.code == 0, checked.stderr
    text = (lab.folder / "out" / "mirrors.d" / "regsync.yaml").read_text()
    assert re.findall("name: (.*)", text) == ["alpine-2"]
    assert text.count("registry: registry.internal") == 3
    assert "different formats" in ran("convert", "0.yml", "other.yml").stderr


def test_file_is_read_from_stdin(lab):
    """As `-`."""
    result = lab.run("convert", "-", input=REGSYNC)

    assert result.code == 0, result.stderr
    assert "registry.internal" in result.stdout


@pytest.mark.parametrize("given", [("--set", "MY_REGISTRY=set.internal"), ()])
def test_variables_come_from_options_and_environment(given, ran, lab, monkeypatch):
    """An option comes first."""
    monkeypatch.setenv("MY_REGISTRY", "env.internal")
    part = '{{ index (split .Sync.Source "/") 1 | upper | lower }}{{ default "/z" (env "NOT_SET") }}'
    step = f"  - source: b.io/x/y\n    target: '{{{{ env \"MY_REGISTRY\" }}}}/{part}'\n    type: image\n"
    lab.write("peer.yml", "creds: [{registry: '{{env \"MY_REGISTRY\"}}', tls: disabled}]\nsync:\n" + step)
    lab.write("other.yml", "images:\n  a.io/b: ${MY_REGISTRY}/c\n")

    result, other = ran("convert", "peer.yml", *given), ran("convert", "other.yml", *given)

    host = "set.internal" if given else "env.internal"
    assert result.code == 0, result.stderr
    assert f"registry: {host}" in result.stdout
    assert "namespace: x" in result.stdout
    assert "repository: z" in result.stdout
    assert f"{host}:\n    tls: false" in result.stderr
    assert f"registry: {host}" in other.stdout
    assert ran("convert", "peer.yml", "--set", "MY_REGISTRY").code == 3


LOGINS = {
    "regsync": "creds:\n  - {registry: a.io, user: user-SECRET, pass: word-SECRET}\n" + REGSYNC.replace("version: 1\n", ""),
    "regsync, half a template": "creds:\n  - {registry: a.io, user: u, pass: 'word-SECRET{{env \"X\"}}'}\n" + REGSYNC.replace("version: 1\n", ""),
    "skopeo": "a.io:\n  images: {b: []}\n  credentials: {username: user-SECRET, password: word-SECRET}\n",
    "image-syncer": "auth:\n  a.io: {username: user-SECRET, password: word-SECRET}\nimages:\n  a.io/b: d.io/b\n",
    "dregsy": DREGSY.replace("a.io}", f"a.io, auth: {base64.b64encode(b'user-SECRET:word-SECRET').decode()}}}"),
}


URLS = {
    "a registry": DREGSY.replace("a.io}", "'https://user-SECRET:word-SECRET@a.io'}"),
    "a source": REGSYNC.replace("source: alpine", "source: user:word-SECRET@a.io/b"),
    "a login": "creds:\n  - registry: 'http://user:word-SECRET@a.io'\n" + REGSYNC.replace("version: 1\n", ""),
}


@pytest.mark.parametrize("case", URLS)
def test_password_in_a_url_is_refused_and_not_shown(case, ran, lab):
    """The fixture searches the output for secrets."""
    lab.write("peer.yml", URLS[case])

    result = ran("convert", "peer.yml")

    assert result.code == 3
    assert "the name has a user before the registry" in result.stderr


@pytest.mark.row("CFG-12")
@pytest.mark.parametrize("case", LOGINS)
def test_credentials_become_variables(case, ran, lab):
    """They are shown nowhere, also after an error elsewhere."""
    options = ["--destination", "d.io"] if case == "skopeo" else []
    encoded = base64.b64encode(b"user-SECRET:word-SECRET").decode()
    lab.write("peer.yml", LOGINS[case])
    lab.write(
        "faulty.yml",
        LOGINS[case].replace("a.io/b", "A B").replace("alpine\n    target", "A B\n    target").replace("b: []", "'B b': []").replace("x/y", "'X y'"),
    )

    result = ran("convert", "peer.yml", *options, "--output", "out")
    faulty = ran("convert", "faulty.yml", *options)

    registry_settings = (lab.folder / "out" / "registries.yaml").read_text()
    assert "${A_IO_USERNAME}" in registry_settings
    assert "${A_IO_PASSWORD}" in registry_settings
    assert faulty.code == 3
    everything = result.stdout + result.stderr + registry_settings + faulty.stdout + faulty.stderr
    assert secrets_in(everything) == []
    assert encoded not in everything
