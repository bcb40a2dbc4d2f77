"""registries.yaml: credentials and settings that declarations cannot change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from imgsync.config.load import load_registries
from imgsync.config.model import BROKER_PART, SERVE_PART
from imgsync.errors import ConfigError
from tests.support.declarations import faults_of, mirror


def trust_faults(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    path = folder / "registries.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_registries(str(path), environ or {})
    return str(caught.value).replace(f"{folder}/", "")


def test_credentials_of_empty_variables_are_anonymous(tmp_path):
    """Empty user and password mean anonymous or docker's login; one alone is a login."""
    text = (
        "version: 1\nregistries:\n"
        "  a.io: {credentials: {username: '${WHO:-}', password: '${PASS:-}'}}\n"
        "  b.io: {credentials: {username: me, password: '${PASS:-}'}}\n"
    )
    (tmp_path / "registries.yaml").write_text(text)

    nothing = load_registries(str(tmp_path / "registries.yaml"), {})
    both = load_registries(str(tmp_path / "registries.yaml"), {"WHO": "us", "PASS": "word"})

    assert nothing.for_registry("a.io").credentials is None
    assert nothing.for_registry("b.io").credentials.username == "me"
    assert both.for_registry("a.io").credentials.username == "us"


def test_declared_registry_has_the_defaults_of_others(tmp_path):
    (tmp_path / "registries.yaml").write_text("version: 1\nregistries:\n  a.io: {create_repositories: false}\n")

    found = load_registries(str(tmp_path / "registries.yaml"), {})

    assert found.for_registry("a.io") == found.for_registry("b.io")


def test_variables_and_files_fill_in_credentials(tmp_path):
    """`${VAR}`, defaults, a literal `$${`, and a password file without its last newline."""
    (tmp_path / "secret").write_text("from file\n")
    path = tmp_path / "registries.yaml"
    path.write_text(
        "version: 1\nregistries:\n"
        "  a.io: {credentials: {username: '${WHO}', password: '$${x}-${PASS:-fall back}'}}\n"
        f"  b.io: {{credentials: {{username: 'robot$x', password: {{file: {tmp_path}/secret}}}}, rate: 200/6h}}\n"
    )

    registry_settings = load_registries(str(path), {"WHO": "me"})

    login = registry_settings.for_registry("a.io").credentials
    assert (login.username, login.password.reveal()) == ("me", "${x}-fall back")
    assert registry_settings.for_registry("b.io").credentials.username == "robot$x"
    assert registry_settings.for_registry("b.io").credentials.password.reveal() == "from file"
    assert registry_settings.for_registry("b.io").rate == (200, 21600.0)
    assert registry_settings.for_registry("c.io").tls.enabled


def test_unset_variable_is_an_error_where_it_is_used(tmp_path):
    """With the place and a similar name; the other registries can be used."""
    (tmp_path / "registries.yaml").write_text("version: 1\nregistries:\n  a.io: {credentials: {username: me, password: '${PASWORD}'}}\n")
    settings = load_registries(str(tmp_path / "registries.yaml"), {"PASSWORD": "x"})

    settings.raise_if_unset("b.io")
    with pytest.raises(ConfigError) as caught:
        settings.raise_if_unset("b.io", "a.io")

    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        "registries.yaml:3:48: registries.a.io.credentials.password: the environment variable PASWORD is not set (did you mean PASSWORD?)"
    )


@pytest.mark.parametrize(
    ("text", "part", "path"),
    [
        ("serve: {token: '${KEY}'}", SERVE_PART, "serve.token"),
        ("serve: {events: {in: {type: distribution, registry: a.io, secret: '${KEY}'}}}", SERVE_PART, "serve.events.in.secret"),
        ("broker: {url: 'amqps://mq/x', key: '${KEY}'}", BROKER_PART, "broker.key"),
    ],
)
def test_unset_secret_of_a_part_stops_only_that_part(text, part, path, tmp_path):
    """No secret must not mean no check: `serve` and fleets refuse it, a plan does not need it."""
    (tmp_path / "registries.yaml").write_text(f"version: 1\n{text}\n")
    settings = load_registries(str(tmp_path / "registries.yaml"), {})

    settings.raise_if_unset("a.io")
    with pytest.raises(ConfigError) as caught:
        settings.raise_if_unset(part)

    assert f" {path}: the environment variable KEY is not set" in str(caught.value)


@pytest.mark.parametrize(
    "command", [["plan"], ["plan", "--only", "a"], ["list", "SOURCE/app"], ["copy", "SOURCE/app:1", "DESTINATION/m/app:1"], ["login-check"]]
)
def test_unset_variable_stops_only_who_needs_it(command, lab):
    """`validate` warns; a command that uses the registry sends nothing; another registry's variable does not matter."""
    unset = f"  {lab.source.host}: {{tls: false, credentials: {{username: me, password: '${{PASS}}'}}}}\n"
    lab.declare("app")
    lab.write("registries.yaml", f"version: 1\nregistries:\n{unset}  {lab.destination.host}: {{tls: false}}\n")
    places = {"SOURCE": lab.source.host, "DESTINATION": lab.destination.host}
    arguments = [re.sub("SOURCE|DESTINATION", lambda found: places[found[0]], word) for word in command]

    validated, ran = lab.run("validate"), lab.run(*arguments)

    said = "credentials.password: the environment variable PASS is not set (set it, or write ${PASS:-default})"
    assert (validated.code, validated.stdout) == (0, "1 file, 1 mirror, 1 destination: 1 warning.\n")
    assert validated.stderr.startswith("warning: registries.yaml:3:")
    assert said in validated.stderr
    assert ran.code == 3
    assert said in ran.stderr
    assert lab.source.seen == []


# Passwords without the quotes that YAML needs for them.
_UNQUOTED = [
    *("!SECRET", "!h!SECRET x", "!<SECRET> x", "*SECRET", "&SECRET", "%SECRET", "@SECRET", "'SECRET"),
    *("{SECRET}", "{SECRET: {a: b}}", "{SECRET, SECRET}", "[SECRET]"),
]


@pytest.mark.row("CFG-08")
@pytest.mark.parametrize(
    "entry",
    [
        "{username: me, password: 12345678}",
        "{username: [SECRET], password: SECRET}",
        "{username: me, password: {fil: SECRET}}",
        "SECRET",
        *(f"{{username: me, password: {written}}}" for written in _UNQUOTED),
    ],
)
def test_errors_never_show_credentials(entry, tmp_path):
    """An error shows the place, not the value."""
    said = trust_faults(tmp_path, f"version: 1\nregistries:\n  a.io: {{credentials: {entry}}}\n")

    assert "registries.yaml:3:" in said or "registries.yaml:4:" in said
    assert "SECRET" not in said
    assert "12345678" not in said


@pytest.mark.row("CFG-08")
@pytest.mark.parametrize("entry", ["{SECRET, SECRET}", "{a: {SECRET: 1, SECRET: 2}}", "&a {password: SECRET, password: SECRET}", "[{SECRET, SECRET}]"])
def test_errors_show_nothing_below_a_key_for_anchors(entry, tmp_path):
    """It may hold credentials that an alias uses."""
    said = trust_faults(tmp_path, f"version: 1\nx-login: {entry}\n")

    assert said.startswith("registries.yaml:2:")
    assert "duplicate key" in said
    assert "SECRET" not in said


def test_login_from_an_anchor_is_read(tmp_path):
    """Keys at the top that begin with x- are free."""
    (tmp_path / "registries.yaml").write_text(
        "version: 1\nx-login: &login {username: me, password: '${PASS}'}\nregistries:\n  a.io: {credentials: *login}\n  b.io: {credentials: *login}\n"
    )

    settings = load_registries(str(tmp_path / "registries.yaml"), {"PASS": "word"})

    assert [settings.for_registry(host).credentials.password.reveal() for host in ("a.io", "b.io")] == ["word", "word"]


@pytest.mark.row("AUTH-22")
@pytest.mark.parametrize("where", ["source", "destination", "source.registry", "registries.yaml", "proxy", "token_server", "listing", "copy", "list", "state"])
def test_login_in_a_url_is_refused_and_not_repeated(where, lab):
    """The error for https://USER:PASSWORD@HOST shows the place only."""
    url = "https://user:word-SECRET@registry.example"
    plain = url.removeprefix("https://")
    setting = {"proxy": f"socks5://{plain}", "token_server": url, "listing": {"kind": "gitlab", "url": url}}
    if where in setting:
        lab.write("registries.yaml", json.dumps({"version": 1, "registries": {"registry.example": {where: setting[where]}}}))
    elif where == "registries.yaml":
        lab.write("registries.yaml", json.dumps({"version": 1, "registries": {plain: {}}}))
    source = {"source": f"{url}/a", "source.registry": {"registry": url, "repositories": ["a"]}}.get(where, "registry.example/a")
    lab.workplace.mirror("a", source=source, destinations=[f"{plain if where == 'destination' else 'registry.example'}/m"])
    command = {"copy": ["copy", f"{plain}/a:1", "registry.example/b:1"], "list": ["list", url], "state": ["plan", "--state", f"oci://{plain}/a:1"]}

    ran = lab.run(*command.get(where, ["validate"]))

    assert ran.code == 3
    assert "registry" in ran.stderr


@pytest.mark.row("CFG-02")
def test_registry_with_two_entries_is_an_error(tmp_path):
    """Also when they are written differently."""
    text = "version: 1\nregistries:\n  r.io: {tls: true}\n  r.io: {tls: false}\n"
    assert "duplicate key 'r.io'" in faults_of(tmp_path, mirror(), registry_settings=text)[0]
    text = "version: 1\nregistries:\n  R.io: {credentials: {username: u, password: p}}\n  r.io: {tls: false}\n"
    assert faults_of(tmp_path, mirror(), registry_settings=text) != []


@pytest.mark.parametrize("other", ["index.docker.io", "registry-1.docker.io"])
def test_registry_under_two_names_is_an_error(other, tmp_path):
    """The second entry would replace the login and TLS settings of the first."""
    (fault,) = faults_of(tmp_path, mirror(), registry_settings=f"version: 1\nregistries:\n  docker.io: {{rate: 1/s}}\n  {other}: {{rate: 9/s}}\n")

    assert fault == f"registries:4:3: registries.{other}: duplicate registry docker.io (keep one)"


@pytest.mark.row("CFG-11")
def test_link_to_missing_settings_is_an_error(lab):
    """Without the file, no allow-list and no requirement would hold."""
    lab.declare("app")
    (lab.folder / "registries.yaml").unlink()
    (lab.folder / "registries.yaml").symlink_to("secrets/registries.yaml")

    for arguments in (["plan"], ["plan", "--registries", ""], ["list", lab.source.host]):
        ran = lab.run(*arguments)

        assert ran.code == 3
        assert "cannot be read: " in ran.stderr
    assert lab.source.seen == []


@pytest.mark.row("CFG-03")
@pytest.mark.parametrize("name", ["\x00", "a" * 5000, "/no/such/file"])
@pytest.mark.parametrize("setting", ["tls: {ca: NAME}", "tls: {cert: NAME}", "credentials: {username: u, password: {file: NAME}}"])
def test_impossible_file_name_is_an_error(setting, name, tmp_path):
    """In registries.yaml too."""
    faults = faults_of(tmp_path, mirror(), registry_settings=f"version: 1\nregistries:\n  r.io: {{{setting.replace('NAME', json.dumps(name))}}}\n")

    assert len(faults) == 1
    assert "no such file" in faults[0] or "cannot read the password file" in faults[0]


@pytest.mark.row("CFG-10", "GIT-03")
def test_registries_file_among_the_declarations_is_an_error(lab):
    """Registry settings come only from the operator's file; no request is sent."""
    lab.workplace.mirror("a", source=f"{lab.source}/x", destinations=[f"{lab.destination}/m"])
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    (lab.folder / "registries.yaml").rename(lab.folder / "mirrors.d/registries.yaml")

    ran = lab.run("plan")

    assert ran.code == 3
    assert "mirrors.d/registries.yaml:1:1: these are registry settings, not declarations" in ran.stderr
    assert (lab.source.seen, lab.destination.seen) == ([], [])


def test_key_of_a_fleet_is_read_and_not_shown(tmp_path):
    """From a variable or a file; without `key`, messages are not signed."""
    path = tmp_path / "registries.yaml"
    (tmp_path / "key").write_text("f" * 32 + "\n")
    found = {}
    for written in ("'${KEY}'", f"{{file: {tmp_path}/key}}"):
        path.write_text(f"version: 1\nbroker: {{key: {written}}}\n")
        found[written] = load_registries(str(path), {"KEY": "f" * 32}).broker
    path.write_text("version: 1\nbroker: {}\n")

    assert [one.key.reveal() for one in found.values()] == ["f" * 32] * 2
    assert "ffff" not in repr(found)
    assert load_registries(str(path), {}).broker.key is None


@pytest.mark.parametrize("written", ["'${KEY:-}'", "hunter2", "{file: short}"])
def test_key_of_a_fleet_that_is_too_short_is_an_error(tmp_path, monkeypatch, written):
    """An empty variable too: it must not turn the check off. The key is not shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("hunter2")

    text = trust_faults(tmp_path, f"version: 1\nbroker: {{key: {written}}}\n")

    assert "fewer than 32" in text
    assert "openssl rand -hex 32" in text
    assert "hunter2" not in text
