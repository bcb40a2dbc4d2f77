"""Parse `WWW-Authenticate` headers by their grammar (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from imgsync.oci.http.url import has_credentials
from imgsync.system.dataclass import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's token, not a secret
_GAP = re.compile(r"[\s,]*")
_PARAMETER = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?=[\s,]|$)')
_SCHEME = re.compile(rf"({_TOKEN})(?=[\s,]|$)")
# The data of a scheme such as Negotiate.
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[\s,]|$)")
_REST = re.compile(r"[^,]*")
_LENGTH_LIMIT = 16 << 10


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge; the scheme and the parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def names_server(self) -> bool:
        """Return whether its realm is the URL of a token server."""
        return "://" in self.parameters.get("realm", "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the challenges in *headers*; skip malformed ones."""
    return tuple(challenge for header in headers for challenge in _parse_one(header[:_LENGTH_LIMIT]))


def choose_challenge(challenges: Sequence[Challenge]) -> Challenge | None:
    """
    Return the challenge to answer, None without a known scheme.

    `Bearer` precedes `Basic`, unless it does not name its token server: google/go-containerregistry#1075.
    """
    bearers = [one for one in challenges if one.scheme == "bearer"]
    basics = [one for one in challenges if one.scheme == "basic"]
    return next((one for one in (*(one for one in bearers if one.names_server), *basics, *bearers)), None)


def _parse_one(header: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    position = _skip(header, 0)
    while position < len(header):
        if (parameter := _PARAMETER.match(header, position)) is not None:
            name, quoted, plain = parameter.groups()
            if found:
                found[-1][1].setdefault(name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
            position = parameter.end()
        elif (scheme := _SCHEME.match(header, position)) is not None:
            found.append((scheme[1].lower(), {}))
            position = scheme.end()
        elif (data := _TOKEN68.match(header, position)) is not None:
            position = data.end()
        else:
            rest = _REST.match(header, position)
            position = max(position + 1, rest.end() if rest is not None else 0)
        position = _skip(header, position)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _skip(header: str, position: int) -> int:
    gap = _GAP.match(header, position)
    return gap.end() if gap is not None else position


def describe_bad_realm(realm: str, *, allows_http: bool) -> str:
    """Return why *realm* may not get a login, "" if it may."""
    if has_credentials(realm):
        return "contains a user or a password"
    if "#" in realm:
        return "contains a '#'"
    return "" if allows_http or realm.lower().startswith("https:") else "does not begin with https"
