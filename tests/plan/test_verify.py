"""`verify` finds drift at the destinations; `apply` repairs it."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter

import filelock
import pytest

from imgsync.oci.spec.digest import shorten_digest
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.model import PlanError
from imgsync.render.verification_markdown import render_verification_markdown
from tests.support.images import OCI, Image, digest_of, first_layer, image, index, layer, request, to_json
from tests.support.registry_process import LOGIN
from tests.support.rendered import render_markdown
from tests.switches import Respond, status
from tests.switches.net import (
    StoresNothing,
)


@pytest.fixture
def mirrored(lab):
    """Push images by tag, declare and mirror them."""

    def mirror(settings="", **contents):
        pushed = {tag: lab.push("app", tag, content) for tag, content in contents.items()}
        lab.declare("app", settings)
        ran = lab.run("apply")
        assert ran.code == 0, ran.stderr
        return pushed

    return mirror


@pytest.fixture
def behind(lab):
    """Return a way to change the destination's storage."""
    return Behind(lab.destination_registry, f"m/{lab.name}/app")


class Behind:
    """Changes a repository in its registry's storage."""

    def __init__(self, registry, repository):
        self.registry = registry
        self.repository = repository

    def forget_tag(self, tag):
        self._remove(f"_manifests/tags/{tag}/current/link")

    def forget_blob(self, digest):
        self._remove(f"_layers/sha256/{_hex(digest)}/link")

    def forget_manifest(self, digest):
        self._remove(f"_manifests/revisions/sha256/{_hex(digest)}/link")

    def bytes_of(self, digest):
        return self.registry.storage / "blobs" / "sha256" / _hex(digest)[:2] / _hex(digest) / "data"

    def _remove(self, path):
        (self.registry.storage / "repositories" / self.repository / path).unlink()


def _hex(digest):
    return digest.partition(":")[2]


@pytest.fixture
def shown(lab):
    """Return what `show` prints of a run in another form."""

    def show(ran, form):
        saved = lab.folder / "found.json"
        saved.write_text(ran.stdout)
        return lab.run("show", saved, "-o", form).stdout

    return show


def drift(ran):
    return [finding for finding in ran.json["findings"] if finding["condition"] != "ok"]


def assert_repaired(imgsync):
    """Assert that a plain `apply` leaves nothing to verify."""
    repaired = imgsync("apply")
    assert repaired.code == 0, repaired.stdout + repaired.stderr
    again = imgsync("verify", "-o", "json")
    assert (again.code, drift(again)) == (0, [])


def test_no_drift_exits_0_and_writes_nothing(mirrored, lab):
    """Registries are only read, and the state does not change."""
    mirrored(**{"1": image("same"), "2": index("same")})
    kept = {path: path.read_bytes() for path in (lab.folder / ".imgsync").rglob("*") if path.is_file()}
    lab.destination.forget()
    lab.source.forget()

    table, markdown, document = lab.run("verify"), lab.run("verify", "-o", "markdown"), lab.run("verify", "-o", "json", "--deep")

    assert [ran.code for ran in (table, markdown, document)] == [0, 0, 0]
    assert table.stdout.startswith("No drift: 2 ok (")
    assert "### imgsync verify — No drift: 2 ok" in markdown.stdout
    assert document.json["summary"] == document.json["summary"] | {"ok": 2, "drift": 0, "error": 0, "missing": 0, "damaged": 0}
    assert {one.method for one in (*lab.source.seen, *lab.destination.seen)} <= {"GET", "HEAD"}
    assert {path: path.read_bytes() for path in kept} == kept


def test_drift_of_every_kind_is_found_and_repaired(mirrored, behind, lab):
    """Each drift is listed by tag, condition and digests; one plain `apply` repairs all."""
    pushed = mirrored(
        gone=image("gone"), there=image("there"), here=image("here"), other=image("other"), blob=image("blob"), child=index("child"), bytes=image("bytes")
    )
    behind.forget_tag("gone")
    # What the tag serves now is also what another tag is right to serve.
    lab.push_to_destination("app", "there", pushed["other"])
    here = lab.push("app", "here", image("here, moved"))
    layer_gone, child_gone, bytes_gone = first_layer(pushed["blob"]), pushed["child"].children[1].digest, first_layer(pushed["bytes"])
    behind.forget_blob(layer_gone)
    behind.forget_manifest(child_gone)
    behind.bytes_of(bytes_gone).unlink()

    ran = lab.run("verify", "-o", "json")

    assert ran.code == 1
    found = {finding["destination"].removeprefix(f"{lab.destination.host}/m/{lab.name}/app:"): finding for finding in drift(ran)}
    assert {tag: (finding["condition"], finding["source_digest"], finding["destination_digest"]) for tag, finding in found.items()} == {
        "gone": ("missing", pushed["gone"].digest, None),
        "there": ("differs", pushed["there"].digest, pushed["other"].digest),
        "here": ("differs", here.digest, pushed["here"].digest),
        **{tag: ("incomplete", pushed[tag].digest, pushed[tag].digest) for tag in ("blob", "child", "bytes")},
    }
    assert layer_gone in found["blob"]["reason"]
    assert child_gone in found["child"]["reason"]
    assert bytes_gone in found["bytes"]["reason"]
    assert_repaired(lab.run)
    assert request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/blobs/{bytes_gone}")[0] == 200


def test_locked_state_only_costs_the_note(mirrored, behind, lab):
    """`verify` reports the drift as ever, and says how to repair it."""
    mirrored(**{"1": image("gone")})
    behind.forget_tag("1")
    with filelock.FileLock(lab.folder / ".imgsync" / "state" / "lock"):
        ran = lab.run("verify", "-o", "json")

    assert (ran.code, [finding["condition"] for finding in drift(ran)]) == (1, ["missing"])
    assert "apply --refresh" in ran.events("state.degraded")[0]["reason"]


def test_state_in_a_registry_notes_the_drift(mirrored, behind, lab):
    """The next apply elsewhere repairs it."""
    place = f"oci://{lab.destination.host}/states/{lab.name}:v1"
    pushed = mirrored(**{"1": image("gone")})
    assert lab.run("apply", "--state", place).code == 0
    behind.forget_tag("1")

    assert lab.run("verify", "--state", place).code == 1

    shutil.rmtree(lab.folder / ".imgsync")
    assert lab.run("apply", "--state", place).code == 0
    lab.assert_served("app", "1", pushed["1"])


def test_altered_bytes_are_found_only_by_deep(mirrored, behind, imgsync, shown):
    """A blob that rotted in storage is listed; a push cannot repair it."""
    pushed = mirrored(**{"1": image("rot"), "2": image("sound")})
    rotten = first_layer(pushed["1"])
    data = behind.bytes_of(rotten)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    data.write_bytes(content)

    assert imgsync("verify").code == 0, "heads cannot tell"
    ran = imgsync("verify", "--deep", "-o", "json")
    table, markdown = shown(ran, "table"), shown(ran, "markdown")

    assert ran.code == 1
    (finding,) = drift(ran)
    assert finding["condition"] == "damaged"
    assert rotten in finding["reason"]
    assert "storage" in finding["hint"]
    assert "storage" in table
    assert "storage" in markdown
    assert "Repair it with" not in table + markdown


def test_held_tags_are_not_drift(lab):
    """Held tags are listed and count as declared."""
    lab.push("app", "1", image("young"))
    lab.declare("app", "tags: {min_age: 3d}")
    assert lab.run("apply").code == 0

    ran = lab.run("verify", "-o", "json")

    assert ran.code == 0
    assert [finding["condition"] for finding in ran.json["findings"]] == ["held"]


def test_refused_immutable_tag_is_drift(mirrored, lab, shown):
    """A moved immutable tag exits with 1, and no repair is offered."""
    pushed = mirrored("immutable: ['1']", **{"1": image("fixed")})
    moved = lab.push("app", "1", image("not fixed"))

    ran = lab.run("verify", "-o", "json")

    assert ran.code == 1
    (finding,) = drift(ran)
    assert (finding["condition"], finding["source_digest"], finding["destination_digest"]) == ("refused", moved.digest, pushed["1"].digest)
    assert "Repair it with" not in shown(ran, "table")


def test_subset_of_platforms_is_as_declared(mirrored, behind, imgsync):
    """The rebuilt index is what the destination must serve."""
    pushed = mirrored("platforms: [linux/amd64]", **{"1": index("subset")})
    assert imgsync("verify", "--deep").code == 0
    behind.forget_blob(first_layer(pushed["1"].children[0]))

    assert [finding["condition"] for finding in drift(imgsync("verify", "-o", "json"))] == ["incomplete"]


def test_shared_blobs_are_checked_once(lab):
    """Once per repository, and read once per registry with --deep."""
    base = layer("verify base", 3000)
    for repository in ("a", "b"):
        for tag in ("1", "2"):
            lab.push(repository, tag, image(f"{repository} {tag}", layers=1, shared=base))
    lab.declare("a b")
    assert lab.run("apply").code == 0
    lab.destination.forget()

    ran = lab.run("verify", "--deep", "-o", "json")

    assert ran.code == 0, ran.stdout
    asked = Counter(path for path in lab.destination.requests("/blobs/") if digest_of(base) in path)
    assert sorted(asked.values()) == [1, 1, 1]
    assert sorted(path.partition(" ")[0] for path in asked) == ["GET", "HEAD", "HEAD"]
    assert max(Counter(lab.destination.requests()).values()) == 1, "nothing is asked twice"
    assert ran.json["summary"]["bytes_read"] == sum(one.bytes_down for one in lab.destination.recorded("GET .*/blobs/"))


@pytest.mark.row("AUTH-11")
def test_nondistributable_layers_are_not_checked(lab):
    """Their absence is not drift; each registry is asked once, and their `urls` never."""
    foreign = b"on another server"
    own = image("windows", layers=1)
    manifest = json.loads(own.raw)
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    manifest["layers"].append({"mediaType": kind, "digest": digest_of(foreign), "size": len(foreign), "urls": ["https://example.com/layer"]})
    windows = Image(to_json(manifest), OCI["manifest"], own.blobs)
    lab.push("app", "1", own)
    lab.declare("app")
    assert lab.run("apply").code == 0
    # The registry of the suite takes no such manifest; it is served in its place, at both sides.
    for proxy in (lab.source, lab.destination):
        served = {"Content-Type": OCI["manifest"], "Docker-Content-Digest": windows.digest}
        proxy.add(Respond(200, windows.raw, headers=served), target=f"/manifests/(1|{windows.digest})$")
    lab.destination.forget()

    ran = lab.run("verify", "--deep")

    assert ran.code == 0, ran.stdout
    assert f"left out: external layer {shorten_digest(digest_of(foreign))}" in ran.stdout
    for proxy in (lab.source, lab.destination):
        assert [path.partition(" ")[0] for path in proxy.requests() if digest_of(foreign) in path] == ["HEAD"]


def test_verify_needs_only_pull(lab, token_registry, token_server):
    """A login with pull alone is enough."""
    lab.push("app", "1", image("scope"))
    login = {"credentials": dict(zip(("username", "password"), LOGIN, strict=True)), "token_server": token_server.realm.removesuffix("/token")}
    lab.workplace.allow_plain_http(lab.source_registry, token_registry, settings={token_registry.host: login})
    lab.workplace.mirror("a", source=f"{lab.source_registry.host}/{lab.name}/app", destinations=[f"{token_registry.host}/m"])
    ran = lab.run("apply")
    assert ran.code == 0, ran.stderr
    token_server.grants = {"pull"}
    assert lab.run("apply", "--refresh", "--state", "other").code == 0, "nothing to push"

    ran = lab.run("verify", "--deep", "-o", "json")

    assert (ran.code, ran.json["summary"]["ok"]) == (0, 1), ran.stdout


def test_unreachable_destination_is_an_error(mirrored, lab):
    """Exit 1, and nothing is listed as missing."""
    mirrored(**{"1": image("away")})
    lab.destination.add(status(503))

    ran = lab.run("verify", "-o", "json")

    assert ran.code == 1
    assert ran.json["findings"] == []
    assert lab.destination.host in ran.json["errors"][0]["message"]
    assert ran.json["summary"] == ran.json["summary"] | {"drift": 0, "error": 1}
    assert "Not everything could be checked: 0 ok, 1 error (" in lab.run("verify").stdout


def test_only_limits_verification(lab):
    """Repositories of other mirrors get no request."""
    for mirror in "ab":
        lab.push(mirror, "1", image(mirror))
        lab.write(
            f"mirrors.d/{mirror}.yaml",
            f"version: 1\nmirrors: [{{name: {mirror}, source: {lab.source.host}/{lab.name}/{mirror}, destinations: ['{lab.destination.host}/m']}}]\n",
        )
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false}}\n")

    ran = lab.run("verify", "--only", "b", "-o", "json")

    assert ran.code == 1
    assert [finding["mirror"] for finding in ran.json["findings"]] == ["b"]
    assert lab.destination.requests(f"/m/{lab.name}/a/") == []


def test_document_has_every_field(lab, shown):
    """JSON has every field; Markdown and `show` have the same content."""
    lab.push("app", "1", image("form"))
    lab.declare("app")

    document, markdown = lab.run("verify", "-o", "json"), lab.run("verify", "-o", "markdown").stdout

    assert list(document.json) == ["format", "created_at", "summary", "findings", "errors"]
    assert document.json["format"] == "imgsync.verification/v1"
    conditions = {"ok": 0, "missing": 1, "differs": 0, "incomplete": 0, "damaged": 0, "held": 0, "refused": 0, "gone": 0, "lost": 0}
    summary = document.json["summary"]
    assert summary == conditions | {"drift": 1, "error": 0, "bytes_read": 0, "seconds": summary["seconds"]}
    fields = {"condition", "mirror", "source", "source_digest", "destination", "destination_digest", "reason", "hint"}
    assert all(set(finding) == fields for finding in document.json["findings"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document.json["created_at"])
    assert markdown.startswith("<!-- imgsync-verify -->\n")
    assert f"{lab.destination.host}/m/{lab.name}/app:1" in render_markdown(markdown).code
    assert json.loads(shown(document, "json")) == document.json


@pytest.mark.row("OUT-03")
def test_markdown_fits_its_limit():
    """What does not fit is counted, and hostile names stay text."""
    hostile = "x|`</td><script>@all"
    findings = tuple(Finding(Condition.MISSING, hostile, "s", None, f"d/{hostile}:{number}", None, hostile, hostile) for number in range(2000))
    errors = tuple(PlanError(hostile, hostile, hostile) for _ in range(2000))

    for limit in (1000, 5000, 60_000):
        text = render_verification_markdown(Verification(findings, errors), limit=limit)

        assert len(text.encode("utf-16-le")) // 2 <= limit
        rows, items = text.count("\n| "), text.count("\n- `")
        more = {kind: int(count) for count, kind in re.findall(r"(\d+) more (tag|error)s", text)}
        assert (rows - ("| tag |" in text) + more["tag"], items + more["error"]) == (2000, 2000)
        assert "script" not in render_markdown(text).elements


@pytest.mark.row("REG-14")
def test_registry_that_drops_manifests_is_found(lab):
    """`verify` lists the missing manifest; `apply` pushes it again."""
    lab.push("app", "1", image(1))
    lab.destination.add(StoresNothing(), target="/manifests/")
    lab.declare("app")
    lab.run("apply")

    ran = lab.run("verify", "-o", "json")

    assert ran.code == 1
    assert [finding["condition"] for finding in ran.json["findings"]] == ["missing"]
    lab.destination.clear()
    assert lab.run("apply", "--refresh").code == 0
    assert lab.run("verify").code == 0
