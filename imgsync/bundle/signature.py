"""
Check who signed a bundle, before anything else of it is read.

Only the small document is signed: it has the digest of every blob. imgsync signs nothing itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from imgsync.bundle.document import decode_bundle
from imgsync.bundle.findings import SignatureCheck
from imgsync.bundle.model import DOCUMENT_NAME, Bundle
from imgsync.bundle.open_bundle import find_document
from imgsync.bundle.read_file import read_limited
from imgsync.config.model import RegistriesConfig
from imgsync.errors import BundleError
from imgsync.policy.blob_signatures import find_bundle_problem, find_plain_problem
from imgsync.policy.sigstore import find_file_problem

SIGSTORE_NAME = f"{DOCUMENT_NAME}.sigstore.json"
PLAIN_NAME = f"{DOCUMENT_NAME}.sig"
_LIMITS = {SIGSTORE_NAME: 4 << 20, PLAIN_NAME: 64 << 10}


def read_signed_bundle(folders: Sequence[Path], registries: RegistriesConfig) -> tuple[Bundle, SignatureCheck]:
    """
    Return the bundle in *folders*, once its signature is as `registries.yaml` requires.

    The document is found in the first folder that has one; its signatures must lie beside it.

    Raises:
        BundleError: There is none, it is not signed as required, or it is damaged.
    """
    folder, raw = find_document(folders)
    check = check_signature(folder, raw, registries)
    return decode_bundle(raw, name=str(folder / DOCUMENT_NAME)), check


def check_signature(folder: Path, raw: bytes, registries: RegistriesConfig) -> SignatureCheck:
    """
    Return who signed the document *raw*, with a signature in *folder*.

    Raises:
        BundleError: A signature is required, and none is valid.
    """
    names = registries.bundle_signers
    if names is None:
        return SignatureCheck(is_checked=False, present=tuple(name for name in _LIMITS if (folder / name).is_file()))
    reasons: list[str] = []
    present = []
    for file, limit in _LIMITS.items():
        try:
            signature = read_limited(folder, file, limit_bytes=limit)
        except FileNotFoundError:
            continue
        except OSError as error:
            reasons.append(f"{file}: {error.strerror}")
            continue
        present.append(file)
        for name in names:
            problem = _find_problem(file, signature, raw, registries, name) if len(signature) <= limit else "too large"
            if not problem:
                return SignatureCheck(is_checked=True, signer=name, file=file, present=tuple(present))
            reasons.append(f"{file}: {problem}")
    listed = ", ".join(names)
    found = "; ".join(dict.fromkeys(reasons)) or f"there is neither {SIGSTORE_NAME} nor {PLAIN_NAME}"
    raise BundleError(
        f"the bundle in {folder} is not signed by {listed}, as `bundles` in registries.yaml requires: {found}",
        hint=f"have {DOCUMENT_NAME} signed, or name its signer in `signed_by`",
    )


def _find_problem(file: str, signature: bytes, raw: bytes, registries: RegistriesConfig, name: str) -> str:
    """Return why *signature* is not one by *name*, or ""."""
    key, identity = registries.keys.get(name), registries.identities.get(name)
    keys = [key.public] if key is not None else []
    if file == PLAIN_NAME:
        return find_plain_problem(signature, keys, raw)
    check_identity = partial(_check_identity, registries, name) if identity is not None else None
    return find_bundle_problem(signature, keys, raw, check_identity)


def _check_identity(registries: RegistriesConfig, name: str, signature: bytes, raw: bytes) -> str:
    return find_file_problem(signature, [registries.identities[name]], raw)


def format_signing_command(folder: Path, *, key: str = "cosign.key") -> str:
    """
    Return the command line that signs the bundle in *folder* with cosign.

    cosign 3 writes sigstore's bundle, cosign 2 its own; both are accepted.
    """
    document, bundle = (shlex.quote(str(folder / name)) for name in (DOCUMENT_NAME, SIGSTORE_NAME))
    return f"cosign sign-blob --yes --key {shlex.quote(key)} --bundle {bundle} {document}"
