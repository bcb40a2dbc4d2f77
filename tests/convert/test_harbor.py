"""Harbor's replication rules, and the paths that they write to."""

from __future__ import annotations

import json

import pytest

from imgsync.config.model import Mirror
from imgsync.config.templates import expand_repository
from imgsync.convert.conversion import Conversion, ConvertOptions
from imgsync.convert.convert_files import convert_files
from imgsync.errors import ConfigError
from imgsync.plan.list_repositories import strip_namespace

REMOTE = {"id": 2, "name": "other", "type": "docker-registry", "url": "https://other.example.com"}
PATHS = ["library/alpine", "library/sub/tool", "team-a/app", "team-b/app", "team-b/deep/er/app", "solo/x"]


def convert_rule(tmp_path, variables: dict[str, str] | None = None, **fields: object) -> Conversion:
    rule = {"name": "rule", "dest_registry": REMOTE, "enabled": True} | fields
    file = tmp_path / "rules.json"
    file.write_text(json.dumps([rule]), encoding="utf-8")
    return convert_files([str(file)], options=ConvertOptions(variables={"HARBOR": "harbor.example.com"} if variables is None else variables))


def list_copies(mirrors: tuple[Mirror, ...]) -> dict[str, str]:
    """Return source and destination paths of the repositories in PATHS."""
    found = {}
    for mirror in mirrors:
        rules = mirror.source.compile_filter()
        relative = {path: path for path in mirror.source.repositories}
        for namespace in mirror.source.namespaces:
            relative |= {
                path: strip_namespace(path, namespace) for path in PATHS if (not namespace or path.startswith(f"{namespace}/")) and rules.includes(path)
            }
        for path, rest in relative.items():
            found[path] = expand_repository(mirror.destinations[0], path, relative=rest, registry=mirror.source.registry)
    return found


@pytest.mark.parametrize(
    ("pattern", "namespace", "replaced", "expected"),
    [
        ("library/**", "", -1, {"library/alpine": "library/alpine", "library/sub/tool": "library/sub/tool"}),
        ("library/**", "mirror", -1, {"library/alpine": "mirror/alpine", "library/sub/tool": "mirror/tool"}),
        ("library/**", "mirror", 0, {"library/alpine": "mirror/library/alpine", "library/sub/tool": "mirror/library/sub/tool"}),
        ("library/**", "mirror", 1, {"library/alpine": "mirror/alpine", "library/sub/tool": "mirror/sub/tool"}),
        ("library/*", "mirror", 1, {"library/alpine": "mirror/alpine"}),
        ("library/alpine", "mirror", 1, {"library/alpine": "mirror/alpine"}),
        ("library/sub/tool", "mirror", 1, {"library/sub/tool": "mirror/sub/tool"}),
        ("library/sub/tool", "mirror", 2, {"library/sub/tool": "mirror/tool"}),
        ("team-[ab]/*", "mirror", 1, {"team-a/app": "mirror/app", "team-b/app": "mirror/app"}),
        ("{team-a,team-b}/**", "m", 1, {"team-a/app": "m/app", "team-b/app": "m/app", "team-b/deep/er/app": "m/deep/er/app"}),
        ("team-b/deep/**", "m", 1, {"team-b/deep/er/app": "m/deep/er/app"}),
        ("team-b/**er/app", "m", 0, {}),
        ("{library,solo}/{alpine,x}", "", -1, {f"{one}/{two}": f"{one}/{two}" for one in ("library", "solo") for two in ("alpine", "x")}),
        ("", "m", 0, {path: f"m/{path}" for path in PATHS}),
        ("**", "m", -1, {path: f"m/{path.rpartition('/')[2]}" for path in PATHS}),
        ("*/app", "", -1, {"team-a/app": "team-a/app", "team-b/app": "team-b/app"}),
        ("**/app", "", -1, {path: path for path in PATHS if path.endswith("/app")}),
    ],
)
def test_paths_are_those_that_harbor_writes(pattern, namespace, replaced, expected, tmp_path):
    """Patterns as doublestar reads them, and the number of replaced parts."""
    rules = convert_rule(tmp_path, dest_namespace=namespace, dest_namespace_replace_count=replaced, filters=[{"type": "name", "value": pattern}])

    assert list_copies(rules.mirrors) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], {}),
        ([{"type": "tag", "value": ""}], {}),
        ([{"type": "tag", "value": "latest"}], {"names": ("latest",)}),
        ([{"type": "tag", "value": "{v1,v2}"}], {"names": ("v1", "v2")}),
        ([{"type": "tag", "value": "v{1,2}.*", "decoration": "matches"}], {"include": ("v1.*", "v2.*")}),
        ([{"type": "tag", "value": "**"}], {"include": ("*",)}),
        ([{"type": "tag", "value": "*-rc*", "decoration": "excludes"}], {"exclude": ("*-rc*",)}),
        ([{"type": "tag", "value": "v1*"}, {"type": "tag", "value": "v1.0", "decoration": "excludes"}], {"include": ("v1*",), "exclude": ("v1.0",)}),
        ([{"type": "tag", "value": "v1"}, {"type": "tag", "value": "v*", "decoration": "excludes"}], {"include": ("v1",), "exclude": ("v*",)}),
        ([{"type": "tag", "value": "regex:^v[0-9]+$"}], {"regex": ("v[0-9]+",)}),
        ([{"type": "tag", "value": "regex:rc", "decoration": "excludes"}], {"exclude_regex": (".*rc.*",)}),
    ],
)
def test_tag_filters_select_or_exclude(filters, expected, tmp_path):
    """As globs, names or expressions."""
    [mirror] = convert_rule(tmp_path, filters=filters).mirrors
    names = ("names", "include", "regex", "exclude", "exclude_regex")

    assert {name: value for name in names if (value := getattr(mirror.tags, name))} == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"filters": [{"type": "name", "value": "a\\*"}]}, "cannot express the pattern"),
        ({"filters": [{"type": "name", "value": "{a"}]}, "a brace is not closed"),
        ({"filters": [{"type": "name", "value": "{a,b}" * 9}]}, "more than 256 patterns"),
        ({"filters": [{"type": "tag", "value": "v1*"}, {"type": "tag", "value": "*-x"}]}, "two tag patterns at once"),
        ({"filters": [{"type": "tag", "value": "regex:("}]}, "invalid RE2 expression"),
        ({"filters": [{"type": "severity", "value": "x"}]}, "unknown filter 'severity'"),
        ({"filters": {"type": "name"}}, "expected a list"),
        ({"dest_registry": None, "src_registry": None}, "one of src_registry and dest_registry must be Harbor itself"),
        ({"src_registry": REMOTE}, "one of src_registry and dest_registry must be Harbor itself"),
        ({"dest_registry": {"id": 1, "name": "x", "type": "gitlab", "url": "https://git.example.com"}}, "pass it: --set x=registry.gitlab.example"),
        ({"dest_registry": {"id": 1, "name": "x", "type": "harbor"}}, "the registry has no URL"),
        ({"dest_namespace": "A B"}, "invalid namespace"),
        ({"dest_namespace": "m", "dest_namespace_replace_count": 3, "filters": [{"type": "name", "value": "a/*"}]}, "fewer than 3 parts"),
        ({"dest_namespace": "m", "dest_namespace_replace_count": 1, "filters": [{"type": "name", "value": "**"}]}, "cannot replace the first 1 parts"),
        ({"filters": [{"type": "label", "value": ["x"]}]}, "cannot select by label"),
        ({"dest_registry": {"id": 0}, "src_registry": {"id": 1, "name": "hub", "type": "helm-hub", "url": "https://hub.helm.sh"}}, "chart hub"),
    ],
)
def test_rules_that_cannot_be_kept_are_errors(fields, expected, tmp_path):
    """Never more than the rule selects."""
    with pytest.raises(ConfigError, match=expected):
        convert_rule(tmp_path, **fields)


def test_own_host_must_be_given(tmp_path):
    """A rule does not contain it."""
    with pytest.raises(ConfigError, match="--set HARBOR=HOST"):
        convert_rule(tmp_path, {})

    [mirror] = convert_rule(tmp_path, {"HARBOR": "https://harbor.internal:8443/"}).mirrors
    assert mirror.source.registry == "harbor.internal:8443"


def test_one_rule_is_read_without_a_list(tmp_path):
    """As `GET /replication/policies/ID` answers."""
    file = tmp_path / "rule.json"
    file.write_text(json.dumps({"name": "one", "src_registry": {"id": 1, "name": "quay", "type": "quay", "url": "https://quay.io"}}), encoding="utf-8")

    found = convert_files([str(file)], options=ConvertOptions(variables={"HARBOR": "h.example.com"}))

    assert (found.format, found.mirrors[0].name, found.mirrors[0].source.registry) == ("harbor", "one", "quay.io")


def test_behaviour_of_a_rule_is_kept(tmp_path):
    """Disabled, without overwriting, with deletions, over plain http."""
    registry = REMOTE | {"url": "http://other.example.com:5000", "credential": {"access_key": "u", "access_secret": "*****"}}

    found = convert_rule(tmp_path, enabled=False, override=False, replicate_deletion=True, speed=100, description="a ${b}", dest_registry=registry)

    [mirror] = found.mirrors
    assert (mirror.suspend, mirror.immutable, mirror.prune is not None, mirror.description) == (True, ("*",), True, "a $ {b}")
    [entry] = found.registries
    assert (entry.registry, entry.tls, entry.password) == ("other.example.com:5000", False, "${OTHER_EXAMPLE_COM_5000_PASSWORD}")
    assert any("bandwidth" in remark.message for remark in found.remarks if remark.lost)
