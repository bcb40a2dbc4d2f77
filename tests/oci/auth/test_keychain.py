"""Who we are: files and helpers in their order, asked only when needed; whatever is wrong with them is said, never quoted."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from imgsync.errors import CredentialsError
from imgsync.oci.auth.auth_files import AuthFile, load_auth_files
from imgsync.oci.auth.credential_helper import ask_helper
from imgsync.oci.auth.keychain import Keychain
from imgsync.oci.endpoint import Credentials


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def files_of(folder: Path, document: object, **environ: str) -> tuple[AuthFile, ...]:
    (folder / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return load_auth_files({"DOCKER_CONFIG": str(folder), "HOME": str(folder / "home"), **environ})


def keychain(
    *files: AuthFile, helpers: dict[str, object] | None = None, warnings: list[str] | None = None, asked: list[tuple[str, str]] | None = None
) -> Keychain:
    def ask(name: str, registry: str) -> Credentials | None:
        if asked is not None:
            asked.append((name, registry))
        answer = (helpers or {}).get(name)
        if isinstance(answer, Exception):
            raise answer
        return Credentials(str(answer), "from-helper", name, renewable=True) if answer else None

    return Keychain(files, ask=ask, on_secret=lambda _: None, on_warning=([] if warnings is None else warnings).append)


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize(
    ("auths", "registry", "expected"),
    [
        ({"quay.io": {"auth": auth("me:pass:word")}}, "quay.io", ("me", "pass:word")),
        ({"https://quay.io/v2/": {"auth": auth("me:x")}}, "quay.io", ("me", "x")),
        ({"https://index.docker.io/v1/": {"auth": auth("me:x")}}, "docker.io", ("me", "x")),
        ({"quay.io": {"username": "me", "password": "x"}}, "quay.io", ("me", "x")),
        ({"quay.io": {"auth": auth("me:x\0\0")}}, "quay.io", ("me", "x")),
        ({"quay.io:443": {"auth": auth("me:x")}}, "quay.io", None),
        ({"evil-quay.io": {"auth": auth("me:x")}}, "quay.io", None),
        ({"quay.io": {"auth": "%%%"}}, "quay.io", None),
        ({"quay.io": {"auth": auth("nocolon")}}, "quay.io", None),
        ({"quay.io": {}}, "quay.io", None),
        ({"quay.io": "text"}, "quay.io", None),
    ],
)
def test_docker_credentials(auths, registry, expected, tmp_path):
    """The exact host counts, however docker wrote it down."""
    found = files_of(tmp_path, {"auths": auths})[-1].login(registry, "team/app")

    assert (found and (found.username, found.password)) == expected
    assert found is None or found.password not in repr(found)


def test_identity_tokens_are_told_from_passwords(tmp_path):
    """An identity token is exchanged, not sent as a password."""
    found = files_of(tmp_path, {"auths": {"r.io": {"auth": auth("me:"), "identitytoken": "refresh"}}})[-1].login("r.io", "a")

    assert found is not None
    assert (found.username, found.password, found.identity_token) == ("me", "refresh", True)


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize(
    ("path", "user"), [("ns/user/image", "image"), ("ns/user/other", "user"), ("ns/userland", "ns"), ("ns", "ns"), ("else", "host"), ("", "host")]
)
def test_longest_path_prefix_wins(path, user):
    """By whole parts of the path, whatever the order in the file."""
    keys = {"r.io/ns": "ns", "r.io": "host", "r.io/ns/user/image": "image", "r.io/ns/user": "user"}
    file = AuthFile("f", {key: {"auth": auth(f"{name}:x")} for key, name in keys.items()})

    found = file.login("r.io", path)

    assert found is not None
    assert found.username == user


def test_files_count_in_their_order(tmp_path):
    """REGISTRY_AUTH_FILE, else containers' places; then DOCKER_AUTH_CONFIG; then docker's own file."""
    for name in ("one.json", "run/containers/auth.json", "xdg/containers/auth.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"auths": {"r.io": {"auth": auth(f"{name}:x")}}}))
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_CONFIG_HOME": str(tmp_path / "xdg"), "DOCKER_AUTH_CONFIG": json.dumps({"auths": {}})}
    document = {"auths": {"r.io": {"auth": auth("docker:x")}}}

    def users(**more: str) -> list[str]:
        found = [file.login("r.io", "a") for file in files_of(tmp_path, document, **environ, **more)]
        return [login.username for login in found if login is not None]

    assert users() == ["run/containers/auth.json", "xdg/containers/auth.json", "docker"]
    assert users(REGISTRY_AUTH_FILE=str(tmp_path / "one.json")) == ["one.json", "docker"]


@pytest.mark.row("AUTH-24")
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("not json SECRET", ":1:1: "),
        ('{\n "auths": {\n  SECRET\n', ":3:3: "),
        ("[]", " is no file"),
        ('{"auths": [5]}', " is no file"),
        ("[" * 100_000, " is no file"),
        ('"SECRET"', " is no file"),
    ],
    ids=["text", "line 3", "list", "auths", "deep", "string"],
)
def test_damaged_files_are_told_by_place_without_their_text(text, where, tmp_path):
    """The warning names file and line, never what is in it; the others still count."""
    *_, file = files_of(tmp_path, text)

    assert file.login("quay.io", "a") is None
    assert f"{tmp_path / 'config.json'}{where}" in file.warning
    assert "SECRET" not in file.warning


def test_own_helper_then_file_then_store():
    """A registry's own helper decides; the file's login comes before the helper for all; without any, the next file is asked."""
    first = AuthFile("first", {"file.io": {"auth": auth("file:x")}, "own.io": {"auth": auth("no:x")}}, store="all", helpers={"own.io": "own"})
    second = AuthFile("second", {"other.io": {"auth": auth("second:x")}})
    asked: list[tuple[str, str]] = []
    chain = keychain(first, second, helpers={"own": "helped"}, asked=asked)

    assert chain.find("own.io", "a").username == "helped"
    assert chain.find("file.io", "a").username == "file"
    assert chain.find("other.io", "a").username == "second"
    assert chain.find("nobody.io", "a") is None
    assert asked == [("own", "own.io"), ("all", "other.io"), ("all", "nobody.io")]
    assert chain.looked_in == ("first", "docker-credential-all", "second")


def test_helpers_are_asked_once_and_again_when_told():
    """However many need the answer; a refused login is asked for anew."""
    asked: list[tuple[str, str]] = []
    chain = keychain(AuthFile("f", store="all"), helpers={"all": "me"}, asked=asked)

    for _ in range(3):
        assert chain.find("r.io", "a").username == "me"
    assert len(asked) == 1
    chain.find("r.io", "a", renew=True)
    assert len(asked) == 2


def test_broken_store_means_nobody_and_a_broken_own_helper_is_an_error():
    """A helper for everything that fails is told once, and public registries still work; the one named for this registry must work."""
    broken = CredentialsError("the credential helper docker-credential-x is not installed")
    warnings: list[str] = []
    chain = keychain(AuthFile("f", store="x", helpers={"own.io": "x"}), helpers={"x": broken}, warnings=warnings)

    assert chain.find("r.io", "a") is None
    assert chain.find("s.io", "a") is None
    assert len(warnings) == 1
    with pytest.raises(CredentialsError, match="not installed"):
        chain.find("own.io", "a")


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Install docker-credential-test with a body of shell."""

    def install(body: str) -> None:
        program = tmp_path / "bin" / "docker-credential-test"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return install


def test_helper_is_asked_as_the_protocol_says(helper, tmp_path):
    """`get` with the server on stdin; Docker Hub by the name docker gave it."""
    helper(f'read server; echo "$1 $server" >> {tmp_path}/asked; echo \'{{"ServerURL":"x","Username":"me","Secret":"s3cret"}}\'')

    assert ask_helper("test", "r.io:5000") == Credentials("me", "s3cret", "docker-credential-test", renewable=True)
    ask_helper("test", "docker.io")

    assert (tmp_path / "asked").read_text().splitlines() == ["get r.io:5000", "get https://index.docker.io/v1/"]


def test_helper_may_give_an_identity_token_or_know_nothing(helper):
    """`<token>` as username marks an identity token; "credentials not found" is no error."""
    helper('echo \'{"Username":"<token>","Secret":"refresh"}\'')
    assert ask_helper("test", "r.io").identity_token
    helper("echo credentials not found in native keychain; exit 1")
    assert ask_helper("test", "r.io") is None
    helper('echo \'{"Username":"","Secret":""}\'')
    assert ask_helper("test", "r.io") is None


@pytest.mark.row("AUTH-23")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sleep 60 & sleep 60", "did not answer within 0.5s"),
        ("echo SECRET", "printed no login"),
        ('echo \'{"Username": 5, "Secret": "SECRET"}\'', "printed no login"),
        ("echo SECRET; exit 3", "failed with exit code 3"),
    ],
    ids=["hangs", "garbage", "wrong types", "fails"],
)
def test_helper_that_misbehaves_is_an_error_without_its_words(body, message, helper):
    """What it printed is not repeated: it may be a secret."""
    helper(body)

    with pytest.raises(CredentialsError, match=message) as caught:
        ask_helper("test", "r.io", timeout_seconds=0.5)
    assert "SECRET" not in caught.value.message + caught.value.hint


@pytest.mark.row("AUTH-23")
@pytest.mark.parametrize("name", ["missing-one", "../../bin/sh", "a b", ""])
def test_helper_that_is_missing_or_misnamed_is_an_error(name):
    """A name is a name, never a path."""
    with pytest.raises(CredentialsError):
        ask_helper(name, "r.io")
