"""References: their grammar, defaults and errors."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import laws
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Reference, Repository, parse_reference, parse_registry, parse_repository, parse_repository_path
from tests.support.images import digest_of as digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("bitnami/nginx", "docker.io/bitnami/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx"),
        ("localhost/a", "localhost/a"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("[::1]:5000/a:b", "[::1]:5000/a:b"),
        (f"quay.io/a/b:c@{digest(b'')}", f"quay.io/a/b:c@{digest(b'')}"),
        ("quay.io/a__b/c-d.e", "quay.io/a__b/c-d.e"),
    ],
)
def test_docker_s_short_references(text, expected):
    """Docker Hub and `library/` are the defaults."""
    assert str(parse_reference(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "A", "quay.io/A", "quay.io/a:b:c", "quay.io/../a", "quay.io/a/../b", "quay.io//a", "quay.io/a/", "quay.io/a@sha256:x"],
)
def test_invalid_references_are_refused(text):
    """Each is one clear error."""
    with pytest.raises(InvalidReferenceError):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    ["https://quay.io/a", "user:pw@quay.io/a", "quay.io/a\n", "quay.io/a:b\n", "quay.io/a%2f", "quay.io:99999/a", "quаy.io/a"],
    ids=["scheme", "user", "newline in path", "newline in tag", "escape", "port", "cyrillic"],
)
def test_ambiguous_references_are_refused(text):
    """URLs, user info, line breaks, escapes, look-alike letters."""
    with pytest.raises(InvalidReferenceError):
        parse_reference(text)


def test_length_of_names_is_limited():
    """255 characters of path, 128 of tag."""
    assert parse_reference(f"quay.io/{'a' * 255}:{'b' * 128}").tag == "b" * 128
    for text in (f"quay.io/{'a' * 256}", f"quay.io/a:{'b' * 129}"):
        with pytest.raises(InvalidReferenceError):
            parse_reference(text)


@given(st.text(alphabet=string.ascii_letters + string.digits + "./:@_-[]\n é", max_size=60))
def test_printed_reference_is_read_back(text):
    """It means the same."""
    laws.references(text.encode())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("r.io:0", "r.io:0"),
        ("r.io:65535", "r.io:65535"),
        ("[::1]", "[::1]"),
        ("[fd00::1]:5000", "[fd00::1]:5000"),
        (f"{'a' * 252}.io", f"{'a' * 252}.io"),
        ("localhost", "localhost"),
    ],
)
def test_valid_and_invalid_registries(text, name):
    """A host of at most 255 letters, a port of at most 65535."""
    assert parse_registry(text) == name


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize(
    ("parse", "text", "message", "hint"),
    [
        (parse_registry, "r.io:65536", "'r.io:65536' is not a registry name", "write HOST or HOST:PORT in lower case, such as registry.internal:5000"),
        (parse_registry, "r.io:99999", "'r.io:99999' is not a registry name", "write HOST or HOST:PORT"),
        (parse_registry, f"{'a' * 253}.io", "is not a registry name", "write HOST or HOST:PORT"),
        (parse_registry, "[::g]", "'[::g]' is not a registry name", ""),
        (parse_registry, "[1:2]", "'[1:2]' is not a registry name", ""),
        (parse_registry, "R.io", "'R.io' is not a registry name", ""),
        (parse_registry, "r.io.", "'r.io.' is not a registry name", ""),
        (parse_registry, "https://r.io", "'https://r.io' is written as a URL", "write it without https://: r.io"),
        (parse_registry, "user@r.io", "a registry name must not contain a user or password", "credentials belong in registries.yaml"),
        (parse_repository_path, "App", "'App' is not a repository path", "write app"),
        (parse_repository_path, "a b", "'a b' is not a repository path", "paths are lower-case words joined by '/', '.', '_' or '-'"),
        (parse_repository, "nginx", "'nginx' has no registry", "write docker.io/library/nginx"),
        (parse_repository, "bitnami/nginx", "'bitnami/nginx' has no registry", "write docker.io/bitnami/nginx"),
        (parse_repository, "zzz/nginx", "'zzz/nginx' has no registry", "write docker.io/zzz/nginx"),
        (parse_repository, "r.io", "'r.io' names no repository", "write r.io/REPOSITORY"),
        (parse_reference, f"r.io/a@sha256:{'x' * 200}", f"'sha256:{'x' * 93}' is not a digest", "write sha256: and 64 lower-case hex digits"),
        (parse_reference, "r.io/a:%", "'%' is not a tag", "tags are up to 128 letters"),
        (parse_reference, "f" * 64, "is an image ID, not a name", f"NAME@sha256:{'f' * 64}"),
    ],
)
def test_error_shows_the_problem_and_the_remedy(parse, text, message, hint):
    """In the user's words."""
    with pytest.raises(InvalidReferenceError) as caught:
        parse(text)

    assert message in caught.value.message
    assert hint in caught.value.hint


def test_host_in_upper_case_is_an_error():
    """`Quay/app` is not looked up at Docker Hub."""
    with pytest.raises(InvalidReferenceError, match="'Quay' is not a registry name"):
        parse_reference("Quay/app")
    assert parse_reference("zquay/app").repository == Repository("docker.io", "zquay/app")


def test_digest_of_a_reference_precedes_its_tag():
    """A digest decides, inside or beside the reference."""
    repository = Repository("r.io", "a")

    assert repository.with_name("1.2") == Reference(repository, tag="1.2")
    assert repository.with_name(digest(b"")) == Reference(repository, digest=digest(b""))
    assert [one.name for one in (repository.with_name("1"), Reference(repository, "1", digest(b"")), Reference(repository))] == ["1", digest(b""), ""]


def test_image_identifier_is_not_a_name():
    """64 hex digits are an image ID; the hint shows how a digest is written."""
    with pytest.raises(InvalidReferenceError, match="is an image ID") as caught:
        parse_reference("a" * 64)
    assert caught.value.hint.endswith(f"NAME@sha256:{'a' * 64}")
    assert str(parse_reference("a" * 63)) == f"docker.io/library/{'a' * 63}"
