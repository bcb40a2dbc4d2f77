"""The content is what its digest says, or it is not copied: DIG-01 … DIG-21 of docs/threat-model.md."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import imgsync
from imgsync.errors import ImgsyncError, UnsupportedContentError
from imgsync.filters.versions import parse_version
from imgsync.oci.errors import retry_after_seconds
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.manifest import parse_manifest, parse_platform, select_platforms
from imgsync.oci.spec.reference import is_repository_path, is_tag, parse_reference, parse_registry
from imgsync.text.units import parse_duration, parse_integer, parse_rate, parse_size
from tests import switches
from tests.support.images import DOCKER, OCI, Image, digest_of, image, index, layer, pull_raw, push, request, to_json
from tests.support.run_imgsync import Result
from tests.support.witness import assert_served
from tests.switches.content import Endless, Flipping, Unlike, manifest_of

SAVED = "plan.json"


def errors_of(ran: Result) -> list[str]:
    """Return what the run says went wrong, with plan and images alike."""
    return [error for outcome in ran.json["outcomes"] if (error := outcome["error"])] + [event["error"] for event in ran.events("plan.failed")]


def only_error(ran: Result) -> str:
    (error,) = errors_of(ran)
    assert ran.code == 1
    return str(error)


@pytest.mark.row("DIG-01")
@pytest.mark.parametrize("what", ["the image of a saved plan", "a child of an index"])
def test_pinned_manifest_with_other_bytes_is_refused(what, registry, second_registry, name, declare, imgsync, source):
    """Asked for by digest, another manifest is refused though all it says of itself is true; the destination stays as it was."""
    root = push(registry, f"{name}/app", "1", index(1))
    other = push(registry, f"{name}/app", "other", image(2))
    declare(f"[{name}/app]", "tags: {names: ['1']}")
    assert imgsync("plan", "--out", SAVED).code == 0
    pinned = root if what.startswith("the image") else root.children[0]
    source.add(manifest_of(other), method="GET", target=pinned.digest)

    ran = imgsync("apply", "--plan", SAVED, "-o", "json")

    assert f"expected {pinned.digest}, got {other.digest}" in only_error(ran)
    assert ran.events("image.failed")[0]["hint"] == "the registry serves damaged or altered content; nothing was committed"
    assert second_registry.tags(f"m/{name}/app") == []
    assert pull_raw(second_registry, f"m/{name}/app", other.digest) is None


@pytest.mark.row("DIG-02")
def test_header_of_another_manifest_is_an_error(registry, second_registry, name, declare, imgsync, source):
    """`Docker-Content-Digest` is believed neither instead of the bytes nor beside them: where they differ nothing is copied."""
    content = push(registry, f"{name}/app", "1", image(1))
    source.add(switches.headers(Docker_Content_Digest=image(2).digest), method="GET", target="/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert f"expected {image(2).digest}, got {content.digest}" in only_error(ran)
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("DIG-03")
def test_head_is_asked_with_the_types_that_get_is(registry, name, declare, imgsync, source):
    """Registries convert for who does not say all that he takes: HEAD and GET of a manifest say the same, all of it."""
    push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    assert imgsync("plan", "--refresh").code == 0

    accepted = {one.headers["accept"] for one in source.recorded("(GET|HEAD) .*/manifests/")}

    assert {one.method for one in source.recorded("/manifests/")} == {"GET", "HEAD"}
    assert len(accepted) == 1
    assert {OCI["index"], OCI["manifest"]} < set(accepted.pop().split(", "))


@pytest.mark.row("DIG-03")
def test_what_head_tells_is_not_copied(registry, second_registry, name, declare, imgsync, source):
    """HEAD tells of one manifest, GET serves another: what is planned and copied is what was read, and it is told."""
    push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moved = push(registry, f"{name}/app", "1", index(2))
    # As registries do that convert an index to the image of one platform: it is there, and has that digest.
    source.add(Unlike(moved.children[0]), method="HEAD", target="/manifests/1$")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["outcomes"][0]["digest"] == moved.digest
    assert_served(second_registry, f"m/{name}/app", "1", moved)
    (warning,) = ran.events("tag.moved")
    assert moved.digest[7:19] in warning["reason"]
    assert moved.children[0].digest[7:19] in warning["reason"]


@pytest.mark.row("DIG-04")
@pytest.mark.parametrize("at", [0, 150_000, -1], ids=["first byte", "in the middle", "last byte"])
@pytest.mark.parametrize("chunk_size", ["", "chunk_size: 64KiB"], ids=["one request", "pieces"])
def test_one_wrong_bit_completes_no_upload(at, chunk_size, registry, second_registry, name, declare, imgsync, source, destination, write):
    """Wherever the bit is: no upload of the blob is ever completed, so that not even a destination that checks nothing could keep it."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=300_000))
    blob = next(iter(content.blobs))
    source.add(switches.corrupt_byte(at % len(content.blobs[blob])), method="GET", target=blob)
    declare(f"[{name}/app]")
    if chunk_size:
        write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false}}\n  {destination.host}: {{tls: false, {chunk_size}}}\n")

    ran = imgsync("apply", "-o", "json")

    assert f"expected {blob}, got sha256:" in only_error(ran)
    assert request(second_registry, "HEAD", f"/v2/m/{name}/app/blobs/{blob}")[0] == 404
    assert second_registry.tags(f"m/{name}/app") == []
    assert all(one.status != 201 for one in destination.recorded(f"PUT .*digest={blob.replace(':', '%3A')}"))
    assert sum(one.bytes_up for one in destination.seen) < sum(map(len, content.blobs.values())), "its last piece was never sent"


@pytest.mark.row("DIG-09")
def test_impossible_sizes_are_refused_before_any_blob_is_asked_for(registry, second_registry, name, declare, imgsync, source):
    """A size is a whole number up to 64 GiB, and nothing else that JSON or Python would take for one."""
    content = push(registry, f"{name}/app", "good", image(1, layers=1))
    sizes = [True, 1e3, 3.5, -1, 10**30, "1000", None, [1]]
    for number, size in enumerate(sizes):
        push(registry, f"{name}/app", str(number), content)
        source.add(manifest_of(with_layer(content, size=size)), target=f"/manifests/{number}$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    told = {event["reference"].rpartition(":")[2]: event["error"] for event in ran.events("plan.failed")}
    assert told == {str(number): f"the manifest holds a descriptor with an impossible size: {size}" for number, size in enumerate(sizes)}
    assert len(source.requests("/blobs/")) == len(content.blobs), "the good one's"
    assert second_registry.tags(f"m/{name}/app") == ["good"]


def with_layer(content: Image, **changes: object) -> Image:
    """Return *content* with its first layer's descriptor changed."""
    document = json.loads(content.raw)
    document["layers"][0] |= changes
    return dataclasses.replace(content, raw=to_json(document))


@pytest.mark.row("DIG-13")
def test_tag_that_moves_with_every_request_is_one_image(registry, second_registry, name, declare, imgsync, source):
    """A tag is resolved once: what arrives is one of the two, whole, and the one that the report names."""
    both = [push(registry, f"{name}/app", tag, index(number)) for number, tag in enumerate(("1", "other"))]
    source.add(Flipping(*both), method="GET|HEAD", target="/manifests/1$")
    declare(f"[{name}/app]", "tags: {names: ['1']}")

    for _ in range(3):
        ran = imgsync("apply", "-o", "json", "--refresh")

        assert ran.code == 0, ran.stderr
        digest = ran.json["outcomes"][0]["digest"]
        (served,) = [content for content in both if content.digest == digest]
        assert_served(second_registry, f"m/{name}/app", "1", served)


@pytest.mark.row("DIG-14")
def test_tag_that_vanished_is_passed_over_and_told(registry, second_registry, name, declare, imgsync, source):
    """Listed, and gone when asked for: told of, no failure. One that was declared by name and is not there is one."""
    push(registry, f"{name}/app", "a", image(1))
    push(registry, f"{name}/app", "b", image(2))
    source.add(switches.status(404, error="MANIFEST_UNKNOWN"), target="/manifests/b$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0
    assert [event["source"].rpartition(":")[2] for event in ran.events("tag.vanished")] == ["b"]
    assert second_registry.tags(f"m/{name}/app") == ["a"]
    declare(f"[{name}/app]", "tags: {names: [b]}")
    ran = imgsync("apply", "-o", "json")
    assert "fewer than at_least: 1" in only_error(ran)


@pytest.mark.row("DIG-16")
def test_index_without_one_of_its_children_leaves_the_tag_alone(registry, second_registry, name, declare, imgsync, source):
    """A child that the source has not is an error of that tag, which goes on serving what it did; the others are copied."""
    before = push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moved = push(registry, f"{name}/app", "1", index(2))
    other = push(registry, f"{name}/app", "2", index(3))
    source.add(switches.status(404, error="MANIFEST_UNKNOWN"), target=moved.children[1].digest)

    ran = imgsync("apply", "-o", "json")

    error = only_error(ran)
    assert f"pull manifest {source.host}/{name}/app@{moved.children[1].digest} (source): 404 MANIFEST_UNKNOWN" in error
    assert_served(second_registry, f"m/{name}/app", "1", before)
    assert_served(second_registry, f"m/{name}/app", "2", other)


@pytest.mark.row("DIG-19")
def test_embedded_data_is_not_believed(registry, second_registry, name, declare, imgsync, source):
    """What a descriptor holds as `data` is not taken for the blob: the blob is read by its digest, and the manifest stays as it is."""
    content = image(1, layers=1)
    lie = with_layer(content, data="bm90IHRoZSBibG9i")
    push(registry, f"{name}/app", "1", lie)
    declare(f"[{name}/app]")

    assert imgsync("apply").code == 0

    blob = json.loads(lie.raw)["layers"][0]["digest"]
    assert len(source.requests(f"GET .*{blob}")) == 1
    assert_served(second_registry, f"m/{name}/app", "1", lie)


@pytest.mark.row("DIG-21")
def test_empty_layer_is_copied(registry, second_registry, name, declare, imgsync, destination):
    """A blob of no byte at all is asked for, sent with `Content-Length: 0`, and found there."""
    content = push(registry, f"{name}/app", "1", image(1, contents=[b"", layer(1)]))
    declare(f"[{name}/app]")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert_served(second_registry, f"m/{name}/app", "1", content)
    (put,) = [one for one in destination.recorded("PUT") if digest_of(b"").replace(":", "%3A") in one.target]
    assert put.headers["content-length"] == "0"


@pytest.mark.row("DIG-11")
def test_sha512_image_is_copied(registry, second_registry, name, declare, imgsync, source):
    """A layer named by sha512 is verified by sha512, and arrives under that name."""
    content = image(1, layers=1)
    blob = next(iter(content.blobs))
    digest = f"sha512:{hashlib.sha512(content.blobs[blob]).hexdigest()}"
    named = with_layer(content, digest=digest)
    rest = {key: value for key, value in content.blobs.items() if key != blob}
    wanted = push(registry, f"{name}/app", "1", dataclasses.replace(named, blobs={digest: content.blobs[blob], **rest}))
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert source.requests(f"GET .*{digest}")
    assert pull_raw(second_registry, f"m/{name}/app", "1") == wanted.raw
    assert request(second_registry, "GET", f"/v2/m/{name}/app/blobs/{digest}")[2] == content.blobs[blob]


DESCRIPTOR = {"mediaType": OCI["layer"], "digest": digest_of(b"a"), "size": 1}
CHILD = {"mediaType": OCI["manifest"], "digest": digest_of(b"b"), "size": 1, "platform": {"os": "linux", "architecture": "amd64"}}
CONFUSED = {
    "index and image": {"schemaVersion": 2, "manifests": [CHILD], "config": DESCRIPTOR, "layers": [DESCRIPTOR]},
    "index and layers": {"schemaVersion": 2, "manifests": [CHILD], "layers": [DESCRIPTOR]},
    "index and artifact": {"schemaVersion": 2, "manifests": [CHILD], "blobs": [DESCRIPTOR]},
    "index and schema 1": {"schemaVersion": 2, "manifests": [CHILD], "fsLayers": []},
}
TYPES = [OCI["index"], OCI["manifest"], DOCKER["index"], DOCKER["manifest"], "application/json"]


@pytest.mark.row("DIG-07")
@pytest.mark.parametrize("document", CONFUSED.values(), ids=CONFUSED)
@pytest.mark.parametrize("served_as", TYPES)
def test_document_that_is_two_things_is_refused(document, served_as):
    """Under each type, said by the document or by the answer's head, or by both: no reader may see an index where another sees an image."""
    for said in ({}, {"mediaType": served_as}):
        with pytest.raises(UnsupportedContentError, match=r"both an index and an image|schema 1"):
            parse_manifest(to_json(said | document), content_type=served_as)


@pytest.mark.row("DIG-07")
@pytest.mark.parametrize(
    ("document", "said", "served_as"),
    [
        (image(1).raw, None, OCI["index"]),
        (image(1).raw, OCI["index"], OCI["manifest"]),
        (image(1, kind=DOCKER).raw, None, f"{DOCKER['index'].upper()}; charset=utf-8"),
        (index(1).raw, None, OCI["manifest"]),
        (index(1).raw, DOCKER["manifest"], ""),
        (index(1).raw, OCI["index"], DOCKER["manifest"]),
    ],
)
def test_type_that_does_not_fit_the_document_is_refused(document, said, served_as):
    """What the document says it is, what it was served as and what it is have to be one thing."""
    with pytest.raises(UnsupportedContentError, match="is said to be of the type"):
        parse_manifest(to_json(json.loads(document) | ({"mediaType": said} if said else {})), content_type=served_as)


@pytest.mark.row("DIG-07", "DIG-08")
@pytest.mark.parametrize("what", ["both", "twice", "cased", "list served as image"])
def test_ambiguous_manifest_is_one_clear_error(what, registry, second_registry, name, declare, imgsync, source):
    """It is refused where it is planned, the others are copied."""
    content = push(registry, f"{name}/app", "1", index(1))
    other = push(registry, f"{name}/app", "2", image(2))
    raw = {
        "both": to_json(json.loads(content.raw) | json.loads(other.raw) | {"mediaType": content.media_type}),
        "twice": content.raw.replace(b'"schemaVersion":2', b'"schemaVersion":2,"manifests":[]'),
        "cased": content.raw.replace(b'"schemaVersion":2', b'"schemaVersion":2,"Manifests":[]'),
        "list served as image": content.raw,
    }[what]
    served_as = OCI["manifest"] if what.startswith("list") else content.media_type
    source.add(manifest_of(dataclasses.replace(content, raw=raw, media_type=served_as)), method="GET|HEAD", target="/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert "the manifest " in only_error(ran)
    assert second_registry.tags(f"m/{name}/app") == ["2"]


GOOD = index(1).raw.decode()
AMBIGUOUS = {
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "UTF-16": GOOD.encode("utf-16"),
    "latin-1": GOOD.replace("linux", "lin\xfcx").encode("latin-1"),
    "key twice": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"schemaVersion":2').encode(),
    "key twice, once escaped": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"\\u0073chemaVersion":2').encode(),
    "key of a descriptor twice": GOOD.replace('"size":', '"size":1,"size":', 1).encode(),
    "annotation twice": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"annotations":{"a":"1","a":"2"}').encode(),
    "upper case": GOOD.replace('"manifests"', '"Manifests"').encode(),
    "upper case beside": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"MANIFESTS":[]').encode(),
    "long s": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"manife\u017fts":[]').encode(),
    "digest in other letters": GOOD.replace('"digest":', '"Digest":"sha256:0","digest":', 1).encode(),
    "size in other letters": GOOD.replace('"size":', '"SIZE":1,"size":', 1).encode(),
    "platform in other letters": GOOD.replace('"architecture":', '"Architecture":"x","architecture":', 1).encode(),
    "NaN": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"x":NaN').encode(),
    "Infinity": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"x":-Infinity').encode(),
    "1e400": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"x":1e400').encode(),
    "more behind": GOOD.encode() + b"{}",
    "trailing comma": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,').encode(),
    "comment": b"// x\n" + GOOD.encode(),
    "control character": GOOD.replace('"schemaVersion":2', '"schemaVersion":2,"x":"\n"').encode(),
    "number of 5000 digits": GOOD.replace('"schemaVersion":2', f'"schemaVersion":2,"x":{"9" * 5000}').encode(),
}


@pytest.mark.row("DIG-08")
@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_json_that_readers_take_differently_is_refused(raw):
    """Another reader would see another document, or none: then it is none for us."""
    with pytest.raises(UnsupportedContentError, match=r"^the (manifest|document) "):
        parse_manifest(raw)


@pytest.mark.row("DIG-08")
@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"Layers": "3", "mediatype": "x", "SIZE": "", "digest": "none"}},
        {"x-vendor": {"Size": 1, "size": 2, "deep": [{"Digest": 1, "digest": 2}]}},
        {"ratio": 0.25, "count": 10**30, "none": None, "flag": True, "ü": "\ud83d"},
        {"signature": "x" * 100_000, "history": [{"v1Compatibility": "{}"}]},
        {"schemaVersion": 2.0},
    ],
    ids=["annotations", "nested", "numbers", "text", "version"],
)
def test_what_nobody_else_minds_is_taken(more):
    """Keys of others, in whatever letters, are no reason: manifests in the wild hold all kinds of things. The bytes stay as they are."""
    windows = {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2700", "os.features": ["win32k"]}
    for document in (
        json.loads(image(1).raw) | more,
        json.loads(image(1, kind=DOCKER).raw) | more,
        json.loads(index(1).raw) | more,
        json.loads(image(1).raw) | {"layers": None} | more,
        {"schemaVersion": 2, "manifests": [CHILD | {"platform": windows, "urls": ["https://example.com/x"], "x": 1}]} | more,
        {"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2, "data": "e30="}} | more,
    ):
        raw = json.dumps(document, indent=3).encode()
        assert parse_manifest(raw, content_type="application/json; charset=utf-8").raw == raw


@pytest.mark.row("DIG-08")
def test_index_of_our_own_says_what_the_source_s_did():
    """An index that is cut to its platforms keeps all that is not ours to judge, half a character too."""
    document = json.loads(index(1).raw) | {"annotations": {"a": "ü\ud83d"}, "x": 0.5}

    ours = select_platforms(parse_manifest(to_json(document)), [parse_platform("linux/arm64")])

    assert json.loads(ours.raw) == document | {"manifests": document["manifests"][1:]}


@pytest.mark.row("DIG-18")
@pytest.mark.parametrize(
    ("document", "served_as"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({"schemaVersion": 1, "fsLayers": [], "signatures": []}, "application/json"),
        ({"schemaVersion": 1}, ""),
        ({"schemaVersion": 2, "layers": [DESCRIPTOR], "fsLayers": []}, OCI["manifest"]),
        ({"schemaVersion": 2, "layers": [DESCRIPTOR]}, "application/vnd.docker.distribution.manifest.v1+json"),
    ],
)
def test_schema_1_is_known_by_whatever_it_shows(document, served_as):
    """By its version, by its layers' name, by its type."""
    with pytest.raises(UnsupportedContentError, match="Docker schema 1"):
        parse_manifest(to_json(document), content_type=served_as)


# Each grammar with what it takes, where its neighbours begin: a line break behind, other scripts' digits and letters, the width of a character more.
GRAMMARS: dict[str, tuple[Callable[[str], object], str]] = {
    "digest": (is_digest, digest_of(b"")),
    "tag": (is_tag, "v1.2_3-x"),
    "repository": (is_repository_path, "library/app1"),
    "registry": (parse_registry, "registry.internal:5000"),
    "reference": (parse_reference, f"registry.internal:5000/app:1@{digest_of(b'')}"),
    "integer": (parse_integer, "1205"),
    "duration": (parse_duration, "15m"),
    "size": (parse_size, "64MiB"),
    "rate": (parse_rate, "10/s"),
    "Retry-After": (lambda text: retry_after_seconds(text, now=0.0), "120"),
    "version": (parse_version, "1.2.3"),
}


def takes(parse: Callable[[str], object], text: str) -> bool:
    try:
        return bool(parse(text))
    except (ValueError, ImgsyncError):
        return False


@pytest.mark.row("DIG-10")
@pytest.mark.parametrize("grammar", GRAMMARS)
def test_grammars_end_where_they_end(grammar):
    """No line break behind, no digit or letter of another script in place of one, takes the place of what the grammar says."""
    parse, good = GRAMMARS[grammar]
    assert takes(parse, good)
    # Arabic and full-width digits, the superscript two; a Kelvin sign, a long s, a Cyrillic a.
    stand_ins = {
        "0": "\u0660\uff10",
        "1": "\u0661\uff11",
        "2": "\u00b2",
        "3": "\u0663",
        "5": "\u0665",
        "k": "\u212a",
        "s": "\u017f",
        "a": "\u0430",
        "e": "\uff45",
    }
    wrong = [good + "\n", "\n" + good, good + "\r", good + "\0", good + "\u2028", good + "\u0663", good + "\u00b2"]
    wrong += [good.replace(one, other) for one, others in stand_ins.items() if one in good for other in others]
    if grammar == "Retry-After":
        wrong = [text for text in wrong if text.strip() != good]

    assert [text for text in wrong if takes(parse, text)] == []


@pytest.mark.row("DIG-10")
def test_source_of_the_client_has_no_such_traps():
    """No pattern over foreign text says `\\d` or `\\w`, which are Unicode's; none is matched by its beginning; digits are read in one place, ASCII alone."""
    traps = re.compile(r"\\[dDwW]|re\.match\(|\.is(?:digit|decimal|numeric)\(")
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted((Path(imgsync.__file__).parent / "oci").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if traps.search(line) and not line.lstrip().startswith("#")
    ]

    # The first looks whether a name is an address, the second compares bytes.
    assert [line.partition(":")[0] for line in found] == ["authenticator.py", "response_parser.py"], found


@pytest.mark.row("DIG-10")
def test_digit_of_unicode_alone_breaks_nothing(registry, second_registry, name, declare, imgsync, write, source, destination):
    """A registry's count in a superscript digit, which Python's `isdigit` takes and `int` does not, counts as not said."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=100_000))
    declare(f"[{name}/app]")
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false}}\n  {destination.host}: {{tls: false, chunk_size: 64KiB}}\n")
    destination.add(switches.headers(Range="0-\u00b2", OCI_Chunk_Min_Length="\u00b2"))

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert destination.requests("PATCH")
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("DIG-11")
@pytest.mark.parametrize(
    "digest",
    [
        "md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:" + "a" * 40, "SHA256:" + "a" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65,
        "sha512:" + "a" * 64, "sha256-" + "a" * 64, "sha256:" + "a" * 64 + "\n", "sha256:" + "g" * 64, "sha384:" + "a" * 96, "blake3:" + "a" * 64, "", None, 5,
    ],
    ids=str,
)  # fmt: skip
def test_digest_of_another_kind_is_refused_by_name(digest):
    """What cannot be verified is not copied, and the error says which digest that was."""
    raw = to_json({"schemaVersion": 2, "layers": [DESCRIPTOR | {"digest": digest}]})

    with pytest.raises(UnsupportedContentError) as caught:
        parse_manifest(raw)

    assert f"{str(digest)!r} is not a sha256 or sha512 digest" in caught.value.message


@pytest.mark.row("DIG-05")
@pytest.mark.parametrize("more", [1, 1 << 30], ids=["one byte", "a GiB"])
def test_body_that_goes_on_behind_the_blob_is_refused(more, registry, second_registry, name, declare, imgsync, source, destination):
    """A byte more or a GiB: it is left as soon as there is more than there may be, and the blob's last piece was not sent on."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=100_000))
    blob = next(iter(content.blobs))
    endless = Endless(start=content.blobs[blob], piece=b"x" * min(more, 1 << 16), most_bytes=more)
    source.add(endless, method="GET", target=blob)
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert f"expected {len(content.blobs[blob])} bytes, got more" in only_error(ran)
    assert second_registry.tags(f"m/{name}/app") == []
    assert request(second_registry, "HEAD", f"/v2/m/{name}/app/blobs/{blob}")[0] == 404
    assert endless.sent < 24 << 20
    assert sum(one.bytes_up for one in destination.seen) < sum(map(len, content.blobs.values()))


FRAMINGS = ["length", "chunked", "close"]


@pytest.mark.row("DIG-06")
@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
def test_short_body_is_resumed_or_fails_in_every_framing(times, registry, second_registry, name, declare, imgsync, source, write, destination):
    """Cut after no byte, one, half, all but one; announced by length, in chunks, or by the connection's end: never taken for the whole."""
    images = {}
    for number, (framing, cut) in enumerate((framing, cut) for framing in FRAMINGS for cut in (0, 1, 0.5, -1)):
        content = images[str(number)] = push(registry, f"{name}/app", str(number), image(("short", times, number), layers=1, layer_bytes=3000))
        blob = next(iter(content.blobs))
        size = len(content.blobs[blob])
        after = size // 2 if cut == 0.5 else cut % size
        source.add(switches.drop_body_after(after, framing=framing), method="GET", target=blob, times=times)
    declare(f"[{name}/app]", retry="{attempts: 2, interval: 0s}")

    ran = imgsync("apply", "-o", "json")

    if times:
        assert ran.code == 0, ran.stderr
        assert second_registry.tags(f"m/{name}/app") == sorted(images)
        for tag, content in images.items():
            assert pull_raw(second_registry, f"m/{name}/app", tag) == content.raw
            assert all(request(second_registry, "GET", f"/v2/m/{name}/app/blobs/{digest}")[2] == blob for digest, blob in content.blobs.items())
    else:
        # What gives at least something with each try gets through in the end; so it is with half of the blob, and half of the rest.
        failed = {error.partition("/app@")[2][:71] for error in errors_of(ran)}
        assert ran.code == 1
        assert {next(iter(content.blobs)) for number, content in images.items() if int(number) % 4 < 2} <= failed
        for tag, content in images.items():
            blob = next(iter(content.blobs))
            assert (tag in second_registry.tags(f"m/{name}/app")) is (blob not in failed)
            status, _, body = request(second_registry, "GET", f"/v2/m/{name}/app/blobs/{blob}")
            assert (status, digest_of(body)) == (200, blob) if blob not in failed else status == 404
        assert len(source.requests("/blobs/")) < 200, "nor is it asked for byte by byte"


@pytest.mark.row("DIG-12")
@pytest.mark.parametrize(("what", "label"), [("blob", "gzip"), ("blob", "x-gzip"), ("blob", "zstd"), ("manifest", "gzip"), ("manifest", "br")])
def test_false_label_of_an_encoding(what, label, registry, second_registry, name, declare, imgsync, source):
    """A blob said to be encoded, as stores say of what is gzip by itself, is the blob as long as its length and digest are; a manifest is right or refused."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    blob = next(iter(content.blobs))
    source.add(switches.headers(Content_Encoding=label), method="GET", target=blob if what == "blob" else "/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    if what == "blob" or label == "br":
        assert ran.code == 0, ran.stderr
        assert_served(second_registry, f"m/{name}/app", "1", content)
    else:
        assert "not in the encoding it claims" in only_error(ran)
        assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("DIG-12")
def test_compressed_blob_is_refused_and_compressed_manifest_unpacked(registry, second_registry, name, declare, imgsync, source):
    """We ask for everything as it is. A manifest that comes compressed all the same is unpacked and hashed; a blob is refused, and said why."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1))
    other = push(registry, f"{name}/app", "2", image(2, layers=1))
    source.add(switches.gzipped(), method="GET", target="/manifests/")
    source.add(switches.gzipped(), method="GET", target=next(iter(other.blobs)))
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert "the body is compressed though it was asked for as it is" in only_error(ran)
    assert {one.headers["accept-encoding"] for one in source.seen} == {"identity"}
    assert second_registry.tags(f"m/{name}/app") == ["1"]
    assert_served(second_registry, f"m/{name}/app", "1", content)


def bare_index(*children: Image, more: int = 0) -> Image:
    """Return an index of *children*, and of *more* that nobody has."""
    entries = [{"mediaType": child.media_type, "digest": child.digest, "size": len(child.raw)} for child in children]
    entries += [{"mediaType": OCI["manifest"], "digest": digest_of(str(number).encode()), "size": 1} for number in range(more)]
    return Image(to_json({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": entries}), OCI["index"], children=children)


@pytest.mark.row("DIG-15")
def test_index_bombs_are_refused(registry, second_registry, name, declare, imgsync, source):
    """Too deep, too wide, or too large in all: each is one error, before a blob of it is asked for; what is only shared is copied, once."""
    leaf = image(1, layers=1)
    deep = leaf
    for _ in range(6):
        deep = bare_index(deep)
    wide = bare_index(more=1001)
    heavy = [image(("heavy", number), layers=1, annotations={"filling": "x" * (3 << 20)}) for number in range(6)]
    push(registry, f"{name}/app", "deep", deep)
    push(registry, f"{name}/app", "heavy", bare_index(*heavy))
    # docker-registry takes no index of what it has not.
    push(registry, f"{name}/app", "wide", leaf)
    source.add(manifest_of(wide), method="GET|HEAD", target="/manifests/wide$")
    good = push(registry, f"{name}/app", "good", bare_index(bare_index(leaf), bare_index(bare_index(leaf)), leaf))
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    told = {event["reference"].rpartition(":")[2]: event["error"] for event in ran.events("plan.failed")}
    assert told == {
        "deep": "the index is nested deeper than 4 levels",
        "wide": "the index names 1001 manifests; 1000 is the limit",
        "heavy": "the image's manifests are together larger than 16 MiB",
    }
    assert_served(second_registry, f"m/{name}/app", "good", good)
    assert second_registry.tags(f"m/{name}/app") == ["good"]
    assert len(source.requests(f"GET .*{leaf.digest}")) == 1
    assert len(source.requests("GET .*/blobs/")) == len(leaf.blobs)
