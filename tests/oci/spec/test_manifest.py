"""Every parser of foreign text: what is right is read, what is wrong is refused by name, nothing else ever comes out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import laws
from imgsync.errors import ContentMismatchError, ImgsyncError, UnsupportedContentError
from imgsync.oci.auth.challenge import parse_challenges
from imgsync.oci.errors import Operation, error_of, retry_after_seconds
from imgsync.oci.limits.retry import RetryPolicy, compute_pause_seconds, is_transient
from imgsync.oci.listing.rows import moment_of
from imgsync.oci.spec.digest import DigestVerifier, compute_digest, is_digest, require_digest, verify_chunks
from imgsync.oci.spec.manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, parse_manifest, parse_platform, select_platforms
from imgsync.text.sanitize import sanitize_message
from tests.support.images import digest_of as digest
from tests.support.images import image, index

_DESCRIPTOR = {"mediaType": "x/y", "digest": digest(b"x"), "size": 1}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://a/token",service="a",scope="repository:x:pull,push"',
            [("bearer", {"realm": "https://a/token", "service": "a", "scope": "repository:x:pull,push"})],
        ),
        ("bearer REALM=https://a/token , Service=a", [("bearer", {"realm": "https://a/token", "service": "a"})]),
        ('Negotiate, Bearer realm="r", Basic realm="b, c"', [("negotiate", {}), ("bearer", {"realm": "r"}), ("basic", {"realm": "b, c"})]),
        (r'Bearer realm="quo\"ted"', [("bearer", {"realm": 'quo"ted'})]),
        ('Bearer realm="one",realm="two"', [("bearer", {"realm": "one"})]),
        ("", []),
        ('="nothing"', []),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_challenges_are_read_by_their_grammar(header, expected):
    """Several challenges, quoted commas and escapes, any case."""
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges([header])] == expected


def test_challenge_is_read_for_sixteen_kibibytes():
    """What stands behind them might as well not be there; values are to be kept as they are."""
    behind = ', Basic realm="late"'
    room = (16 << 10) - len('Bearer realm="r",filler=""') - len(behind)

    read = [parse_challenges([f'Bearer realm="r",filler="{"x" * fill}"{behind}']) for fill in (room, room + 1)]

    assert [[one.scheme for one in challenges] for challenges in read] == [["bearer", "basic"], ["bearer", "basic"]]
    assert [challenges[-1].parameters.get("realm") for challenges in read] == ["late", None]
    with pytest.raises(AttributeError):
        read[0][0].scheme = "basic"


@given(st.text(max_size=200))
def test_no_header_breaks_the_challenge_parser(header):
    """Whatever a registry sends, parsing ends, and schemes are lower-case tokens."""
    laws.headers(header.encode())
    laws.headers(f"Bearer {header}".encode())


@pytest.mark.row("NET-02")
@pytest.mark.row("DOS-11")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thursday, 01-Jan-70 00:01:40 GMT", 90.0),
        ("Thu Jan  1 00:01:40 1970", 90.0),
        ("Thu, 01 Jan 1970 00:01:40 -0000", 90.0),
        ("Thu, 01 Jan 1970 01:01:40 +0100", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", None),
        ("Thu, 01 Jan 1970 25:00:00 GMT", None),
        ("9" * 30, None),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("٣", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after(text, seconds):
    """Seconds or a date in any of its three forms; what is past or neither says nothing."""
    assert retry_after_seconds(text, now=10.0) == seconds


@pytest.mark.row("NET-03")
@pytest.mark.parametrize("said", ["", "soon", "-1", "1e9", "9" * 30, "Thu, 01 Jan 1970 00:00:01 GMT", "999999999999", "300"])
def test_pauses_after_429_are_bounded(said):
    """What cannot be meant is as if nothing was said: longer each time, by chance, up to a minute. What is said is obeyed up to five."""
    error = error_of(Operation("pull", "r/x:1", "source"), 429, headers={"retry-after": said}, body=b"")
    pauses = [compute_pause_seconds(RetryPolicy(), error, attempt=number) for number in range(1, 9) for _ in range(20)]

    if said == "300":
        assert set(pauses) == {300.0}
    elif said == "999999999999":
        assert not is_transient(error), "nobody waits so long"
    else:
        assert all(0 <= pause <= 60 for pause in pauses)
        assert max(pauses[:20]) <= 4 < max(pauses[-20:])


@pytest.mark.parametrize("text", ["Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", "soon", "", None, 5])
def test_dates_of_no_calendar_say_nothing(text):
    """What a listing says of its time breaks nothing, whatever its numbers."""
    assert moment_of(text) is None


@given(st.text())
def test_foreign_text_is_one_printable_line(text):
    """No control character, no line break, no more than some hundred characters survive (an escape takes up to ten)."""
    shown = sanitize_message(text)

    assert shown.isprintable()
    assert len(shown) <= 3000


@pytest.mark.row("DIG-08", "DIG-09")
@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (b'{"schemaVersion": 2}', "no image manifest"),
        (b'{"layers": [], "layers": []}', "readers take differently"),
        (b'{"layers": [], "Layers": []}', "readers take differently"),
        (b'{"layers": NaN}', "NaN"),
        (b'{"layers": {}}', "not a list"),
        (b'{"layers": [5]}', "not an object"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "size": -1}]}).encode(), "impossible size"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "size": True}]}).encode(), "impossible size"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "size": 1 << 60}]}).encode(), "impossible size"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "digest": "sha256:../../x"}]}).encode(), "not a sha256"),
        (json.dumps({"layers": [], "manifests": []}).encode(), "both an index and an image"),
        (json.dumps({"mediaType": 5, "layers": []}).encode(), "not text"),
        (json.dumps({"manifests": [_DESCRIPTOR] * 1001}).encode(), "1000 is the limit"),
        (b'{"layers": [], "x": "' + b"a" * (4 << 20) + b'"}', "larger than 4 MiB"),
    ],
)
def test_manifests_that_cannot_be_trusted_are_refused(document, message):
    """Each for its own reason."""
    with pytest.raises(UnsupportedContentError, match=message):
        parse_manifest(document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["layers", "manifests", "config", "mediaType", "size", "digest", "x"]), inner),
        max_leaves=20,
    )
)
def test_no_json_breaks_the_manifest_parser(document):
    """It is a manifest, or it is refused; the bytes are kept as they are."""
    laws.manifests(json.dumps(document).encode())


def test_media_type_is_the_manifest_s_own_then_the_header_s():
    """The document's word counts before the header's; without both its shape tells."""
    bare = json.dumps({"layers": []}).encode()

    assert parse_manifest(bare, content_type=f"{DOCKER_MANIFEST}; charset=utf-8").media_type == DOCKER_MANIFEST
    assert parse_manifest(json.dumps({"mediaType": OCI_MANIFEST, "layers": []}).encode(), content_type=DOCKER_MANIFEST).media_type == OCI_MANIFEST
    assert parse_manifest(bare).media_type == OCI_MANIFEST
    assert parse_manifest(json.dumps({"manifests": []}).encode()).media_type == OCI_INDEX


def test_platforms_are_selected_deterministically():
    """The same input gives the same bytes; children and their order stay; attestations go with what they attest."""
    whole = parse_manifest(index(3).raw)
    platform = next(child.platform for child in whole.children if child.platform)

    one, again = (select_platforms(whole, [platform]) for _ in range(2))

    assert one.raw == again.raw
    assert [child.digest for child in one.children] == [child.digest for child in whole.children if child.platform == platform]
    assert select_platforms(whole, [child.platform for child in whole.children]) is whole
    with pytest.raises(UnsupportedContentError, match="it has "):
        select_platforms(whole, [parse_platform("plan9/sparc")])


@pytest.mark.parametrize(
    ("wanted", "offered", "covers"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm", "linux/arm/v6", True),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_platforms_cover_each_other(wanted, offered, covers):
    """No variant asks for any; arm64 is arm64/v8."""
    assert parse_platform(wanted).matches(parse_platform(offered)) is covers


@pytest.mark.row("DIG-04", "DIG-05", "DIG-06")
@given(st.lists(st.binary(max_size=50), max_size=8), st.binary(min_size=1, max_size=4))
def test_verified_bytes_are_whole_or_never_end(chunks, extra):
    """Right bytes pass unchanged; wrong ones raise before the last of them is out."""
    content = b"".join(chunks)

    assert b"".join(verify_chunks(chunks, DigestVerifier(digest(content), len(content), "x"))) == content
    for wrong in ([*chunks, extra], [*chunks, b"", extra], [bytes(byte ^ 1 for byte in content), b""] if content else [extra]):
        passed = []
        with pytest.raises(ImgsyncError):
            passed.extend(verify_chunks(wrong, DigestVerifier(digest(content), len(content), "x")))
        assert len(b"".join(passed)) < max(1, len(content))


@pytest.mark.parametrize(("pieces", "actual"), [([b"ab"], "2 bytes"), ([b"abcd"], "more"), ([b"abd"], f"{digest(b'abd')}")], ids=["short", "long", "other"])
def test_wrong_bytes_are_told_by_what_is_wrong_with_them(pieces, actual):
    """Too few, too many, or others."""
    with pytest.raises(ContentMismatchError) as caught:
        list(verify_chunks(pieces, DigestVerifier(digest(b"abc"), 3, "the blob")))

    assert (caught.value.expected, caught.value.actual) == (digest(b"abc") if actual.startswith("sha256") else "3 bytes", actual)


def test_what_came_behind_the_end_is_counted():
    """By whoever takes in bytes without asking first."""
    running = DigestVerifier(digest(b"abc"), 3, "the blob")
    running.update(b"abcd")

    with pytest.raises(ContentMismatchError) as caught:
        running.check()

    assert caught.value.actual == "4 bytes"


@pytest.mark.row("AUTH-12")
def test_what_is_no_digest_is_shown_as_far_as_one_goes():
    """As many letters as the longest digest has."""
    longest = f"sha512:{'a' * 128}"
    assert require_digest(longest) == longest

    with pytest.raises(UnsupportedContentError) as caught:
        require_digest(f"{longest}bc")

    assert str(caught.value) == f"'{longest}' is not a sha256 or sha512 digest"


def test_sha512_is_a_digest_like_another():
    """Both algorithms of the specification are verified."""
    content = b"x"

    assert is_digest(compute_digest(content, like="sha512:"))
    assert b"".join(verify_chunks([content], DigestVerifier(compute_digest(content, like="sha512:"), 1, "x"))) == content


def test_images_of_the_harness_are_read_whole():
    """Config and layers are blobs, an index has children."""
    manifest, whole = parse_manifest(image(1).raw), parse_manifest(index(2).raw)

    assert {blob.digest for blob in manifest.blobs} == set(image(1).all_blobs)
    assert whole.is_index
    assert not whole.blobs
