"""Configuration: all errors at once, each with its place and a remedy."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgsync.config.load import load_config
from imgsync.config.model import Prune
from imgsync.config.show import show_config
from imgsync.errors import ConfigError, UsageError
from tests.support.declarations import faults_of

HEAD = "version: 1\nmirrors:\n  - name: a\n"


GOOD = HEAD + "    source: registry.k8s.io/pause\n    destinations: [r.example.com/m]\n"


def mirror(settings_text: str) -> str:
    return GOOD + "".join(f"    {line}\n" for line in settings_text.splitlines())


def source(text: str) -> str:
    return GOOD.replace("registry.k8s.io/pause", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (mirror("tags: {semvr: '>=1'}"), "a.yaml:6:12: mirrors[0].tags.semvr: unknown setting (did you mean 'semver'?)"),
        (
            mirror("tags: {names: [3.10]}"),
            "a.yaml:6:20: mirrors[0].tags.names[0]: expected text, got the number 3.10 (image tags are text: write '3.10' in quotes)",
        ),
        (mirror("tags: {names: [no]}"), "a.yaml:6:20: mirrors[0].tags.names[0]: expected text, got the boolean no (image tags are text: write 'no' in quotes)"),
        (
            mirror("tags: {names: [2024-01-01]}"),
            "a.yaml:6:20: mirrors[0].tags.names[0]: expected text, got the date 2024-01-01 (image tags are text: write '2024-01-01' in quotes)",
        ),
        (
            mirror("tags: {names: [1:30]}"),
            "a.yaml:6:20: mirrors[0].tags.names[0]: expected text, got the number 1:30 (image tags are text: write '1:30' in quotes)",
        ),
        (source("{registry: r.io, namespaces: [''], regex: ['(']}"), "mirrors[0].source.regex[0]: invalid RE2 expression"),
        (source("{registry: r.io, namespaces: [''], exclude_regex: ['(']}"), "mirrors[0].source.exclude_regex[0]: invalid RE2 expression"),
        (source("{registry: r.io, repositories: [x], include: ['y*']}"), "mirrors[0].source.include: include without namespaces selects nothing"),
        (mirror("tags: {exclude_regex: ['a(?=b)']}"), "a.yaml:6:28: mirrors[0].tags.exclude_regex[0]: invalid RE2 expression"),
        (mirror("tags: {regex: ['(']}"), "a.yaml:6:20: mirrors[0].tags.regex[0]: invalid RE2 expression '(': missing ): ("),
        (mirror("tags: {include: ['[a']}"), "a.yaml:6:22: mirrors[0].tags.include[0]: '[a' has a '[' that is not closed"),
        (mirror("tags: {at_least: 5, at_most: 2}"), "a.yaml:6:34: mirrors[0].tags.at_most: at_most 2 is less than at_least 5"),
        (mirror("retry: {attempts: 0}"), "a.yaml:6:23: mirrors[0].retry.attempts: must be at least 1, got 0"),
        (mirror("timeouts: {image: 15}"), "a.yaml:6:23: mirrors[0].timeouts.image: expected a duration, got the number 15 (write 15s)"),
        (mirror("platforms: al"), "a.yaml:6:16: mirrors[0].platforms: expected 'all' or a list, got 'al' (did you mean 'all'?)"),
        (mirror("referrers: 3"), "a.yaml:6:16: mirrors[0].referrers: expected true or false or a list, got the number 3"),
        (mirror("prune: {at_most: -1}"), "a.yaml:6:22: mirrors[0].prune.at_most: must be at least 0, got -1"),
        (mirror("prune: {at_mots: 3}"), "a.yaml:6:13: mirrors[0].prune.at_mots: unknown setting (did you mean 'at_most'?)"),
        (mirror("prune: {protect: ['[a']}"), "a.yaml:6:23: mirrors[0].prune.protect[0]: '[a' has a '[' that is not closed"),
        (mirror("prune: sometimes"), "a.yaml:6:12: mirrors[0].prune: expected true or false or a mapping, got text"),
        (mirror("tags: {min_age: 3}"), "a.yaml:6:21: mirrors[0].tags.min_age: expected a duration or a mapping, got the number 3 (write 3d)"),
        (mirror("tags: {min_age: 3 days}"), "a.yaml:6:21: mirrors[0].tags.min_age: invalid duration '3 days' (write 3d)"),
        (mirror("tags: {min_age: {}}"), "a.yaml:6:21: mirrors[0].tags.min_age: missing required setting 'age'"),
        (mirror("tags: {min_age: {age: 3w}}"), "a.yaml:6:27: mirrors[0].tags.min_age.age: invalid duration '3w'"),
        (mirror("tags: {min_age: {age: 3d, exept: [a]}}"), "a.yaml:6:31: mirrors[0].tags.min_age.exept: unknown setting (did you mean 'except'?)"),
        (mirror("tags: {min_age: {age: 3d, except: ['[a']}}"), "a.yaml:6:40: mirrors[0].tags.min_age.except[0]: '[a' has a '[' that is not closed"),
        (mirror("tags: {min_age: 999999999d}"), "a.yaml:6:21: mirrors[0].tags.min_age: '999999999d' is longer than a hundred years"),
        (mirror("tags: {min_age: {age: 999999999d}}"), "a.yaml:6:27: mirrors[0].tags.min_age.age: '999999999d' is longer than a hundred years"),
        (mirror("tags: {max_age: 999999999d}"), "a.yaml:6:21: mirrors[0].tags.max_age: '999999999d' is longer than a hundred years"),
        (
            mirror("description: ${SECRET}"),
            "a.yaml:6:18: mirrors[0].description: variables are not supported in mirrors.d (move what varies, such as credentials, to registries.yaml)",
        ),
        (mirror("suspend: true\nsuspend: false"), "a.yaml:7:5: mirrors[0].suspend: duplicate key 'suspend' (first at line 6, column 5; keep one)"),
        (
            HEAD + "    source: nginx\n    destinations: [r.io/m]\n",
            "a.yaml:4:13: mirrors[0].source: 'nginx' has no registry (write docker.io/library/nginx)",
        ),
        (HEAD + "    source: {registry: r.io, repositories: [../../x]}\n    destinations: [r.io/m]\n", "'../../x' is not a repository path"),
        (HEAD + "    source: {registry: 'u:p@r.io', repositories: [x]}\n    destinations: [r.io/m]\n", "a registry name must not contain a user or password"),
        (HEAD + "    source: r.io/x\n    destinations: [{registry: r.io, repository: '{path.__class__}'}]\n", "unknown template field"),
        (HEAD + "    source: r.io/x\n    destinations: [{registry: r.io, namespace: ../up}]\n", "invalid namespace '../up'"),
        (HEAD + "    source: \u212aelvin.io/x\n    destinations: [r.io/m]\n", "is not a registry name"),
        (HEAD, "a.yaml:3:5: mirrors[0]: missing required settings 'source' and 'destinations'"),
        ("version: 2\n", "a.yaml:1:10: version: expected 1, got 2"),
        ("", "a.yaml:1:1: the file is empty (begin with `version: 1`)"),
        ("# nothing\n", "a.yaml:1:1: the file is empty (begin with `version: 1`)"),
        ("- 1\n", "a.yaml:1:1: expected a mapping, got a list"),
        ("version: 1\n\tx: 2\n", "a.yaml:2:1: tab in the indentation (indent with spaces)"),
        (b"version: 1\n\xff: 2\n", "a.yaml:2:1: the file is not UTF-8 (save it as UTF-8)"),
        ("version: 1\nx: '\x07'\n", "a.yaml:2:1: the file contains a control character (remove it)"),
        ("version: 1\nx: !!python/name:os.system a\n", "is not allowed (write the value without a tag,"),
        ("[" * 40, "a.yaml:1:33: nested deeper than 32 levels"),
        ("[" * 100_000, "nested deeper than 32 levels"),
        ("a: &a [*a]\n", "aliases expand to more than 50,000 values"),
        (f"version: {'9' * 5000}\n", f"a.yaml:1:10: version: expected 1, got {'9' * 60}…"),
        ("a: *b\n", "a.yaml:1:4: undefined alias (*) (define its anchor before it, or put a value that begins with this character in quotes)"),
        ('a: "x\n', "invalid YAML"),
    ],
)
def test_every_error_has_place_and_remedy(text, expected, tmp_path):
    """One error, in the user's words."""
    found = faults_of(tmp_path, text)

    assert any(expected in fault for fault in found), found


def test_all_errors_of_all_files_are_reported_at_once(tmp_path):
    """From the schema and beyond it, of declarations and registries.yaml."""
    (tmp_path / "one.yaml").write_text(mirror("tags: {semvr: x, regex: ['(']}"))
    (tmp_path / "two.yml").write_text(GOOD)
    (tmp_path / ".hidden.yaml").write_text("nonsense")
    (tmp_path / "registry_settings").write_text("version: 1\nregistries: {r.io: {rat: 1}}\n")

    with pytest.raises(ConfigError) as caught:
        load_config([str(tmp_path)], registries=str(tmp_path / "registry_settings"), environ={})

    assert [fault.path for fault in caught.value.errors] == ["mirrors[0].tags.semvr", "mirrors[0].tags.regex[0]", "registries.r.io.rat", "mirrors[0].name"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="version: 1\nmirrors[]{}-&*a<!|>'\"#%@`,?\t", max_size=120).map(str.encode)))
def test_any_bytes_give_a_configuration_or_errors(tmp_path, data):
    """Never another exception."""
    faults_of(tmp_path, data)


def test_defaults_reach_every_mirror_of_the_folder(tmp_path):
    """`defaults` are overridden setting by setting."""
    (tmp_path / "a.yaml").write_text("version: 1\ndefaults: {platforms: [linux/amd64], concurrency: {images: 7, blobs: 2}}\n")
    (tmp_path / "b.yaml").write_text(mirror("concurrency: {blobs: 5}"))

    config = load_config([str(tmp_path)], registries=None, environ={})

    assert config.mirrors[0].platforms == ("linux/amd64",)
    assert (config.mirrors[0].concurrency.images, config.mirrors[0].concurrency.blobs) == (7, 5)
    (tmp_path / "c.yaml").write_text("version: 1\ndefaults: {suspend: true}\n")
    with pytest.raises(ConfigError, match="defaults are declared twice"):
        load_config([str(tmp_path)], registries=None, environ={})


def test_policies_are_inherited_and_shown(tmp_path):
    """`min_age`, `immutable` and `prune` of the defaults apply; `validate --show` prints them."""
    gates = "tags: {min_age: {age: 3d, except: ['1.*']}}, immutable: ['v*'], prune: {protect: [latest]}"
    (tmp_path / "a.yaml").write_text(f"version: 1\ndefaults: {{{gates}}}\n")
    (tmp_path / "b.yaml").write_text(
        GOOD + "  - {name: b, source: r.io/x, destinations: [r.io/b], tags: {newest: 2, min_age: 36h}, prune: false}\n"
        "  - {name: c, source: r.io/y, destinations: [r.io/c], tags: {names: ['1']}, prune: true}\n"
    )

    config = load_config([str(tmp_path)], registries=None, environ={})

    filters = [one.tags for one in config.mirrors]
    assert [(one.min_age_seconds, one.min_age_except) for one in filters] == [(259200, ("1.*",)), (129600, ()), (259200, ("1.*",))]
    assert [one.immutable for one in config.mirrors] == [("v*",)] * 3
    assert [one.prune for one in config.mirrors] == [Prune(20, ("latest",)), None, Prune()]
    shown = yaml.safe_load(show_config(config).partition("---")[0])["mirrors"]
    assert [one["tags"]["min_age"] for one in shown] == [{"age": "3d", "except": ["1.*"]}, "36h", {"age": "3d", "except": ["1.*"]}]
    assert [one["prune"] for one in shown] == [{"at_most": 20, "protect": ["latest"], "gone": False}, False, {"at_most": 20, "protect": [], "gone": False}]


def test_configuration_is_partial_if_a_file_is_left_out(tmp_path):
    """Pruning needs to know; --only makes it partial as well."""
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "registries.yaml").write_text("version: 1\n")
    (tmp_path / "compose.yaml").write_text("services: {}\n")

    def whole(*paths: str, **options: object) -> bool:
        return load_config([str(tmp_path / path) for path in paths], registries=str(tmp_path / "registries.yaml"), environ={}, **options).is_complete

    assert whole("a.yaml")
    assert not whole("a.yaml", only=["a"])
    (tmp_path / "compose.yaml").unlink()
    (tmp_path / "registries.yaml").rename(tmp_path / "registry_settings")
    (tmp_path / "b.yml").write_text(GOOD.replace("name: a", "name: b"))
    (tmp_path / "registries.yaml").symlink_to(tmp_path / "registry_settings")
    assert not whole("a.yaml")
    assert whole("a.yaml", "b.yml")


def test_several_documents_and_merge_keys_are_read(tmp_path):
    """Several documents in a file, and merge keys within the limit."""
    path = tmp_path / "a.yaml"
    path.write_text(
        GOOD + "---\n" + "version: 1\nmirrors:\n  - &b {name: b, source: r.io/x, destinations: [r.io/b]}\n  - {<<: *b, name: c, destinations: [r.io/c]}\n"
    )

    assert [one.name for one in load_config([str(path)], registries=None, environ={}).mirrors] == ["a", "b", "c"]


def test_two_sources_of_one_destination_are_an_error_of_the_configuration(tmp_path):
    """If names alone show it, without network."""
    text = "version: 1\nmirrors:\n" + "".join(
        f"  - {{name: {name}, source: {name}.io/x, tags: {{names: ['1']}}, destinations: [r.io/m]}}\n" for name in ("a", "b")
    )

    assert "b.io/x:1 would be written to r.io/m/x:1" in faults_of(tmp_path, text)[0]


def test_only_chooses_mirrors_by_glob(tmp_path):
    """--only selects names; a glob without a match is a usage error."""
    (tmp_path / "a.yaml").write_text(GOOD)

    assert len(load_config([str(tmp_path)], registries=None, environ={}, only=["a*"]).mirrors) == 1
    with pytest.raises(UsageError, match="no mirror has this name"):
        load_config([str(tmp_path)], registries=None, environ={}, only=["b"])
