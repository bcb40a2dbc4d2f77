"""The whole way: inventory, create, sign, verify and load, between two registries."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.images import DOCKER, artifact, image, index, shared_base_images
from tests.support.run_imgsync import Workplace
from tests.support.signing import payload_of, signature_image, signer, simple

_COUNT, _FEW = 40, 3


class Gap:
    """A folder outside, one inside, and a disk that is carried between them."""

    def __init__(self, lab) -> None:
        self.lab = lab
        self.outside, self.inside = (self.make(side) for side in ("outside", "inside"))
        self.disk = lab.folder / "disk"
        self.disk.mkdir()
        key = lab.folder / "transfer.key"
        key.write_text(signer("transfer").private_pem)
        self._sign = ["openssl", "dgst", "-sha256", "-sign", str(key)]
        self.outside.allow_plain_http(lab.source)
        destination = {"registry": lab.destination.host, "namespace": "m"}
        self.outside.mirror("apps", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[destination])
        keys = {"transfer": {"pem": signer("transfer").pem}, "prod": {"pem": signer("prod").pem}}
        settings = {
            "registries": {lab.destination.host: {"tls": False}},
            "keys": keys,
            "bundles": {"require": {"signed_by": ["transfer"]}},
            "require": {f"{lab.source.host}/{lab.name}/signed": {"signatures": {"keys": ["prod"]}}},
        }
        self.inside.registries_file(json.dumps({"version": 1, **settings}))

    def make(self, side):
        """Return another folder to run in."""
        folder = self.lab.folder / side
        folder.mkdir()
        return Workplace(folder)

    def carry(self, name, *options):
        """Make a bundle outside, sign it, verify it inside and load it; return the report."""
        folder = self.disk / name
        made = self.outside.run("bundle", "create", "--out", folder, "--volume-size", "1MiB", *options, "-o", "json")
        assert made.code == 0, made.stderr
        document = folder / "imgsync-bundle.json"
        subprocess.run([*self._sign, "-out", f"{document}.sig", str(document)], check=True, capture_output=True)
        self.lab.source.forget()
        verified = self.inside.run("bundle", "verify", folder)
        assert verified.code == 0, verified.stdout + verified.stderr
        loaded = self.inside.run("bundle", "load", folder, "-o", "json")
        assert self.lab.source.seen == []
        return loaded

    def take_inventory(self):
        """Write down what the destination has; return the file."""
        path = self.disk / "inside.json"
        taken = self.inside.run("inventory", f"{self.lab.destination.host}/m/{self.lab.name}", "--out", path)
        assert taken.code == 0, taken.stderr
        return path


def fill(lab, count):
    """Push *count* images on one base, Docker types, an index with an SBOM, and a signed image."""
    images = {f"app-{number}": one for number, one in enumerate(shared_base_images(count, seed=lab.name, layer_bytes=50_000))}
    images |= {"docker": image((lab.name, "docker"), kind=DOCKER), "list": index((lab.name, "list"), kind=DOCKER), "multi": index(lab.name)}
    images["signed"] = image((lab.name, "signed"))
    for name, one in images.items():
        lab.push(name, "1", one)
    sbom = artifact(lab.name, subject=images["multi"])
    lab.push("multi", "", sbom)
    lab.push("multi", fallback_tag(images["multi"]), list_referrers(sbom))
    sign(lab, "signed", images["signed"])
    return images


def fallback_tag(subject):
    """Return the tag that lists what refers to *subject*."""
    return subject.digest.replace(":", "-")


def list_referrers(*referrers):
    """Return the index of *referrers*."""
    return index(children=referrers)


def sign(lab, name, content, by="prod"):
    """Push a signature of *content* as cosign does."""
    repository = f"{lab.source.host}/{lab.name}/{name}"
    made = signature_image(simple(signer(by), content.digest, repository, payload=payload_of(content.digest, repository)))
    lab.push(name, f"{fallback_tag(content)}.sig", made)


def uploaded(lab):
    """Return the digests that were sent whole to the destination."""
    return {one.target.rpartition("digest=")[2].replace("%3A", ":") for one in lab.destination.recorded("PUT .*blobs/uploads.*digest=") if one.status == 201}


def test_images_arrive_byte_for_byte(lab):
    """With skopeo as a witness: OCI and Docker types, indexes, referrers; unsigned images stay outside."""
    contents = fill(lab, _COUNT)
    lab.push("signed", "forged", image((lab.name, "forged")))
    gap = Gap(lab)

    ran = gap.carry("first")

    assert ran.code == 1
    (refused,) = [one for one in ran.json["outcomes"] if one["action"] == "refuse"]
    assert refused["source"].endswith("/signed:forged")
    assert ran.json["summary"]["copied"] == len(contents)
    for name, one in contents.items():
        lab.assert_served(name, "1", one)
    listed = json.loads(lab.served_manifest("multi", fallback_tag(contents["multi"])))
    assert [lab.served_manifest("multi", one["digest"]) is not None for one in listed["manifests"]] == [True]
    assert lab.served_digest("signed", f"{fallback_tag(contents['signed'])}.sig") is not None
    assert lab.served_digest("signed", "forged") is None


@pytest.mark.parametrize("how", ["inventory", "state", "since"])
def test_second_bundle_has_only_what_is_new(how, lab):
    """By an inventory, by the state that loaded, or by the first bundle alone."""
    contents = fill(lab, _FEW)
    gap = Gap(lab)
    assert gap.carry("first").code == 0
    base = next(iter(json.loads(contents["app-0"].raw)["layers"]))
    new = image((lab.name, "new"), layers=1, shared=contents["app-0"].blobs[base["digest"]])
    lab.push("app-0", "2", new)
    lab.destination.forget()
    if how == "inventory":
        options = ("--have", gap.take_inventory())
    elif how == "state":
        exported = gap.disk / "state.jsonl"
        exported.write_text(gap.inside.run("state", "export").stdout)
        options = ("--have", exported)
    else:
        options = ("--since", gap.disk / "first")

    ran = gap.carry("second", *options)

    assert ran.code == 0, ran.stderr
    lab.assert_served("app-0", "2", new)
    assert uploaded(lab) == {digest for digest in new.all_blobs if digest != base["digest"]}
    assert sum(path.stat().st_size for path in (gap.disk / "second").iterdir()) < sum(map(len, new.all_blobs.values())) + (256 << 10)


def test_destination_that_lost_its_images_is_told(lab):
    """Nothing is pushed, and the bundle that had them is named."""
    contents = fill(lab, _FEW)
    gap = Gap(lab)
    gap.carry("first")
    base = next(iter(json.loads(contents["app-0"].raw)["layers"]))
    lab.push("app-0", "2", image((lab.name, "new"), layers=1, shared=contents["app-0"].blobs[base["digest"]]))
    made = gap.outside.run("bundle", "create", "--out", gap.disk / "second", "--since", gap.disk / "first", "-o", "json")
    assert made.code == 0, made.stderr
    other = gap.make("other")
    other.registries_file(json.dumps({"version": 1, "registries": {lab.other_host.host: {"tls": False}}}))
    destination = {"registry": lab.other_host.host, "namespace": f"elsewhere/{lab.name}", "repository": "{name}"}
    other.mirror("apps", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[destination])

    ran = other.run("bundle", "load", gap.disk / "second", "mirrors.d")

    assert ran.code == 1
    first = json.loads((gap.disk / "first/imgsync-bundle.json").read_text())["id"]
    assert f"which bundle {first.partition(':')[2][:12]} says is at the destination" in ran.stderr
    assert not lab.other_host.requests("PUT|POST|PATCH")
