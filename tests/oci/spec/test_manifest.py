"""Manifests: parsed strictly, refused with a reason, kept byte for byte."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import laws
from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from imgsync.oci.spec.platform import Platform, parse_platform
from imgsync.oci.spec.select_platforms import select_platforms
from tests.support.images import DOCKER, OCI, Image, digest_of, image, index, to_json, with_layer
from tests.support.images import digest_of as digest
from tests.support.outcomes import only_error
from tests.switches.content import manifest_of

_DESCRIPTOR = {"mediaType": "x/y", "digest": digest(b"x"), "size": 1}


@pytest.mark.row("DIG-08", "DIG-09")
@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (b'{"schemaVersion": 2}', "not an image manifest"),
        (b'{"layers": [], "layers": []}', "ambiguous keys"),
        (b'{"layers": [], "Layers": []}', "ambiguous keys"),
        (b'{"layers": NaN}', "NaN"),
        (b'{"layers": {}}', "not a list"),
        (b'{"layers": [5]}', "not an object"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "size": -1}]}).encode(), "invalid size"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "size": True}]}).encode(), "invalid size"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "size": 1 << 63}]}).encode(), "invalid size"),
        (json.dumps({"layers": [{**_DESCRIPTOR, "digest": "sha256:../../x"}]}).encode(), "not a sha256"),
        (json.dumps({"layers": [], "manifests": []}).encode(), "both an index and an image"),
        (json.dumps({"mediaType": 5, "layers": []}).encode(), "not text"),
        (json.dumps({"manifests": [_DESCRIPTOR] * 1001}).encode(), "the limit is 1000"),
        (b'{"layers": [], "x": "' + b"a" * (4 << 20) + b'"}', "larger than 4 MiB"),
    ],
)
def test_invalid_manifests_are_refused(document, message):
    """Each with its own reason."""
    with pytest.raises(UnsupportedContentError, match=message):
        parse_manifest(document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["layers", "manifests", "config", "mediaType", "size", "digest", "x"]), inner),
        max_leaves=20,
    )
)
def test_any_json_is_a_manifest_or_refused(document):
    """The bytes are kept."""
    laws.manifests(json.dumps(document).encode())


def test_media_type_is_the_manifest_s_own_then_the_header_s():
    """Without both, the shape decides."""
    bare = to_json({"schemaVersion": 2, "layers": []})

    assert parse_manifest(bare, content_type=f"{DOCKER_MANIFEST}; charset=utf-8").media_type == DOCKER_MANIFEST
    assert parse_manifest(to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}), content_type=DOCKER_MANIFEST).media_type == OCI_MANIFEST
    assert parse_manifest(bare).media_type == OCI_MANIFEST
    assert parse_manifest(to_json({"schemaVersion": 2, "manifests": []})).media_type == OCI_INDEX


@pytest.mark.parametrize("generic", ["application/json", "text/plain; charset=utf-8", "application/octet-stream", "application/vnd.evil+json", ""])
def test_generic_content_type_says_nothing(generic):
    """The document decides; its shape, if it declares no type."""
    assert parse_manifest(b'{"schemaVersion": 2, "layers": []}', content_type=generic).content_type == OCI_MANIFEST
    assert parse_manifest(b'{"schemaVersion": 2, "manifests": []}', content_type=generic).content_type == OCI_INDEX
    assert parse_manifest(image(1, kind=DOCKER).raw, content_type=generic).content_type == DOCKER_MANIFEST


def test_letter_case_and_parameters_of_a_media_type_do_not_matter():
    """What is pushed is the declared type, as written."""
    odd = "application/vnd.OCI.image.Manifest.v1+JSON"
    layers = [{**_DESCRIPTOR, "mediaType": "X/Y; q=1"}]
    parsed = parse_manifest(to_json({"schemaVersion": 2, "mediaType": odd, "artifactType": "Application/X", "layers": layers}))

    assert (parsed.media_type, parsed.content_type) == (OCI_MANIFEST, odd)
    assert (parsed.artifact_type, parsed.blobs[0].media_type) == ("application/x", "x/y")
    assert parse_manifest(b'{"schemaVersion": 2, "layers": []}', content_type=DOCKER_MANIFEST.upper()).content_type == DOCKER_MANIFEST


def reduce_to(whole: Manifest, *platforms: Platform | None) -> Manifest:
    """Return an index without indexes in it, reduced to *platforms*."""
    return select_platforms(whole, [platform for platform in platforms if platform], read_child=lambda *_: pytest.fail("nothing to read")).root


def test_platforms_are_selected_deterministically():
    """Equal input gives equal bytes; children, their order and attestations are kept."""
    whole = parse_manifest(index(3).raw)
    platform = next(child.platform for child in whole.children if child.platform)

    one, again = (reduce_to(whole, platform) for _ in range(2))

    assert one.raw == again.raw
    assert [child.digest for child in one.children] == [child.digest for child in whole.children if child.platform == platform]
    assert reduce_to(whole, *(child.platform for child in whole.children)) is whole
    with pytest.raises(UnsupportedContentError, match="it has "):
        reduce_to(whole, parse_platform("plan9/sparc"))


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
    """No variant matches any; arm64 equals arm64/v8."""
    assert parse_platform(wanted).matches(parse_platform(offered)) is covers


def test_images_of_the_tests_are_valid():
    """Config and layers are blobs, an index has children."""
    manifest, whole = parse_manifest(image(1).raw), parse_manifest(index(2).raw)

    assert {blob.digest for blob in manifest.blobs} == set(image(1).all_blobs)
    assert whole.is_index
    assert not whole.blobs


@pytest.mark.row("DIG-09")
def test_impossible_sizes_are_refused_before_any_blob_request(lab):
    """A size is an integer of 63 bits."""
    content = lab.push("app", "good", image(1, layers=1))
    sizes = [True, 1e3, 3.5, -1, 10**30, "1000", None, [1]]
    for number, size in enumerate(sizes):
        lab.push("app", str(number), content)
        lab.source.add(manifest_of(with_layer(content, size=size)), target=f"/manifests/{number}$")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    told = {event["reference"].rpartition(":")[2]: event["error"] for event in ran.events("plan.failed")}
    assert told == {str(number): f"the manifest has a descriptor with an invalid size: {size}" for number, size in enumerate(sizes)}
    assert len(lab.source.requests("/blobs/")) == len(content.blobs), "the good one's"
    assert lab.served_tags("app") == ["good"]


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
def test_ambiguous_document_is_refused(document, served_as):
    """Readers must not disagree whether it is an index or an image, under any type."""
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
def test_mismatched_media_type_is_refused(document, said, served_as):
    """Document, header and shape must agree."""
    with pytest.raises(UnsupportedContentError, match="the manifest has the type"):
        parse_manifest(to_json(json.loads(document) | ({"mediaType": said} if said else {})), content_type=served_as)


@pytest.mark.parametrize("version", [None, 0, 3, "2"], ids=repr)
@pytest.mark.parametrize("content", [image(1), index(1)], ids=["image", "index"])
def test_other_schema_version_is_refused(content, version):
    """Registries answer it with an unclear error; artifact manifests have none."""
    document = json.loads(content.raw) | {"schemaVersion": version}
    if version is None:
        del document["schemaVersion"]

    with pytest.raises(UnsupportedContentError, match=r"the manifest has (schemaVersion|no schemaVersion)"):
        parse_manifest(to_json(document))
    assert parse_manifest(to_json({"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": [DESCRIPTOR]})).blobs


@pytest.mark.row("DIG-07", "DIG-08")
@pytest.mark.parametrize("what", ["both", "twice", "cased", "list served as image"])
def test_ambiguous_manifest_is_one_clear_error(what, lab):
    """The plan refuses it; others are copied."""
    content = lab.push("app", "1", index(1))
    other = lab.push("app", "2", image(2))
    raw = {
        "both": to_json(json.loads(content.raw) | json.loads(other.raw) | {"mediaType": content.media_type}),
        "twice": content.raw.replace(b'"schemaVersion":2', b'"schemaVersion":2,"manifests":[]'),
        "cased": content.raw.replace(b'"schemaVersion":2', b'"schemaVersion":2,"Manifests":[]'),
        "list served as image": content.raw,
    }[what]
    served_as = OCI["manifest"] if what.startswith("list") else content.media_type
    lab.source.add(manifest_of(dataclasses.replace(content, raw=raw, media_type=served_as)), method="GET|HEAD", target="/manifests/1$")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert "the manifest " in only_error(ran)
    assert lab.served_tags("app") == ["2"]


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
def test_ambiguous_json_is_refused(raw):
    """Other parsers would read another document."""
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
def test_unknown_keys_are_accepted(more):
    """The bytes stay as they are."""
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
def test_reduced_index_keeps_other_fields():
    """Even half of a surrogate pair."""
    document = json.loads(index(1).raw) | {"annotations": {"a": "ü\ud83d"}, "x": 0.5}

    ours = reduce_to(parse_manifest(to_json(document)), parse_platform("linux/arm64"))

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
def test_schema_1_is_recognised(document, served_as):
    """By version, by layers' name, by type."""
    with pytest.raises(UnsupportedContentError, match="Docker schema 1"):
        parse_manifest(to_json(document), content_type=served_as)


@pytest.mark.row("DIG-11")
@pytest.mark.parametrize(
    "digest",
    [
        "md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:" + "a" * 40, "SHA256:" + "a" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65,
        "sha512:" + "a" * 64, "sha256-" + "a" * 64, "sha256:" + "a" * 64 + "\n", "sha256:" + "g" * 64, "sha384:" + "a" * 96, "blake3:" + "a" * 64, "", None, 5,
    ],
    ids=str,
)  # fmt: skip
def test_unknown_digest_algorithm_is_refused(digest):
    """The error shows the digest."""
    raw = to_json({"schemaVersion": 2, "layers": [DESCRIPTOR | {"digest": digest}]})

    with pytest.raises(UnsupportedContentError) as caught:
        parse_manifest(raw)

    assert f"{str(digest)!r} is not a sha256 or sha512 digest" in caught.value.message


def bare_index(*children: Image, more: int = 0) -> Image:
    """Return an index of *children*, and of *more* missing ones."""
    entries = [{"mediaType": child.media_type, "digest": child.digest, "size": len(child.raw)} for child in children]
    entries += [{"mediaType": OCI["manifest"], "digest": digest_of(str(number).encode()), "size": 1} for number in range(more)]
    return Image(to_json({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": entries}), OCI["index"], children=children)


@pytest.mark.row("DIG-15")
def test_index_bombs_are_refused(lab):
    """Too deep, too wide or too large: one error before any blob; shared children are copied once."""
    leaf = image(1, layers=1)
    deep = leaf
    for _ in range(6):
        deep = bare_index(deep)
    wide = bare_index(more=1001)
    heavy = [image(("heavy", number), layers=1, annotations={"filling": "x" * (3 << 20)}) for number in range(6)]
    lab.push("app", "deep", deep)
    lab.push("app", "heavy", bare_index(*heavy))
    # docker-registry takes no index of what it has not.
    lab.push("app", "wide", leaf)
    lab.source.add(manifest_of(wide), method="GET|HEAD", target="/manifests/wide$")
    good = lab.push("app", "good", bare_index(bare_index(leaf), bare_index(bare_index(leaf)), leaf))
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    told = {event["reference"].rpartition(":")[2]: event["error"] for event in ran.events("plan.failed")}
    assert told == {
        "deep": "the index is nested deeper than 4 levels",
        "wide": "the index lists 1001 manifests; the limit is 1000",
        "heavy": "the image's manifests exceed 16 MiB in total",
    }
    lab.assert_served("app", "good", good)
    assert lab.served_tags("app") == ["good"]
    assert len(lab.source.requests(f"GET .*{leaf.digest}")) == 1
    assert len(lab.source.requests("GET .*/blobs/")) == len(leaf.blobs)
