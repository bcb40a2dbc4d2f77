"""Credential files of docker and podman."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from imgsync.errors import InvalidReferenceError
from imgsync.oci.auth.auth_files import AuthFile, load_auth_files
from imgsync.oci.spec.reference import parse_registry
from tests.support.logins import BASIC, CREDENTIALS, PASSWORD, WANTS_LOGIN
from tests.support.outcomes import error_of


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize("where", ["registries.yaml", "docker/config.json"])
def test_login_is_for_one_host_and_port(where, lab):
    """A registry with a similar name gets no login."""
    lab.source.add(WANTS_LOGIN)
    others = [f"localhost:{lab.source.port - 1}", f"localhost.example.com:{lab.source.port}", f"ocalhost:{lab.source.port}", f"x.localhost:{lab.source.port}"]
    hosts = [lab.source.host, "localhost", *others]
    trusted: dict[str, object] = {f"localhost:{lab.source.port}": {"tls": False}}
    if where == "registries.yaml":
        trusted |= {host: {"credentials": CREDENTIALS, "tls": False} for host in hosts}
    else:
        keys = [*hosts, *(f"https://{host}/v1/" for host in hosts), f"localhost.:{lab.source.port}", f"localhost:{lab.source.port}x"]
        lab.write(where, json.dumps({"auths": {key: {"auth": BASIC[6:]} for key in keys}}))
    lab.write("registries.yaml", json.dumps({"version": 1, "registries": trusted}))
    lab.workplace.mirror("a", source=f"localhost:{lab.source.port}/{lab.name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    assert "no credentials for localhost" in error_of(lab.run("plan", "-o", "json"))
    assert lab.source.seen
    assert not [one for one in lab.source.seen if "authorization" in one.headers]


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize(
    "host", ["\u212aube.io", "kube.io.", "kube.io:444", "kube.io.evil.net", "notkube.io", "kube.io@evil.net", "user@kube.io", "kube.io\u200b"]
)
def test_similar_name_is_another_registry(host):
    """Only the exact key of an auth file counts, and odd registry names are refused."""
    file = AuthFile("f", {host: {"auth": BASIC[6:]}})

    assert file.find_login("kube.io", "a") is None
    if host not in {"kube.io:444", "kube.io.evil.net", "notkube.io"}:
        with pytest.raises(InvalidReferenceError):
            parse_registry(host)


@pytest.mark.row("AUTH-20")
@pytest.mark.parametrize("by_variable", [False, True], ids=["in HOME", "by NETRC"])
def test_netrc_is_not_read(by_variable, lab):
    """Logins in .netrc are not used for registries."""
    text = f"machine 127.0.0.1 login me password netrc-SECRET\nmachine {lab.source.host} login me password netrc-SECRET\n"
    file = lab.write("elsewhere" if by_variable else "home/.netrc", text)
    file.chmod(0o600)
    lab.source.add(WANTS_LOGIN)
    lab.declare("app", retry="{attempts: 1}")

    message = error_of(lab.run("plan", "-o", "json", env={"NETRC": str(file)} if by_variable else {}))

    assert "no credentials" in message
    assert not [one for one in lab.source.seen if "authorization" in one.headers]


@pytest.mark.row("AUTH-24")
@pytest.mark.parametrize("damage", ["cut", "quoted", "no object"])
def test_damaged_auth_file_is_reported_without_its_text(damage, lab):
    """The warning shows file and line; the run continues anonymously."""
    whole = json.dumps({"auths": {lab.source.host: {"auth": BASIC[6:], "password": PASSWORD}}}, indent=1)
    text = {"cut": whole[: whole.index(PASSWORD) + len(PASSWORD)], "quoted": whole.replace(f'"{PASSWORD}"', PASSWORD), "no object": f'["{PASSWORD}"]'}[damage]
    file = lab.write("docker/config.json", text)
    lab.source.add(WANTS_LOGIN)
    lab.declare("app", retry="{attempts: 1}")

    ran = lab.run("plan", "-o", "json", "--log-level", "debug")

    assert "no credentials" in error_of(ran)
    assert str(file) in ran.events("credentials.unread")[0]["reason"]


@pytest.mark.row("AUTH-24")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o602])
def test_world_readable_auth_file_is_a_warning(mode, lab):
    """Its logins are used; the warning says how to protect them."""
    file = lab.write("docker/config.json", json.dumps({"auths": {lab.source.host: {"auth": BASIC[6:]}}}))
    file.chmod(mode)
    lab.declare("app", retry="{attempts: 1}")

    told = lab.run("plan", "-o", "json").events("credentials.exposed")

    assert [one["path"] for one in told] == ([str(file)] if mode & 0o007 else [])


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def files_of(folder: Path, document: object, **environ: str) -> tuple[AuthFile, ...]:
    (folder / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return load_auth_files({"DOCKER_CONFIG": str(folder), "HOME": str(folder / "home"), **environ})


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize(
    ("auths", "registry", "expected"),
    [
        ({"quay.io": {"auth": auth("me:pass:word")}}, "quay.io", ("me", "pass:word")),
        ({"https://quay.io/v2/": {"auth": auth("me:x")}}, "quay.io", ("me", "x")),
        ({"https://index.docker.io/v1/": {"auth": auth("me:x")}}, "docker.io", ("me", "x")),
        ({"quay.io": {"username": "me", "password": "x"}}, "quay.io", ("me", "x")),
        ({"quay.io": {"auth": auth("me:x\0\0")}}, "quay.io", ("me", "x")),
        ({"quay.io": {"auth": base64.encodebytes(b"me:" + b"p" * 80).decode()}}, "quay.io", ("me", "p" * 80)),
        ({"quay.io": {"auth": auth("me:xy").rstrip("=")}}, "quay.io", ("me", "xy")),
        ({"quay.io:443": {"auth": auth("me:x")}}, "quay.io", ("me", "x")),
        ({"quay.io:444": {"auth": auth("me:x")}}, "quay.io", None),
        ({"evil-quay.io": {"auth": auth("me:x")}}, "quay.io", None),
        ({"quay.io": {"auth": "%%%"}}, "quay.io", None),
        ({"quay.io": {"auth": auth("nocolon")}}, "quay.io", None),
        ({"quay.io": {}}, "quay.io", None),
        ({"quay.io": "text"}, "quay.io", None),
    ],
)
def test_docker_credentials_match_the_exact_host(auths, registry, expected, tmp_path):
    """The exact host counts, in every form that docker writes."""
    found = files_of(tmp_path, {"auths": auths})[-1].find_login(registry, "team/app")

    assert (found and (found.username, found.password)) == expected
    assert found is None or found.password not in repr(found)


@pytest.mark.parametrize("text", ["%%%", auth("nocolon-SECRET"), "a" * 5])
def test_unreadable_auth_is_a_warning_with_its_key(text, tmp_path):
    """The warning names file and registry, never the value."""
    *_, file = files_of(tmp_path, {"auths": {"quay.io": {"auth": text}, "r.io": {"auth": auth("me:x")}, "empty.io": {"auth": ""}}})

    assert f"{tmp_path / 'config.json'}: `auth` of quay.io is not `user:password` in base64" in file.warning
    assert text not in file.warning
    assert file.find_login("r.io", "a") is not None


def test_identity_tokens_differ_from_passwords(tmp_path):
    """An identity token is exchanged, not sent as a password."""
    found = files_of(tmp_path, {"auths": {"r.io": {"auth": auth("me:"), "identitytoken": "refresh"}}})[-1].find_login("r.io", "a")

    assert found is not None
    assert (found.username, found.password, found.identity_token) == ("me", "refresh", True)


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize(
    ("path", "user"), [("ns/user/image", "image"), ("ns/user/other", "user"), ("ns/userland", "ns"), ("ns", "ns"), ("else", "host"), ("", "host")]
)
def test_longest_path_prefix_wins(path, user):
    """By whole path parts, in any order of the file."""
    keys = {"r.io/ns": "ns", "r.io": "host", "r.io/ns/user/image": "image", "r.io/ns/user": "user"}
    file = AuthFile("f", {key: {"auth": auth(f"{name}:x")} for key, name in keys.items()})

    found = file.find_login("r.io", path)

    assert found is not None
    assert found.username == user


def test_files_are_read_in_their_order(tmp_path):
    """REGISTRY_AUTH_FILE or the containers' places, DOCKER_AUTH_CONFIG, then docker's own file."""
    for name in ("one.json", "run/containers/auth.json", "xdg/containers/auth.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"auths": {"r.io": {"auth": auth(f"{name}:x")}}}))
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_CONFIG_HOME": str(tmp_path / "xdg"), "DOCKER_AUTH_CONFIG": json.dumps({"auths": {}})}
    document = {"auths": {"r.io": {"auth": auth("docker:x")}}}

    def users(**more: str) -> list[str]:
        found = [file.find_login("r.io", "a") for file in files_of(tmp_path, document, **environ, **more)]
        return [login.username for login in found if login is not None]

    assert users() == ["run/containers/auth.json", "xdg/containers/auth.json", "docker"]
    assert users(REGISTRY_AUTH_FILE=str(tmp_path / "one.json")) == ["one.json", "docker"]


@pytest.mark.row("AUTH-24")
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("not json SECRET", ":1:1: "),
        ('{\n "auths": {\n  SECRET\n', ":3:3: "),
        ("[]", " is not a registry credentials file"),
        ('{"auths": [5]}', " is not a registry credentials file"),
        ("[" * 100_000, " is not a registry credentials file"),
        ('"SECRET"', " is not a registry credentials file"),
    ],
    ids=["text", "line 3", "list", "auths", "deep", "string"],
)
def test_damaged_files_are_skipped_with_their_place(text, where, tmp_path):
    """The warning shows file and line, never the text; other files still count."""
    *_, file = files_of(tmp_path, text)

    assert file.find_login("quay.io", "a") is None
    assert f"{tmp_path / 'config.json'}{where}" in file.warning
    assert "SECRET" not in file.warning
