"""regsync's `creds`: who we are at each registry, and how it is reached. Facts: config/host.go of regclient."""

from __future__ import annotations

from imgsync.convert.go_templates import Call, is_template, whole_call
from imgsync.convert.reading import Piece
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.convert.shapes import read_registry

_ELSEWHERE = (True, "imgsync asks each registry under its own name alone")
_DOCKER_HELPER = (True, "helpers are named in docker's config.json (`credHelpers`), which imgsync reads")
_CHUNKS = (False, "not needed: imgsync sends pieces where a registry wants them; `chunk_size` in registries.yaml sets their size")
_OTHER = {
    "hostname": _ELSEWHERE,
    "pathPrefix": _ELSEWHERE,
    "mirrors": _ELSEWHERE,
    "priority": (False, "not needed here"),
    "token": (True, "registries.yaml holds a username and a password"),
    "credHelper": _DOCKER_HELPER,
    "credExpire": (False, "not needed here"),
    "credHost": _DOCKER_HELPER,
    "repoAuth": (False, "not needed: imgsync asks for a token per repository"),
    "api": (False, "not needed here"),
    "apiOpts": (True, "imgsync has no such options"),
    "blobChunk": _CHUNKS,
    "blobMax": _CHUNKS,
}
_FILES = {"regcert": "ca", "clientCert": "cert", "clientKey": "key"}
_KNOWN = ("registry", "user", "pass", "tls", "scheme", "reqPerSec", "reqConcurrent", *_FILES, *_OTHER)
_MOST_CONNECTIONS = 1024


def read_creds(root: Piece, registries: RegistryCollector) -> None:
    """Add what `creds` says to *registries*."""
    creds = root.get("creds")
    for entry in creds.items() if creds is not None else []:
        entry.knows(_KNOWN)
        name = entry.need("registry")
        if name is None:
            continue
        if is_template(name.text()):
            name.lost("registries.yaml names registries without templates; the entry is left out")
            continue
        registry = read_registry(name, name.text())
        if registry:
            _read_entry(entry, registry, registries)


def _read_entry(entry: Piece, registry: str, registries: RegistryCollector) -> None:
    hostname = entry.get("hostname")
    same = hostname is not None and hostname.value == registry
    entry.tell({name: told for name, told in _OTHER.items() if not (same and name == "hostname")})
    registries.say(registry)
    _read_login(entry, registry, registries)
    _read_tls(entry, registry, registries)
    per_second, at_once = entry.get("reqPerSec"), entry.get("reqConcurrent")
    if per_second is not None:
        rate = per_second.text()
        if rate.isdigit() and int(rate) > 0:
            registries.say(registry, rate=f"{int(rate)}/s")
        else:
            per_second.note("written as requests per time", hint="such as `rate: 30/m` in registries.yaml")
    if at_once is not None and (count := at_once.number()) > 0:
        registries.say(registry, connections=min(count, _MOST_CONNECTIONS))


def _read_login(entry: Piece, registry: str, registries: RegistryCollector) -> None:
    user, password = entry.get("user"), entry.get("pass")
    if user is None and password is None:
        return
    user_call, password_call = (whole_call(piece.text()) if piece is not None else None for piece in (user, password))
    if user is not None and user_call is not None and user_call.function == "file":
        user.note("a username is read from the environment, not from a file")
    values = tuple(piece.text() if piece is not None else "" for piece in (user, password))
    registries.login(
        password or user or entry,
        registry,
        value=values,
        username=_variable(user_call),
        password=_variable(password_call),
        password_file=password_call.argument if password_call is not None and password_call.function == "file" else "",
    )


def _variable(call: Call | None) -> str:
    return f"${{{call.argument}}}" if call is not None and call.function == "env" else ""


def _read_tls(entry: Piece, registry: str, registries: RegistryCollector) -> None:
    tls, scheme = entry.get("tls"), entry.get("scheme")
    word = tls.text().lower() if tls is not None else ""
    if tls is not None and word not in {"", "enabled", "insecure", "disabled"}:
        tls.fault(f"{word!r} is not known here", hint="it is enabled, insecure or disabled")
    if word == "disabled" or (scheme is not None and scheme.value == "http"):
        registries.say(registry, tls=False)
    elif word == "insecure" and tls is not None:
        registries.insecure(tls, registry)
    for name, setting in _FILES.items():
        piece = entry.get(name)
        call = whole_call(piece.text()) if piece is not None else None
        if call is not None and call.function == "file":
            registries.say(registry, **{setting: call.argument})
        elif piece is not None:
            piece.lost("certificates and keys are named as files", hint=f"write it to a file, and name that as `tls: {{{setting}: FILE}}` in registries.yaml")
