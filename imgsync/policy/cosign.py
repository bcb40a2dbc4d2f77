"""
Check cosign signatures, without any request.

The signature is verified before anything in the payload is parsed. Spec: cosign's SIGNATURE_SPEC and BUNDLE_SPEC; DSSE's protocol; in-toto's
Statement v1.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from imgsync.config.allowlist import is_allowed
from imgsync.config.model import SigningKey
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Repository, parse_reference
from imgsync.system.dataclass import dataclass
from imgsync.text.json_objects import build_object
from imgsync.text.sanitize import sanitize_message

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
_COSIGN = "cosign container image signature"
_IN_TOTO = "application/vnd.in-toto+json"
_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
_SIGNATURES_LIMIT = 16


@dataclass(frozen=True, slots=True)
class SignedImage:
    """The image that a signature must be of."""

    repository: Repository
    digest: str


class _Rejected(Exception):  # noqa: N818 - caught in this module, never an error
    """Why a signature does not count, in words."""


def find_payload_problem(payload: bytes, signature: str, keys: Iterable[SigningKey], image: SignedImage) -> str:
    """
    Return why *signature* does not sign *image*, or "".

    *signature* is base64 text; it must be over *payload*, by one of *keys*.
    """
    try:
        signers = _find_signers(keys, [_decode(signature)], payload)
        _check_simple_payload(_parse(payload), signers, image)
    except _Rejected as reason:
        return str(reason)
    return ""


def find_bundle_problem(raw: bytes, keys: Iterable[SigningKey], image: SignedImage) -> str:
    """
    Return why the bundle *raw* does not sign *image*, or "".

    The signature must be by one of *keys*.
    """
    try:
        _check_envelope(_parse(raw), keys, image)
    except _Rejected as reason:
        return str(reason)
    return ""


def find_statement_problem(kind: str, payload: bytes, image: SignedImage) -> str:
    """Return why the verified *payload* does not sign *image*, or ""."""
    try:
        _check_repositories(_list_names(kind, payload, image), (), image)
    except _Rejected as reason:
        return str(reason)
    return ""


def _check_envelope(bundle: Mapping[str, Any], keys: Iterable[SigningKey], image: SignedImage) -> None:
    envelope = _get_mapping(bundle, "dsseEnvelope")
    if not envelope:
        raise _Rejected("without the DSSE envelope of a cosign signature")
    kind, payload, entries = envelope.get("payloadType"), _decode(envelope.get("payload")), envelope.get("signatures")
    if not isinstance(kind, str) or not isinstance(entries, list) or len(entries) > _SIGNATURES_LIMIT:
        _reject_damaged()
    signatures = [_decode(entry.get("sig")) for entry in entries if isinstance(entry, dict)]
    signers = _find_signers(keys, signatures, _encode_pre_authentication(kind, payload))
    _check_repositories(_list_names(kind, payload, image), signers, image)


def _list_names(kind: str, payload: bytes, image: SignedImage) -> list[object]:
    """Return the names of *image* in the verified *payload*."""
    if kind != _IN_TOTO:
        raise _Rejected(f"with a payload of type {_format(kind)}, not {_IN_TOTO}")
    statement = _parse(payload)
    if statement.get("_type") not in _STATEMENTS:
        raise _Rejected("with a payload that is not an in-toto statement")
    if statement.get("predicateType") != _SIGN_PREDICATE:
        # An attestation may say that the image failed a scan.
        raise _Rejected(f"an attestation ({_format(statement.get('predicateType'))}), not a signature")
    subjects = _find_subjects(statement, image)
    if not subjects:
        raise _Rejected("of another image")
    return [one.get("name") for one in subjects]


def _check_simple_payload(document: Mapping[str, Any], signers: Sequence[SigningKey], image: SignedImage) -> None:
    critical = _get_mapping(document, "critical")
    if critical.get("type") != _COSIGN:
        raise _Rejected("with a payload that is not a cosign image signature")
    if _get_mapping(critical, "image").get("docker-manifest-digest") != image.digest:
        raise _Rejected(f"of another image, {_format(_get_mapping(critical, 'image').get('docker-manifest-digest'))}")
    _check_repositories([_get_mapping(critical, "identity").get("docker-reference")], signers, image)


def _check_repositories(names: Iterable[object], signers: Sequence[SigningKey], image: SignedImage) -> None:
    """
    Return if the signature may name each of *names*.

    Allowed are the source repository, and what `signed_as` of a signer allows.
    """
    for name in names:
        if name and not _is_allowed_name(signers, name, image.repository):
            raise _Rejected(f"for another repository, {_format(name)} (`signed_as` in registries.yaml can allow it)")


def _is_allowed_name(signers: Iterable[SigningKey], name: object, repository: Repository) -> bool:
    try:
        claimed = parse_reference(str(name)).repository
    except InvalidReferenceError:
        return False
    return claimed == repository or any(is_allowed(signer.signed_as, str(claimed)) for signer in signers)


def _find_signers(keys: Iterable[SigningKey], signatures: Sequence[bytes], data: bytes) -> list[SigningKey]:
    """Return the keys that made one of *signatures* over *data*."""
    found = [key for key in keys if any(key.public.has_signed(signature, data) for signature in signatures)]
    if not found:
        raise _Rejected("by another key or of other content")
    return found


def _find_subjects(statement: Mapping[str, Any], image: SignedImage) -> list[Mapping[str, Any]]:
    algorithm, _, encoded = image.digest.partition(":")
    subjects = statement.get("subject")
    found = subjects if isinstance(subjects, list) else []
    return [one for one in found if isinstance(one, dict) and _get_mapping(one, "digest").get(algorithm) == encoded]


def _encode_pre_authentication(kind: str, payload: bytes) -> bytes:
    """
    Return the bytes that a DSSE signature covers.

    Spec: DSSE "protocol", PAE.
    """
    type_bytes = kind.encode("utf-8", "surrogatepass")
    return b"DSSEv1 %d %b %d %b" % (len(type_bytes), type_bytes, len(payload), payload)


def _parse(raw: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=build_object)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else _reject_damaged()


def _get_mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _decode(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else _reject_damaged()
    except (binascii.Error, ValueError):
        _reject_damaged()


def _reject_damaged() -> NoReturn:
    raise _Rejected("damaged")


def _format(value: object) -> str:
    text = sanitize_message(str(value)) if isinstance(value, str) and value else "unnamed"
    return text if len(text) <= 100 else f"{text[:100]}…"
