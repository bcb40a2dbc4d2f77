"""Configuration: what a pull request may say is data, and what the operator keeps secret shows nowhere."""

from __future__ import annotations

import copy
import json
import marshal
import os
import pickle
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click
import pytest
import yaml

from imgsync.cli import cli
from imgsync.config import schema_check
from imgsync.config.load import load_config
from imgsync.config.model import Login, RegistrySettings, Secret
from imgsync.config.yaml_reader import read_documents
from imgsync.errors import ConfigError
from imgsync.oci.spec.reference import is_tag
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_line, sanitize_message
from tests import switches
from tests.support.canary import secrets_in
from tests.support.effort import NIGHTLY
from tests.support.faults import FaultProxy
from tests.support.images import image, push
from tests.support.run_imgsync import Workplace
from tests.switches.output import EchoAcross
from tests.text.test_redaction import AWKWARD

# What YAML 1.1 takes for something else than text, and tags that really exist look like.
TRAPS = [
    *("1.10", "010", "0x1F", "1_000", "1:30", "1e3", ".5", "on", "off", "yes", "no", "y", "true", "null", "~", ".inf", "+12"),
    *("2024-01-01", "2001-12-14t21:59:43.10-05:00"),
]


def faults_of(folder: Path, text: str, *, trust: str = "version: 1\n", environ: dict[str, str] | None = None) -> list[str]:
    """The faults of one declaration, as users see them."""
    (folder / "a.yaml").write_text(text)
    (folder / "trust").write_text(trust)
    try:
        load_config([str(folder / "a.yaml")], registries=str(folder / "trust"), environ=environ or {})
    except ConfigError as error:
        return [str(fault).replace(f"{folder}/", "") for fault in error.errors]
    return []


def mirror(settings: str = "", *, source: str = "s.io/x", destination: str = "r.io/m", before: str = "") -> str:
    return f"version: 1\n{before}mirrors:\n  - name: a\n    source: {source}\n    destinations: [{destination}]\n    {settings}\n"


@pytest.mark.row("CFG-01")
@pytest.mark.parametrize("text", TRAPS)
def test_a_tag_is_what_was_written_or_a_fault(text, tmp_path):
    """In quotes it is exactly that tag; without, where YAML means something else by it, a fault shows what was written; never another tag."""
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
        assert text in faults[0] or "nothing" in faults[0]
        assert "a.yaml:6:20: mirrors[0].tags.names[0]: " in faults[0]


@pytest.mark.row("CFG-01")
def test_tags_that_look_like_numbers_are_mirrored_verbatim(registry, second_registry, name, declare, imgsync):
    """`1.10`, `010`, `1_000` arrive under exactly these names, as the listing or the declaration has them."""
    tags = ["1.10", "010", "1_000", "on", "null", "1e3"]
    for tag in tags:
        push(registry, f"{name}/app", tag, image(name))
    declare(f"[{name}/app]", "tags: {names: ['1.10', '010'], regex: ['.*']}")

    assert imgsync("apply").code == 0
    assert sorted(second_registry.tags(f"m/{name}/app")) == sorted(tags)


@pytest.mark.row("CFG-02")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (mirror("suspend: true\n    suspend: false"), "a.yaml:7:5: mirrors[0].suspend: 'suspend' is given twice (first at line 6, column 5; keep one)"),
        ("version: 1\nmirrors: []\nmirrors: []\n", "a.yaml:3:1: mirrors: 'mirrors' is given twice (first at line 2, column 1; keep one)"),
        (mirror("'suspend': true\n    suspend: false"), "'suspend' is given twice (first at line 6, column 5; keep one)"),
        (mirror('"sus\\x70end": true\n    suspend: false'), "'suspend' is given twice (first at line 6, column 5; keep one)"),
        (mirror("tags: {newest: 1, newest: 2}"), "mirrors[0].tags.newest: 'newest' is given twice (first at line 6, column 12; keep one)"),
        (mirror(before="on: 1\ntrue: 2\n"), "a.yaml:2:1: on: unknown setting"),
    ],
)
def test_a_key_given_twice_is_a_fault_with_both_places(text, expected, tmp_path):
    """However it is written; and `on` and `true` are two keys, neither of which is known."""
    assert any(expected in fault for fault in faults_of(tmp_path, text)), faults_of(tmp_path, text)


@pytest.mark.row("CFG-02")
def test_a_registry_is_trusted_in_one_way(tmp_path):
    """Two entries of one registry in registries.yaml are a fault too, also when they are written differently."""
    text = "version: 1\nregistries:\n  r.io: {tls: true}\n  r.io: {tls: false}\n"
    assert "'r.io' is given twice" in faults_of(tmp_path, mirror(), trust=text)[0]
    text = "version: 1\nregistries:\n  R.io: {credentials: {username: u, password: p}}\n  r.io: {tls: false}\n"
    assert faults_of(tmp_path, mirror(), trust=text) != []


@pytest.mark.row("CFG-03", "GIT-02")
@pytest.mark.parametrize(
    "value",
    ["!!python/object/apply:os.system [id]", "!!python/name:os.system a", "!!python/module:os", "!include /etc/passwd", "!ENV x", "!!binary eA==", "!!set {a}"],
)
@pytest.mark.parametrize("file", ["mirrors", "registries"])
def test_a_language_tag_is_one_fault(value, file, tmp_path):
    """Nothing is constructed, in neither kind of file; the fault says where, and to write the value without it."""
    text = f"version: 1\nx: {value}\n"
    faults = faults_of(tmp_path, mirror() if file == "registries" else text, trust=text if file == "registries" else "version: 1\n")

    assert len(faults) == 1
    assert "is not allowed (write the value without a tag)" in faults[0]
    assert ":2:4: " in faults[0]


@pytest.mark.row("CFG-03")
def test_several_documents_are_one_configuration_and_one_trust(tmp_path):
    """mirrors.d takes several in a file, and every fault in them; registries.yaml is one document."""
    found = faults_of(tmp_path, f"{mirror('a: 1')}---\n{mirror('b: 2')}", trust="version: 1\n---\nversion: 1\n")

    assert [fault.split(": ")[1] for fault in found if "unknown" in fault] == ["mirrors[0].a", "mirrors[0].b"]
    assert any("only one document is allowed here" in fault for fault in found)


def every_text(schema: dict[str, object], part: dict[str, object], *, within: str = "") -> list[str]:
    """Every place of the schema where a text may stand, as paths."""
    if "$ref" in part:
        return every_text(schema, schema["$defs"][part["$ref"].rpartition("/")[2]], within=within)  # type: ignore[index,union-attr]
    found = [within] if part.get("type") == "string" else []
    for branch in part.get("anyOf", ()):  # type: ignore[union-attr]
        found += every_text(schema, branch, within=within)
    for key, value in dict(part.get("properties", {})).items():  # type: ignore[call-overload]
        found += every_text(schema, value, within=f"{within}.{key}".lstrip("."))
    if "items" in part:
        found += every_text(schema, part["items"], within=f"{within}[0]")  # type: ignore[arg-type]
    return sorted(set(found))


SCHEMA = json.loads(schema_check.schema_text("mirror"))
TEXTS = every_text(SCHEMA, SCHEMA)


def put(path: str, value: object) -> dict[str, object]:
    """A declaration that has *value* at *path*, and is whole otherwise."""
    document: dict[str, object] = {"version": 1, "mirrors": [{"name": "a", "source": "s.io/x", "destinations": ["r.io/m"]}]}
    parts = [part for text in path.replace("[0]", ".0").split(".") for part in [int(text) if text.isdigit() else text]]
    here: object = document
    for part, after in zip(parts, [*parts[1:], None], strict=True):
        empty: object = value if after is None else [None] if isinstance(after, int) else {}
        old = here[part] if isinstance(part, int) or part in here else None  # type: ignore[index,operator]
        if not isinstance(old, type(empty)) or after is None:
            here[part] = empty  # type: ignore[index]
        here = here[part]  # type: ignore[index]
    return document


@pytest.mark.row("CFG-04", "GIT-02")
@pytest.mark.parametrize("path", TEXTS)
def test_no_text_of_mirrors_d_reads_the_environment(path, tmp_path):
    """`${CANARY}` in any field is a fault that shows it as it is written; its value appears nowhere."""
    faults = faults_of(tmp_path, json.dumps(put(path, "${CANARY}")), environ={"CANARY": "canary-SECRET"})

    assert any("variables are not read in mirrors.d (put what varies, such as credentials, in registries.yaml)" in fault for fault in faults), faults
    assert secrets_in(" ".join(faults)) == []


_ODD = ["1s\n", "linux/amd64\n", "\x00", "9" * 30, None, 10**30, [[]]]
_ODDER = ["a\n", "", " ", "\uff11s", "{", "[", "(?P<a>", "a" * 5000, ">=1\n", "v*\n", True, -1, 1.5, [], {}, [None], {"a": 1}]
_NUMBERS = ["mirrors[0].tags.newest", "mirrors[0].prune.at_most", "mirrors[0].concurrency.images", "version", "mirrors", "defaults"]


@pytest.mark.row("CFG-03")
@pytest.mark.nightly
@pytest.mark.parametrize("path", [path for path in TEXTS if path.startswith("mirrors") or NIGHTLY] + _NUMBERS)
def test_no_value_anywhere_is_more_than_a_fault(path, tmp_path):
    """Whatever stands at a place of a declaration, it is taken or there is a fault in words; nobody can cause a traceback."""
    for odd in (*_ODD, *(_ODDER if NIGHTLY else ())):
        faults = faults_of(tmp_path, json.dumps(put(path, odd)))
        if path.endswith((".name", "platforms[0]", "interval")) and isinstance(odd, str) and odd.endswith("\n"):
            assert faults != [], "a line's end is a part of a text"


@pytest.mark.row("CFG-03")
@pytest.mark.parametrize("name", ["\x00", "a" * 5000, "/no/such/file"])
@pytest.mark.parametrize("setting", ["tls: {ca: NAME}", "tls: {cert: NAME}", "credentials: {username: u, password: {file: NAME}}"])
def test_a_file_that_cannot_be_is_a_fault(setting, name, tmp_path):
    """In registries.yaml too."""
    faults = faults_of(tmp_path, mirror(), trust=f"version: 1\nregistries:\n  r.io: {{{setting.replace('NAME', json.dumps(name))}}}\n")

    assert len(faults) == 1
    assert "there is no such file" in faults[0] or "the password file cannot be read" in faults[0]


@pytest.mark.row("CFG-04", "CFG-10", "GIT-02", "GIT-03")
def test_mirrors_d_says_nothing_but_what_is_wanted():
    """Its schema, whole: no setting that names a program, a path, a variable, an address, a credential or how TLS is spoken, and nothing unknown is let in."""
    names: set[str] = set()

    def look(part: object) -> None:
        if isinstance(part, dict):
            if "properties" in part and part.get("type") == "object":
                assert part["additionalProperties"] is False
            names.update(part.get("properties", ()) if isinstance(part.get("properties"), dict) else ())
            for value in part.values():
                look(value)
        elif isinstance(part, list):
            for value in part:
                look(value)

    look(SCHEMA)
    assert names == {
        *("version", "defaults", "mirrors", "name", "description", "suspend", "source", "registry", "namespaces", "repositories", "exclude", "tags", "names"),
        *("include", "regex", "semver", "extract", "prereleases", "newest", "newest_per", "max_age", "min_age", "age", "except", "at_least", "at_most"),
        *("platforms", "referrers", "destinations", "namespace", "repository", "tag", "immutable", "prune", "protect", "concurrency", "images", "queries"),
        *("blobs", "timeouts", "request", "image", "run", "retry", "attempts", "interval", "login"),
        # Names of what registries.yaml holds, and what to ask for beyond it.
        *("require", "signatures", "keys", "identities", "artifacts", "media_types", "max_size"),
    }


@pytest.mark.row("GIT-02")
@pytest.mark.parametrize(
    "template", ["{path.__class__}", "{path!r}", "{path:>999999999}", "{0}", "{}", "{env}", "{path[0]}", "{{path", "$(id)", "`id`", "{path|sh}"]
)
@pytest.mark.parametrize("setting", ["repository", "tag"])
def test_templates_have_no_functions(template, setting, tmp_path):
    """Fields by name and no more: no attribute, index, conversion, width or expression; what is no field is text, and no reference comes of it."""
    text = json.dumps(declared(destination={"registry": "r.io", setting: template}))

    (fault,) = faults_of(tmp_path, text)

    assert "in a template; it may hold" in fault or "is no template" in fault or "would become" in fault


def declared(source: dict[str, object] | str = "s.io/x", destination: dict[str, object] | str = "r.io/m", **more: object) -> dict[str, object]:
    return {"version": 1, "mirrors": [{"name": "a", "source": source, "tags": {"names": ["1"]}, "destinations": [destination]} | more]}


_OF_SOURCES = {"tls": False, "proxy": "http://p", "ca": "/x", "insecure": True, "token_server": "https://evil.example", "listing": "harbor"}


@pytest.mark.row("CFG-10", "GIT-03")
@pytest.mark.parametrize(
    "document",
    [
        declared() | {"registries": {"r.io": {"tls": False}}},
        declared() | {"allow": {"destinations": ["evil.example"]}},
        declared() | {"defaults": {"tls": False}},
        declared() | {"defaults": {"registries": "/tmp/evil.yaml"}},
        declared(credentials={"username": "a", "password": "b"}),
        *(declared(source={"registry": "s.io", "repositories": ["x"], key: value}) for key, value in _OF_SOURCES.items()),
        *(declared(destination={"registry": "r.io", key: True}) for key in ("create_repositories", "credentials", "tls")),
    ],
    ids=lambda value: json.dumps(value)[-70:],
)
def test_a_declaration_cannot_change_who_is_trusted(document, tmp_path):
    """Whatever of registries.yaml is written into mirrors.d is an unknown setting there."""
    faults = faults_of(tmp_path, json.dumps(document))

    assert len(faults) == 1
    assert "unknown setting" in faults[0]


@pytest.mark.row("CFG-10", "GIT-03")
def test_a_registries_file_among_the_declarations_is_no_trust(workplace, imgsync, source, destination):
    """A pull request that adds `mirrors.d/registries.yaml` adds faults: the trust is where the operator keeps it, and nobody is asked."""
    workplace.mirror("a", source=f"{source}/x", destinations=[f"{destination}/m"])
    workplace.trust_plain(source, destination)
    (workplace.folder / "registries.yaml").rename(workplace.folder / "mirrors.d/registries.yaml")

    ran = imgsync("plan")

    assert ran.code == 3
    assert "mirrors.d/registries.yaml:1:16: registries: unknown setting" in ran.stderr
    assert (source.seen, destination.seen) == ([], [])


@pytest.mark.row("CFG-11", "GIT-03")
@pytest.mark.parametrize("command", ["plan", "apply", "verify"])
def test_what_the_operator_does_not_allow_is_refused_before_anybody_is_asked(command, workplace, imgsync, source, destination):
    """Exit 3, the rule, and whose it is to change; neither registry hears of it."""
    workplace.trust_plain(source, destination)
    trust = json.loads((workplace.folder / "registries.yaml").read_text())
    trust["allow"] = {"sources": [f"{source}/public"], "destinations": [f"{destination}/mirror"]}
    (workplace.folder / "registries.yaml").write_text(json.dumps(trust))
    workplace.mirror("a", source=f"{source}/publicity/x", destinations=[f"{destination}/mirror/prod", f"{destination}/production", "127.0.0.1:9/mirror"])

    ran = imgsync(command)

    assert ran.code == 3
    assert f"a.source: {source}/publicity/x is not allowed by registries.yaml (allowed: {source}/public; the operator of registries.yaml" in ran.stderr
    assert f"a.destinations: {destination}/production is not allowed by registries.yaml (allowed: {destination}/mirror;" in ran.stderr
    assert "127.0.0.1:9/mirror is not allowed" in ran.stderr
    assert "mirror/prod is not allowed" not in ran.stderr
    assert (source.seen, destination.seen, ran.stdout) == ([], [], "")


@pytest.mark.row("CFG-11")
@pytest.mark.parametrize(
    ("destination", "allowed"),
    [
        ({"namespace": "mirror"}, True),
        ({"namespace": "mirror/deep", "repository": "{flat}"}, True),
        ({"repository": "mirror/{name}"}, True),
        ({"repository": "mirror{name}"}, False),
        ({"repository": "{path}"}, False),
        ({"repository": "{parent}/mirror/{name}"}, False),
        ({"namespace": "mirrors"}, False),
        ({"namespace": "mirror", "repository": "../prod/{name}"}, False),
        ({"namespace": "Mirror"}, False),
        ({"registry": "r.io.evil.example", "namespace": "mirror"}, False),
        ({"registry": "R.io", "namespace": "mirror"}, False),
        ({"registry": "r.io:443", "namespace": "mirror"}, False),
    ],
    ids=str,
)
def test_allowed_is_what_a_destination_can_never_leave(destination, allowed, tmp_path):
    """Not the template's words but the part that is the same for every image has to be below an allowed prefix, by whole parts, of exactly that host."""
    text = json.dumps(declared(destination={"registry": "r.io"} | destination))

    faults = faults_of(tmp_path, text, trust="version: 1\nallow: {destinations: [r.io/mirror]}\n")

    assert (faults == []) is allowed, faults


@pytest.mark.row("CFG-07")
@pytest.mark.parametrize(
    ("text", "path", "meant"),
    [
        (mirror("suspnd: true"), "mirrors[0].suspnd", "suspend"),
        (mirror("tags: {newst: 1}"), "mirrors[0].tags.newst", "newest"),
        (mirror("prune: {at_mots: 1}"), "mirrors[0].prune.at_mots", "at_most"),
        (mirror("retry: {atempts: 1}"), "mirrors[0].retry.atempts", "attempts"),
        (mirror(source="{registry: s.io, repositores: [x]}"), "mirrors[0].source.repositores", "repositories"),
        (mirror(destination="{registry: r.io, namspace: x}"), "mirrors[0].destinations[0].namspace", "namespace"),
        (mirror(before="defalts: {}\n"), "defalts", "defaults"),
    ],
)
def test_a_typo_is_a_fault_that_says_what_was_meant(text, path, meant, tmp_path):
    """At every level; nothing is passed over."""
    assert any(f"{path}: unknown setting (did you mean '{meant}'?)" in fault for fault in faults_of(tmp_path, text))


@pytest.mark.row("CFG-06")
def test_a_schema_elsewhere_is_never_fetched(monkeypatch, tmp_path):
    """A `$ref` in a declaration is an unknown setting; one in a schema, which only we ship, asks nobody either."""
    with FaultProxy(None) as elsewhere:
        elsewhere.add(switches.Respond(200, {"type": "object"}))
        url = f"{elsewhere.url}/evil.json"
        faults = faults_of(tmp_path, json.dumps({"$schema": url, "$id": url, "$ref": url, "version": 1, "mirrors": [{"$ref": url}]}))
        assert sum("unknown setting" in fault for fault in faults) == 4

        document = read_documents(b"version: 1\n", file="a.yaml")[0][0]
        monkeypatch.setattr(schema_check, "schema_text", lambda _: json.dumps({"$ref": url}))
        schema_check._validator.cache_clear()
        try:
            with pytest.raises(Exception, match="Unresolvable"):
                schema_check.check_schema(document, "mirror")
        finally:
            schema_check._validator.cache_clear()
        assert elsewhere.seen == []


@pytest.fixture
def links(workplace: Workplace, source: FaultProxy, destination: FaultProxy) -> Path:
    """A folder of declarations, beside it what a pull request would like to read."""
    workplace.trust_plain(source, destination)
    workplace.mirror("a", source=f"{source}/x", destinations=[f"{destination}/m"])
    (workplace.folder / "secret.yaml").write_text("version: canary-SECRET\ncanary-SECRET: 1\n")
    return workplace.folder / "mirrors.d"


@pytest.mark.row("CFG-05", "GIT-02")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("../secret.yaml", "the link leads out of the folder"),
        ("/proc/self/environ", "the link leads out of the folder"),
        ("/proc/self/status", "the link leads out of the folder"),
        ("/dev/zero", "the link leads out of the folder"),
        ("missing.yaml", "this is no regular file"),
        ("evil.yaml", "this is no regular file"),
        ("pipe", "this is no regular file"),
    ],
)
def test_a_link_in_the_declarations_reads_nothing_elsewhere(target, said, links):
    """One that leads out of the folder, to a device, a pipe, to nothing or to itself is a fault; nothing of what it names is read or shown."""
    os.mkfifo(links / "pipe")
    (links / "evil.yaml").symlink_to(target)

    with pytest.raises(ConfigError) as caught:
        load_config([str(links)], registries=None, environ={"CANARY": "canary-SECRET"})

    (fault,) = caught.value.errors
    assert str(fault).startswith(f"{links}/evil.yaml:1:1: {said}")
    assert secrets_in(str(caught.value)) == []


@pytest.mark.row("CFG-05")
def test_a_pipe_that_is_called_a_declaration_does_not_hang(links, imgsync):
    """It is a fault at once, and so is a file without end that the operator names; a link within the folder, as Kubernetes mounts them, is fine."""
    (links / "..data").mkdir()
    (links / "a.yaml").rename(links / "..data/a.yaml")
    (links / "a.yaml").symlink_to("..data/a.yaml")
    assert imgsync("validate").stdout == "1 file, 1 mirror, 1 destination: all good.\n"

    os.mkfifo(links / "b.yaml")
    assert "mirrors.d/b.yaml:1:1: this is no regular file" in imgsync("validate", timeout=20).stderr

    endless = imgsync("validate", "/dev/zero", timeout=20)
    assert (endless.code, "/dev/zero:1:1: the file is larger than 1 MiB" in endless.stderr) == (3, True)
    endless = imgsync("validate", links / "a.yaml", "--registries", "/dev/zero", timeout=20)
    assert (endless.code, "/dev/zero:1:1: the file is larger than 1 MiB" in endless.stderr) == (3, True)


@pytest.mark.row("CFG-05")
def test_nothing_is_included(tmp_path):
    """There is no include, whatever it is called."""
    for key in ("include", "$include", "<<", "extends", "import"):
        assert faults_of(tmp_path, mirror(before=f"{key}: /proc/self/environ\n")) != []


SECRET = Secret("canary-SECRET")


@pytest.mark.row("CFG-08")
def test_a_secret_cannot_be_written_down():
    """No way that Python has of showing or saving a value shows or saves a secret, on its own or within what holds it."""
    trust = RegistrySettings(credentials=Login("me", SECRET))

    shown = [f"{one} {one!r} {one:>20} {one!s} {'%s %r' % (one, one)}" for one in (SECRET,)]  # noqa: UP031 - one of the ways
    shown += [repr(trust), str(asdict(trust)), json.dumps(asdict(trust), default=str), str(copy.deepcopy(trust)), yaml.dump([repr(trust)]), repr([SECRET])]
    for how in (pickle.dumps, marshal.dumps, json.dumps, yaml.safe_dump, lambda value: yaml.dump(value, Dumper=yaml.Dumper)):
        with pytest.raises((TypeError, ValueError, yaml.YAMLError)):
            shown.append(str(how(SECRET)))
    with pytest.raises(TypeError):
        pickle.dumps(trust)

    assert secrets_in(" ".join(shown)) == []
    assert not hasattr(SECRET, "__dict__")
    assert SECRET.reveal() == "canary-SECRET"


@pytest.mark.row("CFG-08", "GIT-06")
@pytest.mark.parametrize("secret", AWKWARD)
def test_a_secret_is_hidden_in_foreign_text_that_was_made_safe(secret):
    """As errors and terminals show it."""
    redaction = Redaction()
    redaction.hide([secret])
    written = [sanitize_message(secret), sanitize_line(secret)]

    assert [text for text in written if "***" not in redaction.clean(text) or secrets_in(redaction.clean(text))] == []


@pytest.mark.row("CFG-08")
def test_a_secret_that_is_cut_off_is_hidden_too(registry, second_registry, name, workplace, imgsync):
    """A registry's long words are cut; when the cut goes through the header that it echoes, the rest does not show."""
    push(registry, f"{name}/app", "1", image())
    with FaultProxy(second_registry) as proxy:
        proxy.add(switches.Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), nth=1)
        proxy.add(EchoAcross(400, limit=300, shown=24))
        workplace.trust_plain(registry, proxy, settings={proxy.host: {"credentials": {"username": "robot", "password": "a-long-password-SECRET"}}})
        workplace.mirror("a", source=f"{registry}/{name}/app", destinations=[f"{proxy}/m"], retry={"attempts": 1})

        ran = imgsync("apply", "-o", "json", "--log-level", "debug")

        sent = next(one.headers["authorization"] for one in proxy.seen if "authorization" in one.headers).partition(" ")[2]
    assert ran.code == 1
    assert "xxxxxx" in ran.stdout, "the registry's words are told"
    assert sent[:8] not in ran.stdout + ran.stderr


_BUG = """
import sys
from imgsync.__main__ import _patch
_patch()
from imgsync import cli
from imgsync.oci.auth import authenticator as auth
def broken(login):
    secret = login.password
    raise RuntimeError(f"cannot encode {login} {secret!r} {secret} {auth.base64.b64encode((login.username + ':' + secret).encode()).decode()}")
auth._basic = broken
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.row("CFG-08")
def test_a_bug_where_credentials_are_handled_tells_none(password_registry, workplace):
    """Exit 70 and a traceback to report, without the values of variables, and with the secret hidden in its text."""
    workplace.trust_plain(password_registry, settings={password_registry.host: {"credentials": {"username": "robot", "password": "it's\\x-SECRET"}}})
    workplace.mirror("a", source=f"{password_registry}/x", destinations=[f"{password_registry}/m"])

    done = subprocess.run(
        [sys.executable, "-c", _BUG, "plan", "--log-format", "json", "--log-level", "debug"],
        cwd=workplace.folder,
        env=workplace.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 70, done.stderr
    assert "RuntimeError: cannot encode" in done.stderr
    assert "This is a bug in imgsync" in done.stderr
    assert secrets_in(done.stdout + done.stderr) == []


@pytest.mark.row("CFG-09")
def test_no_option_takes_a_secret():
    """What is on a command line is seen by every process of the machine: no command has an option or an argument for a password or a token."""
    names: set[str] = set()

    def look(command: click.Command, context: click.Context) -> None:
        names.update(name for one in command.params for name in (*one.opts, *one.secondary_opts))
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                look(below, context)

    look(cli, click.Context(cli))

    assert {"--registries", "--out", "--state"} <= names
    assert [name for name in names if re.search("passw|token|secret|credential|user|login|auth|key", name)] == []
