"""Digests: grammar and verification."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import ContentMismatchError, ImgsyncError, UnsupportedContentError
from imgsync.oci.spec.digest import DigestVerifier, compute_digest, is_digest, require_digest, verify_chunks
from tests.support.images import OCI, digest_of, image, to_json
from tests.support.images import digest_of as digest
from tests.switches import Respond

DIGESTS = [
    "../../other/blobs/sha256:" + "0" * 64,
    "sha256:../../../secret",
    "sha256:%2e%2e%2f",
    "sha256:" + "0" * 63 + "\n",
    "sha256:" + "0" * 64 + "\n",
    "sha256:" + "A" * 64,
    "sha256:" + "0" * 64 + "?x=y",
    "md5:" + "0" * 32,
]


@pytest.mark.row("AUTH-12")
@pytest.mark.parametrize("where", ["layer", "child"])
def test_malformed_digest_is_refused_before_any_request(where, lab):
    """It is an error of that image before it becomes part of a URL."""
    content = lab.push("app", "0", image(1, layers=1))
    raws = []
    for number, text in enumerate(DIGESTS):
        document = json.loads(content.raw)
        if where == "layer":
            document["layers"][0]["digest"] = text
        else:
            document = {"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [{"mediaType": OCI["manifest"], "digest": text, "size": 500}]}
        raws.append(to_json(document))
        served = {"Content-Type": document["mediaType"], "Docker-Content-Digest": digest_of(raws[-1])}
        lab.source.add(Respond(200, raws[-1], headers=served), target=f"/manifests/({number}|{digest_of(raws[-1])})$")
    tags = [str(number) for number in range(len(DIGESTS))]
    lab.source.add(Respond(200, {"tags": tags}), target="/tags/list")
    lab.declare("app", retry="{attempts: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    errors = [one["error"] for one in ran.json["outcomes"]] or [one["message"] for one in ran.json["errors"]]
    assert len(errors) == len(DIGESTS)
    assert all("digest" in error for error in errors), errors
    named = [*tags, *map(digest_of, raws)]
    assert {one.target for one in lab.source.seen} <= {f"/v2/{lab.name}/app/tags/list", *(f"/v2/{lab.name}/app/manifests/{one}" for one in named)}
    assert lab.destination.requests("^P") == []
    assert lab.served_tags("app") == []


@pytest.mark.row("DIG-04", "DIG-05", "DIG-06")
@given(st.lists(st.binary(max_size=50), max_size=8), st.binary(min_size=1, max_size=4))
def test_verified_bytes_are_whole_or_raise(chunks, extra):
    """Wrong bytes raise before the last piece is passed on."""
    content = b"".join(chunks)

    assert b"".join(verify_chunks(chunks, DigestVerifier(digest(content), len(content), "x"))) == content
    for wrong in ([*chunks, extra], [*chunks, b"", extra], [bytes(byte ^ 1 for byte in content), b""] if content else [extra]):
        passed = []
        with pytest.raises(ImgsyncError):
            passed.extend(verify_chunks(wrong, DigestVerifier(digest(content), len(content), "x")))
        assert len(b"".join(passed)) < max(1, len(content))


@pytest.mark.parametrize(("pieces", "actual"), [([b"ab"], "2 bytes"), ([b"abcd"], "more"), ([b"abd"], f"{digest(b'abd')}")], ids=["short", "long", "other"])
def test_error_says_how_the_bytes_differ(pieces, actual):
    """Too few, too many, or different."""
    with pytest.raises(ContentMismatchError) as caught:
        list(verify_chunks(pieces, DigestVerifier(digest(b"abc"), 3, "the blob")))

    assert (caught.value.expected, caught.value.actual) == (digest(b"abc") if actual.startswith("sha256") else "3 bytes", actual)


def test_bytes_after_the_end_are_counted():
    """The error shows how many came."""
    running = DigestVerifier(digest(b"abc"), 3, "the blob")
    running.update(b"abcd")

    with pytest.raises(ContentMismatchError) as caught:
        running.check()

    assert caught.value.actual == "4 bytes"


@pytest.mark.row("AUTH-12")
def test_invalid_digest_is_shown_shortened():
    """As long as the longest digest."""
    longest = f"sha512:{'a' * 128}"
    assert require_digest(longest) == longest

    with pytest.raises(UnsupportedContentError) as caught:
        require_digest(f"{longest}bc")

    assert str(caught.value) == f"'{longest}' is not a sha256 or sha512 digest"


def test_sha512_is_verified():
    """Like sha256."""
    content = b"x"

    assert is_digest(compute_digest(content, like="sha512:"))
    assert b"".join(verify_chunks([content], DigestVerifier(compute_digest(content, like="sha512:"), 1, "x"))) == content
