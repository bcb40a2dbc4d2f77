"""
Signatures as cosign makes them: bytes of a registry in, why they do not count out. Asks nobody.

The signature comes first: nothing of a payload is read before a key has vouched for its bytes. Spec: cosign's SIGNATURE_SPEC and BUNDLE_SPEC;
DSSE's protocol; in-toto's Statement v1.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from imgsync.config.allowlist import is_allowed
from imgsync.config.model import SigningKey
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Repository, parse_reference
from imgsync.text.sanitize import sanitize_message

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
_COSIGN = "cosign container image signature"
_IN_TOTO = "application/vnd.in-toto+json"
_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_SIGNED = "https://sigstore.dev/cosign/sign/v1"
_SIGNATURES_LIMIT = 16


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature has to be of: an image's digest, in the repository it is copied from."""

    repository: Repository
    digest: str


class _Refused(Exception):  # noqa: N818 - a reason on its way up, not an error of its own
    """Why a signature does not count, in words."""


def simple_problem(payload: bytes, signature: str, keys: Iterable[SigningKey], wanted: Signed) -> str:
    """Return why *signature*, the base64 text of the annotation beside *payload*, is none of *wanted* by one of *keys*; "" when it is one."""
    try:
        signers = _signers(keys, [_decoded(signature)], payload)
        _check_simple(_document(payload), signers, wanted)
    except _Refused as reason:
        return str(reason)
    return ""


def bundle_problem(raw: bytes, keys: Iterable[SigningKey], wanted: Signed) -> str:
    """Return why the sigstore bundle *raw* holds no signature of *wanted* by one of *keys*; "" when it does."""
    try:
        _check_bundle(_document(raw), keys, wanted)
    except _Refused as reason:
        return str(reason)
    return ""


def statement_problem(kind: str, payload: bytes, wanted: Signed) -> str:
    """Return why *payload*, which somebody trusted has signed as being of *kind*, is no consent to *wanted*; "" when it is."""
    try:
        _check_named(_subjects_of(kind, payload, wanted), (), wanted)
    except _Refused as reason:
        return str(reason)
    return ""


def _check_bundle(bundle: Mapping[str, Any], keys: Iterable[SigningKey], wanted: Signed) -> None:
    envelope = _mapping(bundle, "dsseEnvelope")
    if not envelope:
        raise _Refused("without a DSSE envelope, which is what cosign signs images with")
    kind, payload, entries = envelope.get("payloadType"), _decoded(envelope.get("payload")), envelope.get("signatures")
    if not isinstance(kind, str) or not isinstance(entries, list) or len(entries) > _SIGNATURES_LIMIT:
        _damaged()
    signatures = [_decoded(entry.get("sig")) for entry in entries if isinstance(entry, dict)]
    signers = _signers(keys, signatures, _pre_authentication(kind, payload))
    _check_named(_subjects_of(kind, payload, wanted), signers, wanted)


def _subjects_of(kind: str, payload: bytes, wanted: Signed) -> list[object]:
    """Return the names that *payload*, vouched for as being of *kind*, gives to *wanted*."""
    if kind != _IN_TOTO:
        raise _Refused(f"of a payload of type {_shown(kind)}, not {_IN_TOTO}")
    statement = _document(payload)
    if statement.get("_type") not in _STATEMENTS:
        raise _Refused("of a payload that is no in-toto statement")
    if statement.get("predicateType") != _SIGNED:
        # What somebody attests of an image, such as a scan that it failed, is no consent to it.
        raise _Refused(f"an attestation ({_shown(statement.get('predicateType'))}), not a signature")
    subjects = _subjects(statement, wanted)
    if not subjects:
        raise _Refused("of another image")
    return [one.get("name") for one in subjects]


def _check_simple(document: Mapping[str, Any], signers: Sequence[SigningKey], wanted: Signed) -> None:
    critical = _mapping(document, "critical")
    if critical.get("type") != _COSIGN:
        raise _Refused("of a payload that is no image signature of cosign's")
    if _mapping(critical, "image").get("docker-manifest-digest") != wanted.digest:
        raise _Refused(f"of another image, {_shown(_mapping(critical, 'image').get('docker-manifest-digest'))}")
    _check_named([_mapping(critical, "identity").get("docker-reference")], signers, wanted)


def _check_named(names: Iterable[object], signers: Sequence[SigningKey], wanted: Signed) -> None:
    """Return when every one of *names*, the repositories that the signature says to be of, is the source's own or allowed to one of *signers*."""
    for name in names:
        if name and not _may_name(signers, name, wanted.repository):
            raise _Refused(f"for another repository, {_shown(name)} (`signed_as` in registries.yaml can allow it)")


def _may_name(signers: Iterable[SigningKey], name: object, repository: Repository) -> bool:
    try:
        claimed = parse_reference(str(name)).repository
    except InvalidReferenceError:
        return False
    return claimed == repository or any(is_allowed(signer.signed_as, str(claimed)) for signer in signers)


def _signers(keys: Iterable[SigningKey], signatures: Sequence[bytes], data: bytes) -> list[SigningKey]:
    """Return those of *keys* that one of *signatures* over *data* is by."""
    found = [key for key in keys if any(key.public.has_signed(signature, data) for signature in signatures)]
    if not found:
        raise _Refused("by another key, or of other bytes")
    return found


def _subjects(statement: Mapping[str, Any], wanted: Signed) -> list[Mapping[str, Any]]:
    algorithm, _, encoded = wanted.digest.partition(":")
    subjects = statement.get("subject")
    found = subjects if isinstance(subjects, list) else []
    return [one for one in found if isinstance(one, dict) and _mapping(one, "digest").get(algorithm) == encoded]


def _pre_authentication(kind: str, payload: bytes) -> bytes:
    """Return the bytes that a DSSE signature is over. Spec: DSSE "protocol", PAE."""
    type_bytes = kind.encode("utf-8", "surrogatepass")
    return b"DSSEv1 %d %b %d %b" % (len(type_bytes), type_bytes, len(payload), payload)


def _document(raw: bytes) -> Mapping[str, Any]:
    def unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # What readers could take differently nobody knows to have been signed.
        if len({key for key, _ in pairs}) != len(pairs):
            _damaged()
        return dict(pairs)

    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=unambiguous)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else _damaged()


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else _damaged()
    except (binascii.Error, ValueError):
        _damaged()


def _damaged() -> NoReturn:
    raise _Refused("damaged")


def _shown(value: object) -> str:
    text = sanitize_message(str(value)) if isinstance(value, str) and value else "unnamed"
    return text if len(text) <= 100 else f"{text[:100]}…"
