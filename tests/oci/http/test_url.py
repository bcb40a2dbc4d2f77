"""URLs: parsed strictly, joined, and shown without credentials."""

from __future__ import annotations

import httpx
import pytest

from imgsync.oci.http.url import find_url_secrets, has_credentials, join_url, origin_of, parse_url


@pytest.mark.parametrize(
    ("url", "origin", "host", "target"),
    [
        ("https://r.io/v2/", ("https", "r.io", 443), "r.io", "/v2/"),
        ("http://r.io", ("http", "r.io", 80), "r.io", "/"),
        ("http://R.io:5000/v2/A?n=1&last=b", ("http", "r.io", 5000), "R.io:5000", "/v2/A?n=1&last=b"),
        ("https://r.io?n=1", ("https", "r.io", 443), "r.io", "/?n=1"),
        ("https://r.io/v2/#part", ("https", "r.io", 443), "r.io", "/v2/"),
        ("https://[fd00::1]:5000/v2/", ("https", "fd00::1", 5000), "[fd00::1]:5000", "/v2/"),
        ("https://user:pass@r.io/v2/", ("https", "r.io", 443), "r.io", "/v2/"),
        # As it was said, so that a signed URL stays the one that was signed.
        ("https://s3.io/a%2Fb?X=%3D+~$", ("https", "s3.io", 443), "s3.io", "/a%2Fb?X=%3D+~$"),
        ("https://r.io/é b", ("https", "r.io", 443), "r.io", "/%C3%A9%20b"),
        ("https://r.io/a b", ("https", "r.io", 443), "r.io", "/a%20b"),
        ("https://r.io/a\tb", ("https", "r.io", 443), "r.io", "/a%09b"),
    ],
)
def test_url_is_parsed(url, origin, host, target):
    """The scheme's port is the default; printable ASCII in the path stays as it is."""
    assert parse_url(url) == (origin, host, target)
    assert origin_of(url) == origin


@pytest.mark.row("RUN-07")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "r.io/v2/",
        "/v2/",
        "ftp://r.io/",
        "file:///etc/passwd",
        "https:///v2/",
        "https://a b/",
        "https://r^io/",
        "https://r.io:99999/",
        "https://r.io:x/",
        "https://[::1/",
    ],
)
def test_url_that_cannot_be_requested_is_an_error(url):
    """Ambiguous hosts, invalid ports and other schemes."""
    with pytest.raises(httpx.InvalidURL):
        parse_url(url)


def test_error_shows_the_beginning_of_a_host():
    """A hundred letters."""
    with pytest.raises(httpx.InvalidURL) as caught:
        parse_url(f"https://{'^' * 5000}/")

    assert str(caught.value) == f"'{'^' * 100}' is not a valid host"


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("/v2/a?n=2", "https://r.io/v2/a?n=2"),
        ("?n=2", "https://r.io/v2/tags?n=2"),
        ("other", "https://r.io/v2/other"),
        ("HTTPS://s3.io/b", "https://s3.io/b"),
        ("//s3.io/b", "https://s3.io/b"),
        ("http://s3.io/b", "http://s3.io/b"),
    ],
)
def test_relative_url_is_joined_to_its_request(said, url):
    """The scheme is in lower case, so that comparisons work."""
    assert join_url("https://r.io/v2/tags", said) == url


@pytest.mark.parametrize("said", ["https://[::1", "ftp://r.io/", "https://r^io/", "javascript:alert(1)"])
def test_invalid_relative_url_is_one_kind_of_error(said):
    """In whichever way it is invalid."""
    with pytest.raises(httpx.InvalidURL):
        join_url("https://r.io/v2/tags", said)


@pytest.mark.row("AUTH-22")
@pytest.mark.parametrize(
    ("url", "has", "hidden"),
    [
        ("http://proxy.io:3128", False, ()),
        ("http://user@proxy.io:3128", True, ()),
        ("http://user:p%40ss@proxy.io:3128", True, ("p%40ss", "p@ss", "user:p@ss")),
        ("http://:secret@proxy.io", True, ("secret", "secret", ":secret")),
        ("http://user:a@b@proxy.io", True, ("a@b", "a@b", "user:a@b")),
    ],
)
def test_login_in_a_url_is_found(url, has, hidden):
    """The password in each form; a user alone is not a secret."""
    assert has_credentials(url) is has
    assert find_url_secrets(url) == hidden
