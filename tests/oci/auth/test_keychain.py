"""Credentials from files and helpers, in their order, read when needed."""

from __future__ import annotations

import base64

import pytest

from imgsync.errors import CredentialsError
from imgsync.oci.auth.auth_files import AuthFile
from imgsync.oci.auth.keychain import Keychain
from imgsync.oci.endpoint import Credentials


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


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


def test_own_helper_then_file_then_store():
    """The registry's helper, then the file's login, then the store, then the next file."""
    first = AuthFile("first", {"file.io": {"auth": auth("file:x")}, "own.io": {"auth": auth("no:x")}}, default_helper="all", helpers={"own.io": "own"})
    second = AuthFile("second", {"other.io": {"auth": auth("second:x")}})
    asked: list[tuple[str, str]] = []
    chain = keychain(first, second, helpers={"own": "helped"}, asked=asked)

    assert chain.find("own.io", "a").username == "helped"
    assert chain.find("file.io", "a").username == "file"
    assert chain.find("other.io", "a").username == "second"
    assert chain.find("nobody.io", "a") is None
    assert asked == [("own", "own.io"), ("all", "other.io"), ("all", "nobody.io")]
    assert chain.places == ("first", "docker-credential-all", "second")


def test_helpers_run_once_until_a_login_is_refused():
    """A refused login is read again."""
    asked: list[tuple[str, str]] = []
    chain = keychain(AuthFile("f", default_helper="all"), helpers={"all": "me"}, asked=asked)

    for _ in range(3):
        assert chain.find("r.io", "a").username == "me"
    assert len(asked) == 1
    chain.find("r.io", "a", renew=True)
    assert len(asked) == 2


def test_broken_store_is_anonymous_and_a_broken_own_helper_is_an_error():
    """A broken store is one warning; a registry's own helper must work."""
    broken = CredentialsError("the credential helper docker-credential-x is not installed")
    warnings: list[str] = []
    chain = keychain(AuthFile("f", default_helper="x", helpers={"own.io": "x"}), helpers={"x": broken}, warnings=warnings)

    assert chain.find("r.io", "a") is None
    assert chain.find("s.io", "a") is None
    assert len(warnings) == 1
    with pytest.raises(CredentialsError, match="not installed"):
        chain.find("own.io", "a")
