"""What a registry holds is written down, and only what is certain is believed."""

from __future__ import annotations

import io
import json
import re

import jsonschema
import pytest

from imgsync.bundle.inventory import FORMAT, decode_inventory, encode_inventory
from imgsync.config.schema_files import read_schema
from imgsync.errors import UsageError
from imgsync.text.units import parse_timestamp
from tests.support.bundles import read_files
from tests.support.images import artifact, digest_of, image, index, push
from tests.support.signing import sig_tag
from tests.switches import Distance, status

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


def take(lab, *places, code=0, options=()):
    """Take an inventory of the destination; return its document by path."""
    lab.workplace.allow_plain_http(lab.destination)
    result = lab.run("inventory", *(f"{lab.destination.host}/{place}" for place in places), "--out", "inside.json", *options)
    assert result.code == code, result.stderr
    document = json.loads((lab.folder / "inside.json").read_bytes())
    jsonschema.validate(document, json.loads(read_schema("inventory")))
    return document


def repository_of(document, path):
    """Return the entry of the repository whose name ends with *path*."""
    (found,) = [one for one in document["repositories"] if one["name"].endswith(path)]
    return found


def read(text, **options):
    """Read an inventory; return its repositories and head."""
    found = []
    head = decode_inventory(io.BytesIO(text if isinstance(text, bytes) else json.dumps(text).encode()), name="inside.json", add=found.append, **options)
    return found, head


def make(*repositories, **fields):
    """Return an inventory document."""
    return {"format": FORMAT, "places": ["r.io"], "repositories": list(repositories), "errors": [], "complete": True, **fields}


def entry(**fields):
    """Return the entry of a repository."""
    return {"name": "r.io/a", "complete": True, "tags": {}, "manifests": {}, "blobs": {}, "referrers": {}, **fields}


def test_place_with_nothing_is_named(lab):
    """It is new, or its name is wrong, and a bundle would carry all again."""
    lab.push_to_destination("app", "1", image(1))
    lab.workplace.allow_plain_http(lab.destination)
    host = lab.destination.host

    ran = lab.run("inventory", f"{host}/m/{lab.name}", f"{host}/m/{lab.name}/app", f"{host}/mm", "--out", "inside.json")

    assert ran.code == 0
    assert [line for line in ran.stderr.splitlines() if "Nothing is at" in line] == [
        f"Nothing is at {host}/mm: if that is not because it is new, check the name."
    ]


@pytest.mark.row("INV-01")
def test_repositories_below_namespace_are_read(lab):
    """Tags with digests, manifests, blobs and referrers of what is below the namespace."""
    content = lab.push_to_destination("app", "1", index(1))
    signature = lab.push_to_destination("app", sig_tag(content.digest), image("signature", layers=1))
    lab.push_to_destination("deep/er", "2", image(2))
    push(lab.destination_registry, f"{lab.name}-other", "1", image(3))

    document = take(lab, f"m/{lab.name}")

    assert [one["name"].partition("/m/")[2] for one in document["repositories"]] == [f"{lab.name}/app", f"{lab.name}/deep/er"]
    app = repository_of(document, "/app")
    assert app["tags"] == {"1": content.digest, sig_tag(content.digest): signature.digest}
    assert app["manifests"] == {digest: len(raw) for digest, raw in sorted((content.manifests | signature.manifests).items())}
    assert app["blobs"] == {digest: len(raw) for digest, raw in sorted((content.all_blobs | signature.all_blobs).items())}
    assert document["complete"]
    assert lab.destination.requests("GET /v2/.*/blobs/") == []


def test_referrers_by_api_are_read(lab, knowing):
    """What the referrers API lists is held, with its blobs and its subject."""
    content = push(knowing.host, f"{lab.name}/app", "1", image(1))
    sbom = push(knowing.host, f"{lab.name}/app", "", artifact(1, subject=content))
    more = push(knowing.host, f"{lab.name}/app", "", artifact(2, subject=sbom))
    lab.workplace.allow_plain_http(knowing)

    assert lab.run("inventory", f"{knowing.host}/{lab.name}/app", "--out", "inside.json").code == 0

    (app,) = json.loads((lab.folder / "inside.json").read_bytes())["repositories"]
    assert app["referrers"] == {content.digest: [sbom.digest], sbom.digest: [more.digest]}
    assert app["manifests"].keys() == {content.digest, sbom.digest, more.digest}
    assert app["blobs"].keys() == content.all_blobs.keys() | sbom.all_blobs.keys() | more.all_blobs.keys()


def test_layout_has_an_inventory_too(lab):
    """A layout of registries.yaml is read like a registry."""
    content = lab.push("app", "1", index(1))
    lab.declare("app", registries="layouts: {usb: {path: usb}}\n")
    text = (lab.folder / "mirrors.d" / "a.yaml").read_text()
    lab.write("mirrors.d/a.yaml", text.replace(f"{lab.destination.host}/m", "oci-layout:usb/m"))
    assert lab.run("apply").code == 0

    for place in ("oci-layout:usb", "oci-layout:usb/m"):
        assert lab.run("inventory", place, "--out", "inside.json").code == 0
        (app,) = json.loads((lab.folder / "inside.json").read_bytes())["repositories"]
        assert app["name"] == f"oci-layout:usb/m/{lab.name}/app"
        assert app["tags"] == {"1": content.digest}
        assert app["blobs"].keys() >= content.all_blobs.keys()


def test_same_registry_gives_same_bytes(lab):
    """Two inventories of the same content are equal, byte for byte, but for the date."""
    for number in range(12):
        lab.push_to_destination(f"app{number % 3}", f"{number}", image(number))
    found = []
    for _ in range(2):
        created_at = take(lab, f"m/{lab.name}")["created_at"]
        found.append((lab.folder / "inside.json").read_bytes().replace(created_at.encode(), b"DATE", 1))

    assert found[0] == found[1]


@pytest.mark.row("INV-02")
def test_failing_repository_is_marked_incomplete(lab):
    """One repository that fails leaves the others, exit code 1, and a mark."""
    good = lab.push_to_destination("good", "1", image(1))
    lab.push_to_destination("bad", "1", image(2))
    lab.destination.add(status(403), target="/bad/manifests/")

    document = take(lab, f"m/{lab.name}", code=1)

    assert repository_of(document, "/good")["tags"] == {"1": good.digest}
    bad = repository_of(document, "/bad")
    assert (bad["complete"], bad["tags"], document["complete"]) == (False, {}, False)
    assert [one["reference"].rpartition("/")[2] for one in document["errors"]] == ["bad:1"]


@pytest.mark.row("INV-03")
def test_tag_without_its_platforms_is_left_out(lab):
    """A tag whose index names a manifest that is not there counts as absent."""
    content = index(1)
    for child in content.children[:1]:
        lab.push_to_destination("app", "child", child)
    lab.push_to_destination("app", "1", index(1))
    lab.destination.add(status(404), target=f"/manifests/{content.children[1].digest}")

    document = take(lab, f"m/{lab.name}")

    assert repository_of(document, "/app")["tags"] == {"child": content.children[0].digest}


@pytest.mark.row("INV-03")
def test_index_of_an_index_without_its_platforms_is_left_out(lab):
    """Also if the inner index is being read for its own tag at that moment."""
    inner = index(1)
    lab.push_to_destination("app", "inner", inner)
    lab.push_to_destination("app", "outer", index(2, children=[inner]))
    missing = f"/manifests/{inner.children[1].digest}"
    lab.destination.add(Distance(0.5), target=missing)
    lab.destination.add(status(404), target=missing)

    document = take(lab, f"m/{lab.name}")

    assert repository_of(document, "/app")["tags"] == {}


def test_recorded_tags_need_no_manifest(lab):
    """With a state that describes a tag, its manifest is not pulled, and its blobs are known."""
    content = lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    lab.destination.forget()

    result = lab.run("inventory", f"{lab.destination.host}/m/{lab.name}", "--out", "inside.json")

    assert result.code == 0
    assert lab.destination.requests("GET .*/manifests/") == []
    app = repository_of(json.loads((lab.folder / "inside.json").read_bytes()), "/app")
    assert app["tags"] == {"1": content.digest}
    assert app["blobs"].keys() >= content.all_blobs.keys()


def test_changed_tag_is_read_despite_record(lab):
    """A tag that moved since it was recorded is read."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    moved = lab.push_to_destination("app", "1", image(2))

    lab.run("inventory", f"{lab.destination.host}/m/{lab.name}", "--out", "inside.json")

    app = repository_of(json.loads((lab.folder / "inside.json").read_bytes()), "/app")
    assert app["tags"] == {"1": moved.digest}
    assert app["blobs"].keys() == moved.all_blobs.keys()


@pytest.mark.row("INV-04")
def test_old_file_stays_if_stopped(lab):
    """A run that is stopped leaves the file as it was."""
    lab.push_to_destination("app", "1", image(1))
    lab.write("inside.json", "old")
    lab.workplace.allow_plain_http(lab.destination)
    lab.destination.add(status(503), target="/manifests/")

    result = lab.run("inventory", f"{lab.destination.host}/m/{lab.name}", "--out", "inside.json", "--run-timeout", "1s")

    assert result.code == 75
    assert (lab.folder / "inside.json").read_text() == "old"
    assert sorted(path.name for path in lab.folder.iterdir() if path.name.startswith(".inside")) == []


def test_document_is_read_back(lab):
    """What was written is read, in any layout of the JSON."""
    content = lab.push_to_destination("app", "1", image(1))
    document = take(lab, f"m/{lab.name}")

    by_line, head = read((lab.folder / "inside.json").read_bytes())
    whole, _ = read(json.dumps(document, indent=2).encode())

    assert head.is_complete
    assert by_line == whole
    assert by_line[0].tags == {"1": content.digest}


@pytest.mark.row("INV-05")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is damaged"),
        (b"[]", "not a JSON object"),
        (b'{"format":"imgsync.inventory/v1","places":[],"repositories":[\n', "truncated"),
        (b'{"format":"imgsync.inventory/v1","places":[],"repositories":[\n' + b"[" * 100_000, "is damaged"),
        (make(format="imgsync.inventory/v2"), "another version"),
        (make(format="x"), "neither an inventory"),
        (make(complete=1), "`places` or `complete`"),
        (make({}), "a repository needs"),
        (make(entry(name="../a")), "is not a registry name"),
        (make(entry(name=3)), "not text"),
        (make(entry(tags={"a b": DIGEST})), "is not a tag"),
        (make(entry(tags={"a": "sha256:x"})), "is not a digest"),
        (make(entry(tags=[])), "`tags`"),
        (make(entry(blobs={DIGEST: -1})), "is not a size"),
        (make(entry(blobs={DIGEST: 1.5})), "is not a size"),
        (make(entry(blobs={DIGEST: True})), "is not a size"),
        (make(entry(manifests={DIGEST: 1 << 70})), "is not a size"),
        (make(entry(referrers={DIGEST: OTHER})), "not a list"),
        (make(entry(referrers={DIGEST: [None]})), "is not a digest"),
        (json.dumps(make()).replace('"errors"', '"format":"imgsync.inventory/v1","errors"').encode(), "twice"),
    ],
)
def test_hostile_inventory_is_refused(text, problem):
    """Each fault is one clear error that names the file."""
    with pytest.raises(UsageError) as caught:
        read(text)

    assert caught.value.message.startswith("inside.json cannot be used: ")
    assert problem in caught.value.message
    assert caught.value.hint


@pytest.mark.row("INV-05")
def test_huge_line_is_refused_unparsed():
    """A line with millions of values is refused before it becomes objects."""
    with pytest.raises(UsageError, match="too large"):
        read(b'{"format":"imgsync.inventory/v1","places":[],"repositories":[\n' + b"[" + b"[]," * 1_000_001)


def test_sizes_survive_their_packing(lab):
    """Digests of both algorithms, and unknown sizes."""
    from imgsync.bundle.digest_sizes import DigestSizes

    sizes = DigestSizes()
    long = f"sha512:{'c' * 128}"
    sizes.update({DIGEST: 3, long: None, digest_of(b""): 0})

    assert dict(sizes) == {DIGEST: 3, long: None, digest_of(b""): 0}
    del sizes[DIGEST]
    assert DIGEST not in sizes


@pytest.mark.row("INV-16")
def test_age_of_the_inventory_is_said(lab):
    """In the plan and in the summary; the bundle does not have it, and is the same again."""
    held = lab.push("app", "1", image(1))
    lab.push_to_destination("app", "1", held)
    lab.push("app", "2", image(2))
    lab.declare("app")
    assert lab.run("inventory", f"{lab.destination.host}/m/{lab.name}", "--out", "inside.json").code == 0
    path = lab.folder / "inside.json"
    document = json.loads(path.read_text())
    assert parse_timestamp(document["created_at"]) is not None
    path.write_text(path.read_text().replace(document["created_at"], "2026-01-02T03:04:05Z", 1))

    plan = lab.run("plan", "--have", "inside.json")
    made = [lab.run("bundle", "create", "--have", "inside.json", "--out", out, "-o", "json") for out in ("one", "two")]

    assert "inside.json was made at 2026-01-02T03:04:05Z, " in plan.stdout
    assert [run.code for run in made] == [0, 0]
    (note,) = made[0].json["notes"]
    assert re.fullmatch(r"inside\.json was made at 2026-01-02T03:04:05Z, \S+.* ago", note)
    assert read_files(lab.folder / "one") == read_files(lab.folder / "two")
    assert b"2026-01-02" not in b"".join(read_files(lab.folder / "one").values())


@pytest.mark.row("INV-05")
def test_inventory_without_a_date_is_read():
    """It needs none; what is no time is refused."""
    assert b"created_at" not in b"".join(encode_inventory([], [], []))
    written = b"".join(encode_inventory([], [], [], created_at="2026-01-02T03:04:05Z"))
    assert decode_inventory(io.BytesIO(written), name="x", add=print).created_at == "2026-01-02T03:04:05Z"
    with pytest.raises(UsageError, match="`created_at` is not a time"):
        decode_inventory(io.BytesIO(written.replace(b"2026-01-02T", b"yesterday ")), name="x", add=print)
