"""
Convert `creds` of regsync: logins, TLS and limits.

Source: config/host.go of regclient.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from imgsync.convert.fill_node import fill_node
from imgsync.convert.go_templates import Call, parse_call
from imgsync.convert.input_file import KeyRemark, Node
from imgsync.convert.read_references import read_registry
from imgsync.convert.registry_settings import Login, RegistryCollector
from imgsync.convert.shared_remarks import NO_TOKEN

_OWN_NAME = KeyRemark("imgsync contacts a registry only under its own name", lost=True)
_HELPER = KeyRemark("set the helper in docker's config.json (`credHelpers`), which imgsync reads", lost=True)
_CHUNKS = KeyRemark("not needed: imgsync uploads in chunks if the registry requires it; `chunk_size` in registries.yaml sets their size")
_NOT_NEEDED = KeyRemark("not needed")
_OTHER_KEYS = {
    "hostname": _OWN_NAME,
    "pathPrefix": _OWN_NAME,
    "mirrors": _OWN_NAME,
    "priority": _NOT_NEEDED,
    "token": NO_TOKEN,
    "credHelper": _HELPER,
    "credExpire": _NOT_NEEDED,
    "credHost": _HELPER,
    "repoAuth": KeyRemark("not needed: imgsync requests a token for each repository"),
    "api": _NOT_NEEDED,
    "apiOpts": KeyRemark("imgsync does not have these options", lost=True),
    "blobChunk": _CHUNKS,
    "blobMax": _CHUNKS,
}
_FILES = {"regcert": "ca", "clientCert": "cert", "clientKey": "key"}
_KEYS = ("registry", "user", "pass", "tls", "scheme", "reqPerSec", "reqConcurrent", *_FILES, *_OTHER_KEYS)
_DECIMAL = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,4}))?")
_MAX_CONNECTIONS = 1024


def read_creds(root: Node, registries: RegistryCollector, *, variables: Mapping[str, str]) -> None:
    """Add the settings in `creds` to *registries*."""
    creds = root.get("creds")
    for entry in creds.read_items() if creds is not None else []:
        entry.check_keys(_KEYS)
        name = entry.require("registry")
        if name is None:
            continue
        text = fill_node(name, name.read_text(), variables=variables, what="entry")
        if text is None:
            continue
        scheme, separator, rest = text.rpartition("://")
        host, _, namespace = rest.partition("/")
        registry = read_registry(name, f"{scheme}{separator}{host}")
        if registry:
            # `http://host` is plain http in regsync.
            registries.update(registry, **({"tls": False} if scheme == "http" else {}))
            _read_entry(entry, registry, namespace.strip("/"), registries)


def _read_entry(entry: Node, registry: str, namespace: str, registries: RegistryCollector) -> None:
    hostname = entry.get("hostname")
    is_own_name = hostname is not None and hostname.value == registry
    entry.remark_keys({name: remark for name, remark in _OTHER_KEYS.items() if not (is_own_name and name == "hostname")})
    registries.update(registry)
    _read_login(entry, registry, namespace, registries)
    _read_tls(entry, registry, registries)
    _read_limits(entry, registry, registries)


def _read_limits(entry: Node, registry: str, registries: RegistryCollector) -> None:
    per_second, concurrent = entry.get("reqPerSec"), entry.get("reqConcurrent")
    if per_second is not None:
        rate = _convert_rate(per_second.read_text())
        if rate:
            registries.update(registry, rate=rate)
        else:
            per_second.report_note("imgsync needs a whole number of requests per period", hint="for example `rate: 30/m` in registries.yaml")
    if concurrent is not None and (count := concurrent.read_int()) > 0:
        registries.update(registry, connections=min(count, _MAX_CONNECTIONS))


def _convert_rate(text: str) -> str:
    """Return requests per second as a rate, "" if impossible."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return ""
    for unit, seconds in (("s", 1), ("m", 60), ("h", 3600)):
        count, rest = divmod(int(found[1] + (found[2] or "")) * seconds, 10 ** len(found[2] or ""))
        if count and not rest:
            return f"{count}/{unit}"
    return ""


def _read_login(entry: Node, registry: str, namespace: str, registries: RegistryCollector) -> None:
    user, password = entry.get("user"), entry.get("pass")
    if user is None and password is None:
        return
    user_call, password_call = (parse_call(node.read_text()) if node is not None else None for node in (user, password))
    if user is not None and user_call is not None and user_call.function == "file":
        user.report_note("registries.yaml reads a username from a variable, not from a file")
    login = Login(
        tuple(node.read_text() if node is not None else "" for node in (user, password)),
        username=_get_variable(user_call),
        password=_get_variable(password_call),
        password_file=password_call.argument if password_call is not None and password_call.function == "file" else "",
        namespace=namespace,
    )
    registries.add_login(password or user or entry, registry, login)


def _get_variable(call: Call | None) -> str:
    return f"${{{call.argument}}}" if call is not None and call.function == "env" else ""


def _read_tls(entry: Node, registry: str, registries: RegistryCollector) -> None:
    tls, scheme = entry.get("tls"), entry.get("scheme")
    mode = tls.read_text().lower() if tls is not None else ""
    if tls is not None and mode not in {"", "enabled", "insecure", "disabled"}:
        tls.report_error(f"unknown value {mode!r}", hint="use enabled, insecure or disabled")
    if mode == "disabled" or (scheme is not None and scheme.value == "http"):
        registries.update(registry, tls=False)
    elif mode == "insecure" and tls is not None:
        registries.disable_verification(tls, registry)
    for name, setting in _FILES.items():
        node = entry.get(name)
        call = parse_call(node.read_text()) if node is not None else None
        if call is not None and call.function == "file":
            registries.update(registry, **{setting: call.argument})
        elif node is not None:
            node.report_lost("imgsync reads certificates and keys from files", hint=f"save it as a file, and set `tls: {{{setting}: FILE}}` in registries.yaml")
