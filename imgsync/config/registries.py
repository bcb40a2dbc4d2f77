"""Read `registries.yaml`: credentials, TLS, limits and policy of registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from imgsync.config.accepted import NONE_ACCEPTED, AcceptedDocuments
from imgsync.config.document import Document
from imgsync.config.document import Path as Parts
from imgsync.config.fields import FieldReader
from imgsync.config.model import BROKER_PART, SERVE_PART, BrokerSettings, LayoutSettings, Login, RegistriesConfig, RegistrySettings, Requirements, Tls
from imgsync.config.read_secrets import read_long_secret, read_secret
from imgsync.config.read_serve import read_serve
from imgsync.config.secrets import Secret
from imgsync.config.signers import read_bundle_signers, read_identity, read_key, read_operator_requirements
from imgsync.config.yaml_reader import parse_documents, read_limited
from imgsync.errors import FileError
from imgsync.oci.spec.reference import LAYOUT_PREFIX, parse_registry, parse_repository_path
from imgsync.text.units import parse_rate, parse_size

_DEFAULTS = RegistrySettings()


def read_registries(file: str, *, environ: Mapping[str, str], accepted: AcceptedDocuments = NONE_ACCEPTED) -> tuple[RegistriesConfig, list[FileError]]:
    """Read the settings in *file*, and its errors without credentials."""
    try:
        data = read_limited(file)
    except OSError as error:
        return RegistriesConfig(), [FileError(file, 0, 0, "", f"cannot be read: {error.strerror}", "name it with --registries")]
    documents, errors = parse_documents(data, file=file)
    if len(documents) > 1:
        errors.append(FileError(file, documents[1].places[()][0], 1, "", "only one document is allowed here"))
    if errors or not documents:
        return RegistriesConfig(), errors
    document = documents[0]
    errors += accepted.check(document, "registries", _check_schema)
    if errors:
        return RegistriesConfig(), errors
    fields = FieldReader(document, environ)
    return _read_document(fields), fields.errors


def _check_schema(document: Document) -> list[FileError]:
    """Return the schema's errors; those about credentials and URLs show no values."""
    # Imported now: most documents were accepted by an earlier run.
    from imgsync.config.schema_check import check_schema

    shown = [error for error in check_schema(document, "registries", secret=False) if not _may_show_secret(error)]
    return shown + [error for error in check_schema(document, "registries", secret=True) if _may_show_secret(error)]


def _may_show_secret(error: FileError) -> bool:
    return (
        ".credentials" in error.path
        or error.path.startswith(("broker.key", "serve.token", "serve.events"))
        or error.path.endswith((".proxy", ".token_server", ".url"))
    )


def _read_document(fields: FieldReader) -> RegistriesConfig:
    value = fields.document.value
    by_host = {}
    for name, entry in (value.get("registries") or {}).items():
        path: Parts = ("registries", name)
        host = fields.parse_reference(path, partial(parse_registry, name), at_key=True)
        if host in by_host:
            # Otherwise the last one would silently replace the first, with its credentials and TLS.
            fields.add_error(path, f"duplicate registry {host}", "keep one", at_key=True)
        elif host is not None:
            by_host[host] = settings = _read_registry(fields, path, entry or {})
            if not settings.tls.enabled and name.endswith(":443"):
                fields.add_error(path, "port 443 is the port of https", f"remove `tls: false`, or write {host} to reach it over http", at_key=True)
    _check_http_ports(fields, by_host, list(value.get("registries") or {}))
    allow = value.get("allow") or {}
    keys = value.get("keys") or {}
    identities = value.get("identities") or {}
    plain = RegistriesConfig(by_host)
    broker = _read_broker(fields, value.get("broker") or {})
    serve = read_serve(fields, value.get("serve") or {}, plain)
    layouts = _read_layouts(fields, value.get("layouts") or {})
    return RegistriesConfig(
        by_host,
        _read_prefixes(fields, allow, "sources", plain),
        _read_prefixes(fields, allow, "destinations", plain),
        {name: key for name, entry in keys.items() if (key := read_key(fields, ("keys", name), entry or {})) is not None},
        {name: one for name, entry in identities.items() if (one := read_identity(fields, ("identities", name), entry or {})) is not None},
        _read_require(fields, value.get("require") or {}, {"keys": keys, "identities": identities}, plain),
        # From here on, last: all above add to them.
        _group_unset(fields),
        tuple(fields.warnings),
        broker,
        serve=serve,
        bundle_signers=read_bundle_signers(fields, value.get("bundles") or {}, {**keys, **identities}),
        files=tuple(dict.fromkeys(file for file in fields.files if file)),
        layouts=layouts,
    )


def _read_layouts(fields: FieldReader, entries: Mapping[str, Any]) -> dict[str, LayoutSettings]:
    found: dict[str, LayoutSettings] = {}
    for name, entry in entries.items():
        path, repository = fields.read_text(("layouts", name, "path"), entry["path"]), entry.get("repository")
        if repository is not None:
            repository = fields.parse_reference(("layouts", name, "repository"), partial(parse_repository_path, repository))
        place = None if path is None else _find_place(fields, name, path, found)
        if place is not None:
            found[name] = LayoutSettings(place, repository)
    return found


def _find_place(fields: FieldReader, name: str, path: str, others: Mapping[str, LayoutSettings]) -> str | None:
    """Return the path of the layout *name*, None after an error."""
    try:
        place = Path(path).expanduser()
        whole = place.resolve()
        same = next((other for other, settings in others.items() if Path(settings.path).resolve() == whole), None)
    except (OSError, RuntimeError, ValueError) as error:
        fields.add_error(("layouts", name, "path"), f"this is not a path: {error}")
        return None
    if same is not None:
        # Else two mirrors might write one tag, or prune what the other pushed.
        fields.add_error(("layouts", name, "path"), f"this is the layout {same}", "a layout has one name; keep one of the two")
        return None
    return str(place)


def _read_broker(fields: FieldReader, entry: Mapping[str, Any]) -> BrokerSettings:
    url = fields.read_text(("broker", "url"), entry.get("url"))
    if url is not None and "@" in url:
        fields.add_error(("broker", "url"), "this URL must not contain a user or password", "use `credentials`")
        url = None
    return BrokerSettings(
        url,
        _read_credentials(fields, ("broker", "credentials"), entry.get("credentials")),
        _read_tls(fields, ("broker", "tls"), entry.get("tls", {})),
        read_long_secret(fields, ("broker", "key"), entry.get("key")),
    )


def _group_unset(fields: FieldReader) -> dict[str, tuple[FileError, ...]]:
    """Return the errors of unset variables by who needs them."""
    found: dict[str, tuple[FileError, ...]] = {}
    parts = {"broker": BROKER_PART, "serve": SERVE_PART}
    for path, error in fields.unset:
        host = _find_owner(fields, path, parts)
        found[host or ""] = (*found.get(host or "", ()), error)
    return found


def _find_owner(fields: FieldReader, path: Parts, parts: Mapping[str, str]) -> str | None:
    """Return the registry or part whose settings have the field at *path*."""
    if path[0] == "layouts":
        return f"{LAYOUT_PREFIX}{path[1]}"
    return fields.parse_reference(path, partial(parse_registry, str(path[1]))) if path[0] == "registries" else parts.get(str(path[0]))


def _check_http_ports(fields: FieldReader, by_host: Mapping[str, RegistrySettings], written: Sequence[str]) -> None:
    """Report registries that are declared with and without the port of http."""
    for host in written:
        name = RegistriesConfig(by_host).find_name(host)
        if name != host:
            fields.add_error(("registries", host), f"duplicate registry {name}, which is reached over http", "keep one", at_key=True)


def _read_require(
    fields: FieldReader, entries: Mapping[str, Any], signers: Mapping[str, Mapping[str, Any]], registries: RegistriesConfig
) -> dict[str, Requirements]:
    by_prefix: dict[str, Requirements] = {}
    for text, entry in entries.items():
        written, requirements = read_operator_requirements(fields, text, entry or {}, signers)
        prefix = None if written is None else registries.find_prefix(written)
        if prefix in by_prefix:
            # Otherwise the last one would silently replace the first.
            fields.add_error(("require", text), f"duplicate prefix {prefix}", "keep one", at_key=True)
        elif prefix is not None:
            by_prefix[prefix] = requirements
    return by_prefix


def _read_prefixes(fields: FieldReader, allow: Mapping[str, Any], name: str, registries: RegistriesConfig) -> tuple[str, ...] | None:
    return tuple(map(registries.find_prefix, fields.read_prefixes(("allow", name), allow[name]))) if name in allow else None


def _read_registry(fields: FieldReader, path: Parts, entry: Mapping[str, Any]) -> RegistrySettings:
    listing, url = _read_listing(fields, path, entry)
    return RegistrySettings(
        credentials=_read_credentials(fields, (*path, "credentials"), entry.get("credentials")),
        rate=parse_rate(entry["rate"]) if "rate" in entry else None,
        connections=entry.get("connections", _DEFAULTS.connections),
        tls=_read_tls(fields, (*path, "tls"), entry.get("tls", True)),
        proxy=fields.read_url((*path, "proxy"), entry.get("proxy"), may_have_login=True),
        listing=listing,
        listing_url=url,
        token_server=fields.read_url((*path, "token_server"), entry.get("token_server")),
        also_known_as=_read_aliases(fields, (*path, "also_known_as"), entry.get("also_known_as") or ()),
        chunk_bytes=parse_size(entry["chunk_size"]) if "chunk_size" in entry else None,
        max_blob_bytes=parse_size(entry["max_blob_size"]) if "max_blob_size" in entry else _DEFAULTS.max_blob_bytes,
        create_repositories=entry.get("create_repositories", False),
        http2=entry.get("http2", True),
    )


def _read_aliases(fields: FieldReader, path: Parts, names: Sequence[str]) -> tuple[str, ...]:
    parsed = (fields.parse_reference((*path, index), partial(parse_registry, name)) for index, name in enumerate(names))
    return tuple(name for name in parsed if name is not None)


def _read_listing(fields: FieldReader, path: Parts, entry: Mapping[str, Any]) -> tuple[str, str | None]:
    listing = entry.get("listing", "auto")
    if isinstance(listing, str):
        return listing, None
    return listing["kind"], fields.read_url((*path, "listing", "url"), listing.get("url"))


def _read_credentials(fields: FieldReader, path: Parts, entry: Mapping[str, Any] | None) -> Login | None:
    if entry is None:
        return None
    username = fields.read_text((*path, "username"), entry["username"])
    secret = read_secret(fields, (*path, "password"), entry["password"])
    if username is None or secret is None:
        return None
    # Both empty: `${NAME:-}` in a CI job without secrets, such as a fork's pull request. Treat it as anonymous.
    return Login(username, Secret(secret)) if username or secret else None


def _read_tls(fields: FieldReader, path: Parts, entry: bool | Mapping[str, Any]) -> Tls:
    if isinstance(entry, bool):
        return Tls(enabled=entry)
    files = {name: fields.read_text((*path, name), entry.get(name)) for name in ("ca", "cert", "key")}
    for name, file in files.items():
        if file is not None and not _is_file(file):
            fields.add_error((*path, name), "no such file")
    if files["key"] is not None and files["cert"] is None:
        fields.add_error((*path, "key"), "`key` needs `cert`")
    return Tls(verify=entry.get("verify", True), ca=files["ca"], cert=files["cert"], key=files["key"])


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        # The name is too long or invalid.
        return False
