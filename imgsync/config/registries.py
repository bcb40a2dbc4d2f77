"""`registries.yaml`: how registries are reached and as whom. It comes from the operator (design.md §2)."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imgsync.config.model import Login, RegistriesConfig, RegistrySettings, Requirements, Secret, SigningIdentity, SigningKey, Tls
from imgsync.config.public_keys import read_public_key
from imgsync.config.require import missing_sigstore, require_faults, require_of, unknown_hint
from imgsync.config.schema_check import check_schema
from imgsync.config.yaml_reader import Document, read_documents, read_some
from imgsync.config.yaml_reader import Path as Parts
from imgsync.errors import FileError, InvalidReferenceError
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import has_credentials, parse_url
from imgsync.oci.spec.reference import parse_registry
from imgsync.text.units import parse_rate, parse_size

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\{")
_PASSWORD_LIMIT = 64 << 10
_KEY_LIMIT = 64 << 10
_TRUST_ROOT_LIMIT = 4 << 20
_TRUST_ROOT = "application/vnd.dev.sigstore.trustedroot"


def read_registries(file: str, *, environ: Mapping[str, str]) -> tuple[RegistriesConfig, list[FileError]]:
    """Return the settings in *file* and its errors, which show no value of `credentials`."""
    try:
        data = read_some(file)
    except OSError as error:
        return RegistriesConfig(), [FileError(file, 1, 1, "", f"the file cannot be read: {error.strerror}", "name it with --registries")]
    documents, faults = read_documents(data, file=file)
    if len(documents) > 1:
        faults.append(FileError(file, documents[1].places[()][0], 1, "", "only one document is allowed here"))
    if faults or not documents:
        return RegistriesConfig(), faults
    document = documents[0]
    faults += [fault for fault in check_schema(document, "registries", secret=False) if not _is_secret(fault)]
    faults += check_schema_secrets(document)
    if faults:
        return RegistriesConfig(), faults
    reader = _RegistriesReader(document, environ)
    return reader.read(), reader.faults


def check_schema_secrets(document: Document) -> list[FileError]:
    """Return the schema's faults about credentials and about URLs, which may hold some, their values not shown."""
    return [fault for fault in check_schema(document, "registries", secret=True) if _is_secret(fault)]


def _is_secret(fault: FileError) -> bool:
    return ".credentials" in fault.path or fault.path.endswith((".proxy", ".token_server", ".url"))


class _RegistriesReader:
    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self.faults: list[FileError] = []

    def read(self) -> RegistriesConfig:
        value = self._document.value
        registries = {}
        for name, entry in (value.get("registries") or {}).items():
            path: Parts = ("registries", name)
            registry = self._try(path, partial(parse_registry, name), at_key=True)
            if registry is not None:
                registries[registry] = self._registry(path, entry or {})
        allow = value.get("allow") or {}
        named = value.get("keys") or {}
        keys = {name: key for name, entry in named.items() if (key := self._key(("keys", name), entry or {})) is not None}
        people = value.get("identities") or {}
        identities = {name: one for name, entry in people.items() if (one := self._identity(("identities", name), entry or {})) is not None}
        signers = {"keys": named, "identities": people}
        require: dict[str, Requirements] = {}
        for text, entry in (value.get("require") or {}).items():
            prefix, asked = self._required(text, entry or {}, signers)
            if prefix in require:
                # One of them would be lost without a word.
                self.faults.append(self._document.fault(("require", text), f"{prefix} is there twice", hint="say it once", at_key=True))
            require[prefix] = asked
        return RegistriesConfig(registries, self._prefixes(allow, "sources"), self._prefixes(allow, "destinations"), keys, identities, require)

    def _key(self, path: Parts, entry: Mapping[str, Any]) -> SigningKey | None:
        signed_as = tuple(self._prefix((*path, "signed_as", index), text) for index, text in enumerate(entry.get("signed_as") or ()))
        if ("file" in entry) == ("pem" in entry):
            self._fault(path, "one of `file` and `pem` has to be given", "name the file that cosign wrote: `{file: cosign.pub}`")
            return None
        setting = "file" if "file" in entry else "pem"
        text = self._text((*path, setting), entry[setting])
        if text is None:
            return None
        try:
            return SigningKey(read_public_key(_contents(text, limit=_KEY_LIMIT) if setting == "file" else text.encode()), signed_as)
        except OSError as error:
            self._fault((*path, setting), f"the key cannot be read: {error.strerror}")
        except ValueError as error:
            self._fault((*path, setting), str(error), "a public key begins with -----BEGIN PUBLIC KEY-----")
        return None

    def _identity(self, path: Parts, entry: Mapping[str, Any]) -> SigningIdentity | None:
        texts = {name: self._text((*path, name), entry.get(name)) for name in ("identity", "issuer", "trust_root")}
        if missing := missing_sigstore():
            self._fault(path, missing, "pip install 'imgsync-mirror[sigstore]'")
        identity, issuer, file = texts["identity"], texts["issuer"], texts["trust_root"]
        if identity is None or issuer is None or file is None:
            return None
        try:
            raw = _contents(file, limit=_TRUST_ROOT_LIMIT)
            root = json.loads(raw)
        except OSError as error:
            self._fault((*path, "trust_root"), f"the trust root cannot be read: {error.strerror}")
            return None
        except (ValueError, RecursionError):
            root = None
        if not isinstance(root, dict) or not str(root.get("mediaType")).startswith(_TRUST_ROOT):
            self._fault(
                (*path, "trust_root"), "this is no trust root of sigstore", "make it with `cosign trusted-root create`, or ask whoever runs the sigstore"
            )
            return None
        return SigningIdentity(identity, issuer, file, hashlib.sha256(raw).hexdigest())

    def _required(self, prefix: str, entry: Mapping[str, Any], signers: Mapping[str, Mapping[str, Any]]) -> tuple[str, Requirements]:
        path: Parts = ("require", prefix)
        for inner, message, hint in require_faults(entry):
            self._fault((*path, *inner), message, hint)
        require = require_of(entry)
        for setting, known in signers.items():
            for index, name in enumerate(getattr(require, setting)):
                if name not in known:
                    self._fault((*path, "signatures", setting, index), f"there is none named {name!r} in `{setting}`", unknown_hint(name, known))
        return self._prefix(path, prefix, at_key=True), require

    def _registry(self, path: Parts, entry: Mapping[str, Any]) -> RegistrySettings:
        kind, url = self._listing(path, entry)
        return RegistrySettings(
            credentials=self._credentials((*path, "credentials"), entry.get("credentials")),
            rate=parse_rate(entry["rate"]) if "rate" in entry else None,
            connections=entry.get("connections", 32),
            tls=self._tls((*path, "tls"), entry.get("tls", True)),
            proxy=self._url((*path, "proxy"), entry.get("proxy"), login=True),
            listing=kind,
            listing_url=url,
            token_server=self._url((*path, "token_server"), entry.get("token_server")),
            chunk_bytes=parse_size(entry["chunk_size"]) if "chunk_size" in entry else None,
            create_repositories=entry.get("create_repositories", False),
        )

    def _listing(self, path: Parts, entry: Mapping[str, Any]) -> tuple[str, str | None]:
        listing = entry.get("listing", "auto")
        if isinstance(listing, str):
            return listing, None
        return listing["kind"], self._url((*path, "listing", "url"), listing.get("url"))

    def _credentials(self, path: Parts, entry: Mapping[str, Any] | None) -> Login | None:
        if entry is None:
            return None
        username = self._text((*path, "username"), entry["username"])
        password = entry["password"]
        if isinstance(password, str):
            secret = self._text((*path, "password"), password)
        else:
            secret = self._from_file((*path, "password", "file"), self._text((*path, "password", "file"), password["file"]) or "")
        if username is None or secret is None:
            return None
        # Both empty, as `${NAME:-}` leaves them where CI has no secret to give (a fork's pull request): as if none were given.
        return Login(username, Secret(secret)) if username or secret else None

    def _from_file(self, path: Parts, name: str) -> str | None:
        try:
            with Path(name).open("rb") as file:
                text = file.read(_PASSWORD_LIMIT).decode()
        except OSError as error:
            self._fault(path, f"the password file cannot be read: {error.strerror}")
            return None
        except ValueError as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "this is no file's name"
            self._fault(path, f"the password file cannot be read: {reason}")
            return None
        return text.removesuffix("\n").removesuffix("\r")

    def _tls(self, path: Parts, entry: bool | Mapping[str, Any]) -> Tls:
        if isinstance(entry, bool):
            return Tls(enabled=entry)
        files = {name: self._text((*path, name), entry.get(name)) for name in ("ca", "cert", "key")}
        for name, file in files.items():
            if file is not None and not _is_file(file):
                self._fault((*path, name), "there is no such file")
        if files["key"] is not None and files["cert"] is None:
            self._fault((*path, "key"), "a key without `cert`")
        return Tls(verify=entry.get("verify", True), ca=files["ca"], cert=files["cert"], key=files["key"])

    def _prefixes(self, allow: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
        if name not in allow:
            return None
        return tuple(self._prefix(("allow", name, index), text) for index, text in enumerate(allow[name]))

    def _prefix(self, path: Parts, text: str, *, at_key: bool = False) -> str:
        host, slash, rest = text.rstrip("/").partition("/")
        registry = self._try(path, partial(parse_registry, host), at_key=at_key)
        return f"{registry}{slash}{rest}"

    def _url(self, path: Parts, text: str | None, *, login: bool = False) -> str | None:
        """Return *text* as `_text` does, and see that it is a URL, with a *login* in it or without."""
        url = self._text(path, text)
        if url is None:
            return None
        try:
            parse_url(url)
        except httpx.InvalidURL:
            self._fault(path, "this is no URL of a host", hint="such as https://host.internal:8443")
            return None
        if has_credentials(url) and not login:
            self._fault(path, "a user or password does not belong in this URL", hint="say who we are under `credentials`")
            return None
        return url

    def _text(self, path: Parts, text: str | None) -> str | None:
        """Return *text* with its variables filled in; None, and a fault, when one is unset."""
        if text is None:
            return None
        missing: list[str] = []

        def fill(found: re.Match[str]) -> str:
            if found.group(0) == "$${":
                return "${"
            name, default = found.group(1), found.group(3)
            if name is None:
                missing.append("")
                return ""
            value = self._environ.get(name, "")
            if value or (found.group(2) is None and name in self._environ):
                return value
            if found.group(2) is None:
                missing.append(name)
            return default or ""

        filled = _VARIABLE.sub(fill, text)
        for name in missing:
            self._unset(path, name)
        return None if missing else filled

    def _unset(self, path: Parts, name: str) -> None:
        if not name:
            self._fault(path, "'${' begins no variable", "write ${NAME}, ${NAME:-default}, or $${ for the characters themselves")
            return
        close = difflib.get_close_matches(name, list(self._environ), n=1, cutoff=0.8)
        hint = f"did you mean {close[0]}?" if close else f"set it, or write ${{{name}:-default}}"
        self._fault(path, f"{name} is not set in the environment", hint)

    def _try(self, path: Parts, parse: Callable[[], str], *, at_key: bool = False) -> str | None:
        try:
            return parse()
        except InvalidReferenceError as error:
            self.faults.append(self._document.fault(path, error.message, hint=error.hint, at_key=at_key))
            return None

    def _fault(self, path: Parts, message: str, hint: str = "") -> None:
        self.faults.append(self._document.fault(path, message, hint=hint))


def _contents(file: str, *, limit: int) -> bytes:
    with Path(file).open("rb") as opened:
        return opened.read(limit)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        # Too long, or not a name at all.
        return False
