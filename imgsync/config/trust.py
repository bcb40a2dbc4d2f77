"""`registries.yaml`: how registries are reached and as whom. It comes from the operator (design.md §2)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imgsync.config.model import Login, RegistryTrust, Secret, Tls, Trust
from imgsync.config.schema_check import check_schema
from imgsync.config.yaml_reader import Document, read_documents
from imgsync.config.yaml_reader import Path as Parts
from imgsync.errors import Fault, InvalidReferenceError
from imgsync.oci.reference import parse_registry
from imgsync.units import parse_rate, parse_size

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\{")
_PASSWORD_LIMIT = 64 << 10


def read_trust(file: str, *, environ: Mapping[str, str]) -> tuple[Trust, list[Fault]]:
    """Return the trust that *file* holds, and every fault in it; no fault shows a value of `credentials`."""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        return Trust(), [Fault(file, 1, 1, "", f"the file cannot be read: {error.strerror}", "name it with --registries")]
    documents, faults = read_documents(data, file=file)
    if len(documents) > 1:
        faults.append(Fault(file, documents[1].places[()][0], 1, "", "only one document is allowed here"))
    if faults or not documents:
        return Trust(), faults
    document = documents[0]
    faults += [fault for fault in check_schema(document, "registries", secret=False) if not _is_secret(fault)]
    faults += check_schema_secrets(document)
    if faults:
        return Trust(), faults
    reader = _TrustReader(document, environ)
    return reader.read(), reader.faults


def check_schema_secrets(document: Document) -> list[Fault]:
    """Return the schema's faults about credentials, their values not shown."""
    return [fault for fault in check_schema(document, "registries", secret=True) if _is_secret(fault)]


def _is_secret(fault: Fault) -> bool:
    return ".credentials" in fault.path


class _TrustReader:
    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self.faults: list[Fault] = []

    def read(self) -> Trust:
        value = self._document.value
        registries = {}
        for name, entry in (value.get("registries") or {}).items():
            path: Parts = ("registries", name)
            registry = self._try(path, partial(parse_registry, name), at_key=True)
            if registry is not None:
                registries[registry] = self._registry(path, entry or {})
        allow = value.get("allow") or {}
        return Trust(registries, self._prefixes(allow, "sources"), self._prefixes(allow, "destinations"))

    def _registry(self, path: Parts, entry: Mapping[str, Any]) -> RegistryTrust:
        kind, url = self._listing(path, entry)
        return RegistryTrust(
            credentials=self._credentials((*path, "credentials"), entry.get("credentials")),
            rate=parse_rate(entry["rate"]) if "rate" in entry else None,
            connections=entry.get("connections", 32),
            tls=self._tls((*path, "tls"), entry.get("tls", True)),
            proxy=self._text((*path, "proxy"), entry.get("proxy")),
            listing=kind,
            listing_url=url,
            token_server=self._text((*path, "token_server"), entry.get("token_server")),
            chunk_bytes=parse_size(entry["chunk_size"]) if "chunk_size" in entry else None,
            create_repositories=entry.get("create_repositories", False),
        )

    def _listing(self, path: Parts, entry: Mapping[str, Any]) -> tuple[str, str | None]:
        listing = entry.get("listing", "auto")
        if isinstance(listing, str):
            return listing, None
        return listing["kind"], self._text((*path, "listing", "url"), listing.get("url"))

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
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its name or its text is not UTF-8"
            self._fault(path, f"the password file cannot be read: {reason}")
            return None
        return text.removesuffix("\n").removesuffix("\r")

    def _tls(self, path: Parts, entry: bool | Mapping[str, Any]) -> Tls:
        if isinstance(entry, bool):
            return Tls(enabled=entry)
        files = {name: self._text((*path, name), entry.get(name)) for name in ("ca", "cert", "key")}
        for name, file in files.items():
            if file is not None and not Path(file).is_file():
                self._fault((*path, name), "there is no such file")
        if files["key"] is not None and files["cert"] is None:
            self._fault((*path, "key"), "a key without `cert`")
        return Tls(verify=entry.get("verify", True), ca=files["ca"], cert=files["cert"], key=files["key"])

    def _prefixes(self, allow: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
        if name not in allow:
            return None
        found = []
        for index, text in enumerate(allow[name]):
            host, slash, rest = text.rstrip("/").partition("/")
            registry = self._try(("allow", name, index), partial(parse_registry, host))
            found.append(f"{registry}{slash}{rest}")
        return tuple(found)

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
