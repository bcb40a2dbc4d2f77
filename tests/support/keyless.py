"""
A sigstore of our own: a CA, a certificate log and a transparency log, all of one process, and bundles that they vouch for, offline.

Made by `cryptography` from the protocols' documents (RFC 6962, Rekor's entries and checkpoints, Fulcio's extensions), as `cosign sign` has them made.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from tests.support.images import to_json
from tests.support.signing import BUNDLE, IN_TOTO

ISSUER = "https://token.actions.example"
IDENTITY = "https://github.example/company/app/.github/workflows/release.yml@refs/heads/main"
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_ORIGIN = "rekor.example - 1"


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(SHA256()))


@dataclass
class Sigstore:
    """One sigstore; `now` is the moment at which it lives."""

    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC).replace(microsecond=0))
    ca: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    ct_log: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    rekor: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    def __post_init__(self) -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "example"), x509.NameAttribute(NameOID.COMMON_NAME, "fulcio")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.ca.public_key())
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        self.root = (
            self._builder(self._name, self.ca, days=3650)
            .add_extension(x509.BasicConstraints(True, 0), True)
            .add_extension(usage, True)
            .add_extension(identifier, False)
            .add_extension(authority, False)
            .sign(self.ca, SHA256())
        )

    @property
    def trust_root(self) -> str:
        """Return what vouches for all of it, as sigstore's trusted_root.json."""
        since = {"start": (self.now - dt.timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {"rawBytes": _b64(_der(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
            return {
                "baseUrl": "https://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": {"keyId": _b64(hashlib.sha256(_der(key)).digest())},
            }

        authority = {
            "subject": {"organization": "example", "commonName": "fulcio"},
            "uri": "https://fulcio.example",
            "certChain": {"certificates": [{"rawBytes": _b64(self.root.public_bytes(Encoding.DER))}]},
            "validFor": since,
        }
        document = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.rekor)],
            "ctlogs": [log(self.ct_log)],
            "certificateAuthorities": [authority],
            "timestampAuthorities": [],
        }
        return json.dumps(document)

    def bundle(self, payload: bytes, *, identity: str = IDENTITY, issuer: str = ISSUER, kind: str = IN_TOTO, logged: bytes | None = None) -> bytes:
        """
        Return a bundle over *payload* signed by *identity*.

        *issuer* confirmed the identity; *logged* is another payload for the transparency log's entry.
        """
        key = _key()
        certificate = self._certificate(key, identity, issuer)
        signature = _sign(key, _pre_authentication(kind, payload))
        body = self._body(certificate, payload if logged is None else logged, signature)
        document = {
            "mediaType": BUNDLE,
            "verificationMaterial": {"certificate": {"rawBytes": _b64(certificate.public_bytes(Encoding.DER))}, "tlogEntries": [self._entry(body)]},
            "dsseEnvelope": {"payload": _b64(payload), "payloadType": kind, "signatures": [{"sig": _b64(signature)}]},
        }
        return to_json(document)

    def file_bundle(self, data: bytes, *, identity: str = IDENTITY, issuer: str = ISSUER) -> bytes:
        """Return a bundle over the file *data*, as `cosign sign-blob` writes it."""
        key = _key()
        certificate = self._certificate(key, identity, issuer)
        signature, digest = _sign(key, data), hashlib.sha256(data)
        public = {"content": _b64(certificate.public_bytes(Encoding.PEM))}
        spec = {"data": {"hash": {"algorithm": "sha256", "value": digest.hexdigest()}}, "signature": {"content": _b64(signature), "publicKey": public}}
        body = to_json({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})
        material = {"certificate": {"rawBytes": _b64(certificate.public_bytes(Encoding.DER))}, "tlogEntries": [self._entry(body, kind="hashedrekord")]}
        message = {"messageDigest": {"algorithm": "SHA2_256", "digest": _b64(digest.digest())}, "signature": _b64(signature)}
        return to_json({"mediaType": BUNDLE, "verificationMaterial": material, "messageSignature": message})

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: float) -> x509.CertificateBuilder:
        begins = self.now - dt.timedelta(minutes=5)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + dt.timedelta(days=days))
        )

    def _certificate(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> x509.Certificate:
        text = issuer.encode()
        builder = (
            self._builder(x509.Name([]), key, days=10 / 1440)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key()), False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_OID, text), False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V2_OID, b"\x0c" + bytes([len(text)]) + text), False)
        )
        # What the certificate log signs is the certificate without the log's own words.
        stamp = self._timestamp(builder.sign(self.ca, SHA256()).tbs_certificate_bytes)
        listed = struct.pack(f"!HH{len(stamp)}s", len(stamp) + 2, len(stamp), stamp)
        octets = b"\x04\x81" + bytes([len(listed)]) + listed if len(listed) > 127 else b"\x04" + bytes([len(listed)]) + listed
        extension = x509.UnrecognizedExtension(ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS, octets)
        return builder.add_extension(extension, False).sign(self.ca, SHA256())

    def _timestamp(self, certificate: bytes) -> bytes:
        """Return a signed certificate timestamp of RFC 6962, §3.2."""
        moment = int(self.now.timestamp() * 1000)
        entry = hashlib.sha256(_der(self.ca)).digest() + len(certificate).to_bytes(3, "big") + certificate
        signed = struct.pack(f"!BBQH{len(entry)}sH", 0, 0, moment, 1, entry, 0)
        signature = _sign(self.ct_log, signed)
        log_id = hashlib.sha256(_der(self.ct_log)).digest()
        return struct.pack(f"!B32sQHBBH{len(signature)}s", 0, log_id, moment, 0, 4, 3, len(signature), signature)

    def _body(self, certificate: x509.Certificate, payload: bytes, signature: bytes) -> bytes:
        """Return Rekor's entry of kind dsse."""
        signatures = [{"signature": _b64(signature), "verifier": _b64(certificate.public_bytes(Encoding.PEM))}]
        hashes = {name: {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()} for name in ("envelopeHash", "payloadHash")}
        return to_json({"apiVersion": "0.0.1", "kind": "dsse", "spec": hashes | {"signatures": signatures}})

    def _entry(self, body: bytes, *, kind: str = "dsse") -> dict[str, Any]:
        """Return what proves that *body* is the one entry of the log."""
        log_id, moment = hashlib.sha256(_der(self.rekor)).digest(), int(self.now.timestamp())
        root = hashlib.sha256(b"\x00" + body).digest()
        note = f"{_ORIGIN}\n1\n{_b64(root)}\n"
        checkpoint = f"{note}\n\u2014 rekor.example {_b64(log_id[:4] + _sign(self.rekor, note.encode()))}\n"
        promised = {"body": _b64(body), "integratedTime": moment, "logID": log_id.hex(), "logIndex": 0}
        promise = _sign(self.rekor, json.dumps(promised, sort_keys=True, separators=(",", ":")).encode())
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(log_id)},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": str(moment),
            "inclusionPromise": {"signedEntryTimestamp": _b64(promise)},
            "inclusionProof": {"logIndex": "0", "rootHash": _b64(root), "treeSize": "1", "hashes": [], "checkpoint": {"envelope": checkpoint}},
            "canonicalizedBody": _b64(body),
        }


def changed(raw: bytes, **parts: object) -> bytes:
    """Return the bundle *raw* with some parts replaced."""
    return to_json(json.loads(raw) | parts)


def another_ca(sigstore: Sigstore) -> Sigstore:
    """Return a deployment with the same logs and an untrusted CA."""
    return replace(sigstore, ca=_key())


def _pre_authentication(kind: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
