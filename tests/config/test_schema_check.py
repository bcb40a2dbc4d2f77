"""The schema of declarations: strict at every level."""

from __future__ import annotations

import json

import pytest

from imgsync.config import schema_check
from imgsync.config.schema_files import read_schema
from imgsync.config.yaml_reader import parse_documents
from tests import switches
from tests.support.canary import secrets_in
from tests.support.declarations import declared, faults_of, mirror
from tests.support.effort import NIGHTLY
from tests.support.faults import FaultProxy


def every_text(schema: dict[str, object], part: dict[str, object], *, within: str = "") -> list[str]:
    """Return the paths of the schema's texts."""
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


SCHEMA = json.loads(read_schema("mirror"))


TEXTS = every_text(SCHEMA, SCHEMA)


def put(path: str, value: object) -> dict[str, object]:
    """Return a valid declaration with *value* at *path*."""
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
    """`${CANARY}` in any field is an error that does not show its value."""
    faults = faults_of(tmp_path, json.dumps(put(path, "${CANARY}")), environ={"CANARY": "canary-SECRET"})

    assert any("variables are not supported in mirrors.d (move what varies, such as credentials, to registries.yaml)" in fault for fault in faults), faults
    assert secrets_in(" ".join(faults)) == []


_ODD = ["1s\n", "linux/amd64\n", "\x00", "9" * 30, None, 10**30, [[]]]


_ODDER = ["a\n", "", " ", "\uff11s", "{", "[", "(?P<a>", "a" * 5000, ">=1\n", "v*\n", True, -1, 1.5, [], {}, [None], {"a": 1}]


_NUMBERS = ["mirrors[0].tags.newest", "mirrors[0].prune.at_most", "mirrors[0].concurrency.images", "version", "mirrors", "defaults"]


@pytest.mark.row("CFG-03")
@pytest.mark.nightly
@pytest.mark.parametrize("path", [path for path in TEXTS if path.startswith("mirrors") or NIGHTLY] + _NUMBERS)
def test_any_value_is_accepted_or_an_error(path, tmp_path):
    """Never a traceback."""
    for odd in (*_ODD, *(_ODDER if NIGHTLY else ())):
        faults = faults_of(tmp_path, json.dumps(put(path, odd)))
        if path.endswith((".name", "platforms[0]", "interval")) and isinstance(odd, str) and odd.endswith("\n"):
            assert faults != [], "a line's end is a part of a text"


@pytest.mark.row("CFG-04", "CFG-10", "GIT-02", "GIT-03")
def test_mirrors_d_has_no_dangerous_setting():
    """No program, path, variable, URL, credential or TLS setting, and no unknown key."""
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
        *(
            "version",
            "defaults",
            "mirrors",
            "name",
            "description",
            "suspend",
            "source",
            "registry",
            "layout",
            "namespaces",
            "repositories",
            "exclude",
            "tags",
            "names",
        ),
        *(
            "include",
            "regex",
            "exclude_regex",
            "semver",
            "extract",
            "prereleases",
            "newest",
            "newest_per",
            "order",
            "max_age",
            "min_age",
            "age",
            "except",
            "at_least",
            "at_most",
        ),
        *(
            "platforms",
            "referrers",
            "destinations",
            "namespace",
            "repository",
            "tag",
            "immutable",
            "prune",
            "protect",
            "gone",
            "concurrency",
            "images",
            "queries",
        ),
        *("concurrency", "blobs", "timeouts", "request", "image", "run", "retry", "attempts", "interval", "login"),
        # Names of what registries.yaml holds, and what to ask for beyond it.
        *("require", "signatures", "keys", "identities", "artifacts", "media_types", "max_size"),
        *("schedule", "cron", "zone", "every", "jitter"),
    }


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
def test_declaration_cannot_set_registry_settings(document, tmp_path):
    """They are unknown settings in mirrors.d."""
    faults = faults_of(tmp_path, json.dumps(document))

    assert len(faults) == 1
    assert "unknown setting" in faults[0]


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
def test_typo_is_an_error_with_a_suggestion(text, path, meant, tmp_path):
    """At every level."""
    assert any(f"{path}: unknown setting (did you mean '{meant}'?)" in fault for fault in faults_of(tmp_path, text))


@pytest.mark.row("CFG-06")
def test_remote_schema_is_never_fetched(monkeypatch, tmp_path):
    """Neither for a `$ref` in a declaration nor for one in a schema."""
    with FaultProxy(None) as elsewhere:
        elsewhere.add(switches.Respond(200, {"type": "object"}))
        url = f"{elsewhere.url}/evil.json"
        faults = faults_of(tmp_path, json.dumps({"$schema": url, "$id": url, "$ref": url, "version": 1, "mirrors": [{"$ref": url}]}))
        assert sum("unknown setting" in fault for fault in faults) == 4

        document = parse_documents(b"version: 1\n", file="a.yaml")[0][0]
        monkeypatch.setattr(schema_check, "read_schema", lambda _: json.dumps({"$ref": url}))
        schema_check._load_validator.cache_clear()
        try:
            with pytest.raises(Exception, match="Unresolvable"):
                schema_check.check_schema(document, "mirror")
        finally:
            schema_check._load_validator.cache_clear()
        assert elsewhere.seen == []
