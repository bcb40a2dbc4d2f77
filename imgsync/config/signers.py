"""Read the signers in `registries.yaml` and the operator's `require`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from imgsync.config.document import Path as Parts
from imgsync.config.fields import FieldReader, read_file
from imgsync.config.model import Requirements, SigningIdentity, SigningKey
from imgsync.config.public_keys import parse_public_key
from imgsync.config.requirements import check_requirements, find_sigstore_problem, parse_requirements, suggest_signer
from imgsync.oci.spec.media_types import normalize_media_type
from imgsync.text.extras import format_extra_hint

_KEY_LIMIT = 64 << 10
_TRUST_ROOT_LIMIT = 4 << 20
_TRUST_ROOT = "application/vnd.dev.sigstore.trustedroot"


def read_key(fields: FieldReader, path: Parts, entry: Mapping[str, Any]) -> SigningKey | None:
    """Read one entry of `keys`; None if it has an error."""
    signed_as = fields.read_prefixes((*path, "signed_as"), entry.get("signed_as") or ())
    if ("file" in entry) == ("pem" in entry):
        fields.add_error(path, "expected either `file` or `pem`", "name the file that cosign wrote: `{file: cosign.pub}`")
        return None
    setting = "file" if "file" in entry else "pem"
    text = fields.read_text((*path, setting), entry[setting])
    if text is None:
        return None
    if setting == "file":
        fields.files.append(text)
    try:
        return SigningKey(parse_public_key(read_file(text, limit=_KEY_LIMIT) if setting == "file" else text.encode()), signed_as)
    except OSError as error:
        fields.add_error((*path, setting), f"cannot read the key: {error.strerror}")
    except ValueError as error:
        fields.add_error((*path, setting), str(error), "a public key begins with -----BEGIN PUBLIC KEY-----")
    return None


def read_identity(fields: FieldReader, path: Parts, entry: Mapping[str, Any]) -> SigningIdentity | None:
    """Read one entry of `identities`; None if it has an error."""
    texts = {name: fields.read_text((*path, name), entry.get(name)) for name in ("identity", "issuer", "trust_root")}
    if problem := find_sigstore_problem():
        fields.add_error(path, problem, format_extra_hint("sigstore"))
    identity, issuer, file = texts["identity"], texts["issuer"], texts["trust_root"]
    if identity is None or issuer is None or file is None:
        return None
    fingerprint = _read_trust_root(fields, (*path, "trust_root"), file)
    return None if fingerprint is None else SigningIdentity(identity, issuer, file, fingerprint)


def read_operator_requirements(
    fields: FieldReader, prefix: str, entry: Mapping[str, Any], signers: Mapping[str, Mapping[str, Any]]
) -> tuple[str | None, Requirements]:
    """Read one entry of the operator's `require`; an invalid prefix is None."""
    path: Parts = ("require", prefix)
    for inner, message, hint in check_requirements(entry):
        fields.add_error((*path, *inner), message, hint)
    if not entry:
        fields.add_error(path, "expected at least one requirement", "such as `signatures: {keys: [NAME]}`; remove the prefix if nothing is required")
    requirements = parse_requirements(entry)
    for setting, known in signers.items():
        for index, name in enumerate(getattr(requirements, setting)):
            if name not in known:
                fields.add_error((*path, "signatures", setting, index), f"unknown name {name!r} in `{setting}`", suggest_signer(name, known))
    return fields.read_prefix(path, prefix, at_key=True), requirements


def read_bundle_signers(fields: FieldReader, entry: Mapping[str, Any], known: Mapping[str, object]) -> tuple[str, ...] | None:
    """Read `bundles`; return who may sign a bundle, None without the setting."""
    if not entry.get("require"):
        return None
    names = tuple(entry["require"]["signed_by"])
    for index, name in enumerate(names):
        if name not in known:
            fields.add_error(("bundles", "require", "signed_by", index), f"unknown name {name!r} in `signed_by`", suggest_signer(name, known))
    return names


def _read_trust_root(fields: FieldReader, path: Parts, file: str) -> str | None:
    """Check the trust root in *file* and return its fingerprint."""
    fields.files.append(file)
    try:
        raw = read_file(file, limit=_TRUST_ROOT_LIMIT)
        root = json.loads(raw)
    except OSError as error:
        fields.add_error(path, f"cannot read the trust root: {error.strerror}")
        return None
    except (ValueError, RecursionError):
        root = None
    if not isinstance(root, dict) or not normalize_media_type(str(root.get("mediaType"))).startswith(_TRUST_ROOT):
        fields.add_error(path, "not a sigstore trust root", "create it with `cosign trusted-root create`, or ask the operator of the sigstore instance")
        return None
    return hashlib.sha256(raw).hexdigest()
