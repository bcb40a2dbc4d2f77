"""A bundle that is not signed as `registries.yaml` requires is refused before anything else of it is read."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from imgsync.bundle.model import DOCUMENT_NAME
from imgsync.bundle.signature import PLAIN_NAME, SIGSTORE_NAME, format_signing_command, read_signed_bundle
from imgsync.config.model import RegistriesConfig
from imgsync.config.registries import read_registries
from imgsync.errors import BundleError
from tests.support.bundles import make_cargo, write_bundle
from tests.support.images import to_json
from tests.support.keyless import IDENTITY, ISSUER, Sigstore
from tests.support.signing import bundle, file_bundle, signer, statement

KINDS = ["ecdsa", "p384", "rsa", "ed25519"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """The folder of a bundle, not signed yet."""
    write_bundle(tmp_path / "media", make_cargo(1))
    return tmp_path / "media"


def read_settings(folder: Path, **settings: object) -> RegistriesConfig:
    """Return `registries.yaml` with *settings*."""
    path = folder.parent / "registries.yaml"
    path.write_text(json.dumps({"version": 1, "bundles": {"require": {"signed_by": ["transfer"]}}, **settings}))
    found, errors = read_registries(str(path), environ={})
    assert errors == []
    return found


def with_key(folder: Path, kind: str = "ecdsa") -> RegistriesConfig:
    """Return settings that require a signature by one key."""
    return read_settings(folder, keys={"transfer": {"pem": signer("transfer", kind).pem}})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["raw", "base64", "sigstore"])
def test_signature_by_the_key_is_accepted(folder, kind, form):
    """As openssl writes it, as `cosign sign-blob` prints it, or as sigstore's bundle."""
    data = (folder / DOCUMENT_NAME).read_bytes()
    signature = signer("transfer", kind).sign(data)
    file, content = {
        "raw": (PLAIN_NAME, signature),
        "base64": (PLAIN_NAME, base64.encodebytes(signature)),
        "sigstore": (SIGSTORE_NAME, file_bundle(signer("transfer", kind), data)),
    }[form]
    (folder / file).write_bytes(content)

    document, check = read_signed_bundle([folder], with_key(folder, kind))

    assert (check.is_checked, check.signer, check.file) == (True, "transfer", file)
    assert document.images


def test_bundle_that_cosign_2_writes_is_accepted(folder):
    """Without `--new-bundle-format`, it has a form of its own."""
    data = (folder / DOCUMENT_NAME).read_bytes()
    (folder / SIGSTORE_NAME).write_bytes(to_json({"base64Signature": base64.b64encode(signer("transfer", "ecdsa").sign(data)).decode(), "rekorBundle": {}}))

    assert read_signed_bundle([folder], with_key(folder))[1].signer == "transfer"


def test_signature_of_openssl_is_accepted(folder):
    """Made by its command line, with the key in a file."""
    key = folder.parent / "transfer.pem"
    key.write_text(signer("transfer", "ecdsa").private_pem)
    command = ["openssl", "dgst", "-sha256", "-sign", str(key), "-out", str(folder / PLAIN_NAME), str(folder / DOCUMENT_NAME)]
    subprocess.run(command, check=True, capture_output=True)

    assert read_signed_bundle([folder], with_key(folder))[1].file == PLAIN_NAME


def test_signature_by_an_identity_is_accepted(folder):
    """Offline, with the trust root in a file; another identity is refused."""
    sigstore = Sigstore()
    root = folder.parent / "root.json"
    root.write_text(sigstore.trust_root)
    settings = read_settings(folder, identities={"transfer": {"identity": IDENTITY, "issuer": ISSUER, "trust_root": str(root)}})
    data = (folder / DOCUMENT_NAME).read_bytes()
    (folder / SIGSTORE_NAME).write_bytes(sigstore.file_bundle(data))

    assert read_signed_bundle([folder], settings)[1].signer == "transfer"

    (folder / SIGSTORE_NAME).write_bytes(sigstore.file_bundle(data, identity="https://github.example/someone"))
    with pytest.raises(BundleError, match="not verified"):
        read_signed_bundle([folder], settings)
    (folder / SIGSTORE_NAME).write_bytes(sigstore.file_bundle(data + b" "))
    with pytest.raises(BundleError, match="not verified"):
        read_signed_bundle([folder], settings)


@pytest.mark.row("BUN-05")
@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        (None, b"", "there is neither imgsync-bundle.json.sigstore.json nor imgsync-bundle.json.sig"),
        (PLAIN_NAME, b"", "by another key or of other content"),
        (PLAIN_NAME, b"\xff" * 70, "by another key or of other content"),
        (PLAIN_NAME, b"A" * 70_000, "too large"),
        (PLAIN_NAME, "another", "by another key or of other content"),
        (SIGSTORE_NAME, b"[", "not a sigstore bundle"),
        (SIGSTORE_NAME, b"[" * 100_000, "not a sigstore bundle"),
        (SIGSTORE_NAME, b"{}", "not a sigstore bundle with a signature of a file"),
        (SIGSTORE_NAME, file_bundle(signer("other"), b"other"), "by another key or of other content"),
        (SIGSTORE_NAME, bundle(signer("transfer", "ecdsa"), statement(f"sha256:{'0' * 64}")), "a signature of an attestation"),
        (SIGSTORE_NAME, Sigstore().file_bundle(b"x"), "by an identity, and none is required"),
    ],
)
def test_wrong_signature_is_refused_before_the_document_is_read(folder, file, content, reason):
    """The document is damaged as well, which is not even parsed."""
    (folder / DOCUMENT_NAME).write_bytes(b"not JSON")
    if file is not None:
        (folder / file).write_bytes(signer("other").sign(b"not JSON") if content == "another" else content)

    with pytest.raises(BundleError) as caught:
        read_signed_bundle([folder], with_key(folder))

    assert "is not signed by transfer" in caught.value.message
    assert reason in caught.value.message


@pytest.mark.row("BUN-05")
def test_signature_that_is_a_link_is_refused(folder):
    """Nothing outside the folder is read."""
    data = (folder / DOCUMENT_NAME).read_bytes()
    (folder.parent / "elsewhere").write_bytes(signer("transfer", "ecdsa").sign(data))
    (folder / PLAIN_NAME).symlink_to(folder.parent / "elsewhere")

    with pytest.raises(BundleError, match="links are not followed"):
        read_signed_bundle([folder], with_key(folder))


def test_nothing_is_checked_without_the_setting(folder):
    """And the result says so."""
    (folder / PLAIN_NAME).write_bytes(b"wrong")

    _, check = read_signed_bundle([folder], RegistriesConfig())

    assert (check.is_checked, check.signer, check.present) == (False, "", (PLAIN_NAME,))


def test_command_line_quotes_its_files():
    """What `create` prints can be pasted."""
    assert format_signing_command(Path("/media/my usb"), key="transfer.key") == (
        "cosign sign-blob --yes --key transfer.key --bundle '/media/my usb/imgsync-bundle.json.sigstore.json' '/media/my usb/imgsync-bundle.json'"
    )
