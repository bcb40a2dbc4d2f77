"""Downloads of blobs: verified, resumed, never longer than announced."""

from __future__ import annotations

import pytest

from tests import switches
from tests.support.images import digest_of, image, layer, request
from tests.support.outcomes import errors_of, only_error
from tests.switches import Respond
from tests.switches.content import Endless
from tests.switches.net import PresignedUrls, no_such_range


@pytest.mark.row("DIG-04")
@pytest.mark.parametrize("at", [0, 150_000, -1], ids=["first byte", "in the middle", "last byte"])
@pytest.mark.parametrize("chunk_size", ["", "chunk_size: 64KiB"], ids=["one request", "pieces"])
def test_one_wrong_bit_completes_no_upload(at, chunk_size, lab):
    """The upload of a wrong blob never completes, at any position of the bit."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=300_000))
    blob = next(iter(content.blobs))
    lab.source.add(switches.corrupt_byte(at % len(content.blobs[blob])), method="GET", target=blob)
    lab.declare("app")
    if chunk_size:
        lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false, {chunk_size}}}\n")

    ran = lab.run("apply", "-o", "json")

    assert f"expected {blob}, got sha256:" in only_error(ran)
    assert request(lab.destination_registry, "HEAD", f"/v2/m/{lab.name}/app/blobs/{blob}")[0] == 404
    assert lab.served_tags("app") == []
    assert all(one.status != 201 for one in lab.destination.recorded(f"PUT .*digest={blob.replace(':', '%3A')}"))
    assert sum(one.bytes_up for one in lab.destination.seen) < sum(map(len, content.blobs.values())), "its last piece was never sent"


@pytest.mark.row("DIG-05")
@pytest.mark.parametrize("more", [1, 1 << 30], ids=["one byte", "a GiB"])
def test_body_longer_than_the_blob_is_refused(more, lab):
    """One byte or one GiB too many: reading stops, and the last piece is not sent."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=100_000))
    blob = next(iter(content.blobs))
    endless = Endless(start=content.blobs[blob], piece=b"x" * min(more, 1 << 16), most_bytes=more)
    lab.source.add(endless, method="GET", target=blob)
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert f"expected {len(content.blobs[blob])} bytes, got more" in only_error(ran)
    assert lab.served_tags("app") == []
    assert request(lab.destination_registry, "HEAD", f"/v2/m/{lab.name}/app/blobs/{blob}")[0] == 404
    assert endless.sent < 24 << 20
    assert sum(one.bytes_up for one in lab.destination.seen) < sum(map(len, content.blobs.values()))


FRAMINGS = ["length", "chunked", "close"]


@pytest.mark.row("DIG-06")
@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
def test_short_body_is_resumed_or_fails_in_every_framing(times, lab):
    """Cut at any point, with a length, in chunks, or by closing: never taken for complete."""
    images = {}
    for number, (framing, cut) in enumerate((framing, cut) for framing in FRAMINGS for cut in (0, 1, 0.5, -1)):
        content = images[str(number)] = lab.push("app", str(number), image(("short", times, number), layers=1, layer_bytes=3000))
        blob = next(iter(content.blobs))
        size = len(content.blobs[blob])
        after = size // 2 if cut == 0.5 else cut % size
        lab.source.add(switches.drop_body_after(after, framing=framing), method="GET", target=blob, times=times)
    lab.declare("app", retry="{attempts: 2, interval: 0s}")

    ran = lab.run("apply", "-o", "json")

    if times:
        assert ran.code == 0, ran.stderr
        assert lab.served_tags("app") == sorted(images)
        for tag, content in images.items():
            assert lab.served_manifest("app", tag) == content.raw
            assert all(request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/blobs/{digest}")[2] == blob for digest, blob in content.blobs.items())
    else:
        # What gives at least something with each try gets through in the end; so it is with half of the blob, and half of the rest.
        failed = {error.partition("/app@")[2][:71] for error in errors_of(ran)}
        assert ran.code == 1
        assert {next(iter(content.blobs)) for number, content in images.items() if int(number) % 4 < 2} <= failed
        for tag, content in images.items():
            blob = next(iter(content.blobs))
            assert (tag in lab.served_tags("app")) is (blob not in failed)
            status, _, body = request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/blobs/{blob}")
            assert (status, digest_of(body)) == (200, blob) if blob not in failed else status == 404
        assert len(lab.source.requests("/blobs/")) < 200, "nor is it asked for byte by byte"


@pytest.mark.row("DIG-12")
@pytest.mark.parametrize(("what", "label"), [("blob", "gzip"), ("blob", "x-gzip"), ("blob", "zstd"), ("manifest", "gzip"), ("manifest", "br")])
def test_wrong_content_encoding_is_ignored_for_blobs(what, label, lab):
    """A blob is right if length and digest are; a manifest is right or refused."""
    content = lab.push("app", "1", image(1, layers=1))
    blob = next(iter(content.blobs))
    lab.source.add(switches.headers(Content_Encoding=label), method="GET", target=blob if what == "blob" else "/manifests/1$")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    if what == "blob" or label == "br":
        assert ran.code == 0, ran.stderr
        lab.assert_served("app", "1", content)
    else:
        assert "the body does not match its Content-Encoding" in only_error(ran)
        assert lab.served_tags("app") == []


@pytest.mark.row("DIG-12")
def test_compressed_blob_is_refused_and_compressed_manifest_unpacked(lab):
    """A manifest that comes compressed is unpacked and hashed; a blob is an error with the reason."""
    content = lab.push("app", "1", image(1, layers=1))
    other = lab.push("app", "2", image(2, layers=1))
    lab.source.add(switches.gzipped(), method="GET", target="/manifests/")
    lab.source.add(switches.gzipped(), method="GET", target=next(iter(other.blobs)))
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert "the body is compressed although identity was requested" in only_error(ran)
    assert {one.headers["accept-encoding"] for one in lab.source.seen} == {"identity"}
    assert lab.served_tags("app") == ["1"]
    lab.assert_served("app", "1", content)


KIBIBYTE = 1 << 10


@pytest.mark.row("NET-08")
def test_download_cut_often_is_resumed_each_time(lab):
    """Cut every 64 KiB, it sends few bytes twice."""
    big = layer(("cut", lab.name), 700 * KIBIBYTE)
    content = lab.push("app", "1", image(1, layers=0, shared=big))
    lab.source.add(switches.drop_body_after(64 * KIBIBYTE), method="GET", target=digest_of(big))
    lab.source.add(switches.reset(), method="GET", target=digest_of(big), nth=3)
    lab.declare("app", "referrers: false", retry="{attempts: 3, interval: 0s}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    reads = [one for one in lab.source.seen if one.path.endswith(digest_of(big))]
    assert len(reads) >= len(big) // (64 * KIBIBYTE)
    assert sum(one.bytes_down for one in reads) <= len(big) + 64 * KIBIBYTE
    assert ran.json["summary"]["bytes_copied"] == content.size_bytes
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-09", "NET-10")
@pytest.mark.parametrize(
    "switch",
    [switches.no_ranges(), no_such_range(), switches.shifted_ranges(), switches.headers(Content_Range=None), switches.headers(Content_Range="bytes 0-0/9")],
    ids=["200", "416", "other bytes", "unsaid, or in parts", "said wrongly"],
)
def test_cut_download_restarts_without_ranges(switch, lab):
    """If the range is ignored, refused or wrong, the blob is read again from the start."""
    big = layer(("ranges", lab.name), 200 * KIBIBYTE)
    content = lab.push("app", "1", image(1, layers=0, shared=big))
    lab.source.add(switch, method="GET", target=digest_of(big))
    lab.source.add(switches.drop_body_after(80 * KIBIBYTE), method="GET", target=digest_of(big), times=1)
    lab.declare("app", "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)
    assert len([one for one in lab.source.seen if one.path.endswith(digest_of(big))]) <= 3


@pytest.mark.row("NET-10")
def test_wrong_bytes_in_a_resumed_download_are_never_committed(lab):
    """The image fails; the destination has neither blob nor tag."""
    big = layer(("resumed", lab.name), 200 * KIBIBYTE)
    lab.push("app", "1", image(1, layers=0, shared=big))
    lab.source.add(switches.corrupt_byte(), method="GET", target=digest_of(big), nth=2)
    lab.source.add(switches.drop_body_after(80 * KIBIBYTE), method="GET", target=digest_of(big), times=1)
    lab.declare("app", "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "the registry serves damaged or changed content; nothing was pushed" in ran.json["outcomes"][0]["error"]
    assert request(lab.destination_registry, "HEAD", f"/v2/m/{lab.name}/app/blobs/{digest_of(big)}")[0] == 404
    assert lab.served_manifest("app", "1") is None


@pytest.mark.row("NET-11")
@pytest.mark.parametrize("refusal", [403, 400, 401])
def test_expired_presigned_url_is_requested_again(refusal, lab):
    """The download continues where it was."""
    big = layer(("expired", lab.name), 200 * KIBIBYTE)
    content = lab.push("app", "1", image(1, layers=0, shared=big))
    lab.source.add(PresignedUrls(lab.other_host.host), method="GET", target=digest_of(big))
    lab.other_host.add(Respond(refusal, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"), nth=2)
    lab.other_host.add(switches.drop_body_after(80 * KIBIBYTE), nth=1)
    lab.declare("app", "referrers: false", retry="{attempts: 3, interval: 0s}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one.target.rpartition("=")[2] for one in lab.other_host.seen] == ["1", "2", "3"]
    assert [one.headers.get("range") for one in lab.other_host.seen] == [None, f"bytes={80 * KIBIBYTE}-", f"bytes={80 * KIBIBYTE}-"]
    lab.assert_served("app", "1", content)


@pytest.mark.row("NET-11")
def test_refusing_object_storage_is_named(lab):
    """The error names that host and the registry that redirected there, and does not blame the login."""
    lab.push("app", "1", image(1, layers=1))
    lab.source.add(PresignedUrls(lab.other_host.host), method="GET", target="/blobs/")
    lab.other_host.add(Respond(403, b"<Error/>"))
    lab.declare("app", "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "403 127.0.0.2, to which the registry redirected, refused the request" in ran.json["outcomes"][0]["error"]
    assert "credentials" not in ran.json["outcomes"][0]["error"]
    assert len(lab.other_host.seen) <= 4
