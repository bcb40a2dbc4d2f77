"""
Keys and signatures as cosign makes them: the payloads, annotations, tags and bundles of its specifications, by `cryptography` and no line of imgsync.

Each part can be made wrong on its own: `payload`, `signature` and `annotations` are what they are given to be.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support.images import OCI, Image, digest_of, to_json

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNED = "https://sigstore.dev/cosign/sign/v1"
IN_TOTO = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Signer:
    """A key pair that signs."""

    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

    @property
    def pem(self) -> str:
        """Return the public key as cosign writes cosign.pub."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_pem(self) -> str:
        """Return the private key in PEM."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sign(self, data: bytes) -> bytes:
        """Return a signature over *data*, as cosign makes it."""
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(data, ec.ECDSA(SHA384() if isinstance(self.private.curve, ec.SECP384R1) else SHA256()))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), SHA256())
        return self.private.sign(data)


@functools.cache
def signer(name: str = "prod", kind: str = "ecdsa") -> Signer:
    """
    Return the signer of this name, made once.

    *kind* is ecdsa, rsa, ed25519, or p384, or a kind that is not accepted: p521, rsa1024.
    """
    made = {
        "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    return Signer(made[kind]())


@dataclass(frozen=True)
class Signature:
    """One layer of a cosign tag: payload and annotations."""

    payload: bytes
    text: str


def payload_of(digest: str, reference: str, *, kind: str = "cosign container image signature") -> bytes:
    """Return a payload of simple signing, as cosign writes it."""
    critical = {"identity": {"docker-reference": reference}, "image": {"docker-manifest-digest": digest}, "type": kind}
    return to_json({"critical": critical, "optional": None})


def simple(by: Signer, digest: str, reference: str, *, payload: bytes | None = None, over: bytes | None = None) -> Signature:
    """
    Return a signature of *digest* by *by*.

    *payload* replaces the payload; *over* is what is really signed.
    """
    payload = payload_of(digest, reference) if payload is None else payload
    return Signature(payload, base64.b64encode(by.sign(payload if over is None else over)).decode())


def signature_image(*signatures: Signature) -> Image:
    """Return what cosign keeps under the `.sig` tag: one layer per signature."""
    config = to_json({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [digest_of(one.payload) for one in signatures]}})
    layers = [_descriptor(SIMPLE_SIGNING, one.payload) | {"annotations": {"dev.cosignproject.cosign/signature": one.text}} for one in signatures]
    manifest = {"schemaVersion": 2, "mediaType": OCI["manifest"], "config": _descriptor(OCI["config"], config), "layers": layers}
    return Image(to_json(manifest), OCI["manifest"], {digest_of(one): one for one in (config, *(one.payload for one in signatures))})


def sig_tag(digest: str, suffix: str = "sig") -> str:
    """Return cosign's tag for *digest*."""
    return f"{digest.replace(':', '-')}.{suffix}"


def statement(digest: str, *, predicate: str = SIGNED, kind: str = "https://in-toto.io/Statement/v1", name: str = "") -> bytes:
    """Return the in-toto statement that cosign signs in a bundle."""
    algorithm, _, encoded = digest.partition(":")
    subject = {"digest": {algorithm: encoded}} | ({"name": name} if name else {})
    return to_json({"_type": kind, "subject": [subject], "predicateType": predicate, "predicate": {}})


def bundle(by: Signer, payload: bytes, *, kind: str = IN_TOTO, over: bytes | None = None) -> bytes:
    """Return a bundle with *payload* in a DSSE envelope; *over* is signed."""
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload) if over is None else over
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"sig": base64.b64encode(by.sign(signed)).decode()}],
    }
    return to_json({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "aGludA=="}}, "dsseEnvelope": envelope})


def file_bundle(by: Signer, data: bytes) -> bytes:
    """Return a bundle over the file *data*, as `cosign sign-blob --key` writes it."""
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": base64.b64encode(bytes.fromhex(digest_of(data)[7:])).decode()}}
    signature = base64.b64encode(by.sign(data)).decode()
    return to_json(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "aGludA=="}, "tlogEntries": []},
            "messageSignature": message | {"signature": signature},
        }
    )


def bundle_artifact(subject: Image, raw: bytes, *, predicate: str = SIGNED) -> Image:
    """Return the referrer of *subject* in which cosign keeps the bundle *raw*."""
    annotations = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI["manifest"],
        "artifactType": BUNDLE,
        "config": _descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [_descriptor(BUNDLE, raw)],
        "subject": _descriptor(subject.media_type, subject.raw),
        "annotations": annotations,
    }
    return Image(to_json(manifest), OCI["manifest"], {digest_of(raw): raw, digest_of(b"{}"): b"{}"})


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
