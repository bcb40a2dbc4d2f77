"""
Read `Link: <…>; rel="next"` by its grammar.

Spec: RFC 8288 3; distribution-spec 1.1 "Listing Tags".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from imgsync.errors import InsecureError, UnexpectedResponseError
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.messages import RegistryResponse
from imgsync.oci.responses import resolve_url

_LENGTH_LIMIT = 64 << 10
_SEPARATORS = re.compile(r"[ \t,]*")
_TARGET = re.compile(r"<([^<>]*)>[ \t]*")
# ; NAME, ; NAME=TOKEN or ; NAME="TEXT". A value without quotes may hold more than a token's characters.
_PARAMETER = re.compile(r';[ \t]*(?:([^\s=;,"<>]+)[ \t]*(?:=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?)?[ \t]*')


def find_next_link(response: RegistryResponse, operation: Operation) -> str | None:
    """
    Return the next page's URL on any host, None after the last.

    Raises:
        UnexpectedResponseError: The header cannot be read, or names several next pages, or the link is not a valid URL.
    """
    header = response.headers.get("link", "")
    try:
        links = list(_parse(header))
    except ValueError as error:
        raise operation.make_error(UnexpectedResponseError, f"the Link header of the listing is malformed: {header[:200]}", status=response.status) from error
    found = {_resolve(target, response, operation): None for target, relations in links if relations is not None and "next" in relations}
    if not found:
        # skopeo and crane take a link without a relation for the next page, so there are registries that send it.
        unnamed = (_resolve(target, response, operation) for target, relations in links if relations is None)
        found = {url: None for url in unnamed if urlsplit(url)[:3] == urlsplit(response.url)[:3]}
    if len(found) > 1:
        raise operation.make_error(UnexpectedResponseError, "the Link header of the listing names several next pages", status=response.status)
    return next(iter(found), None)


def find_next_page(response: RegistryResponse, operation: Operation, endpoint: Endpoint) -> str | None:
    """
    Return the next page's URL on *endpoint*, None after the last.

    Raises:
        InsecureError: The link leads to another origin.
    """
    url = find_next_link(response, operation)
    if url is None or urlsplit(url)[:2] == urlsplit(response.url)[:2]:
        return url
    if not endpoint.is_own(url) or not endpoint.is_own(response.url):
        raise operation.make_error(InsecureError, "the listing's next page is on another host", hint=endpoint.explain_other_host(url))
    return url


def _resolve(target: str, response: RegistryResponse, operation: Operation) -> str:
    return resolve_url(quote(target, safe=":/?#[]@!$&'()*+,;=%~"), base=response.url, operation=operation)


def _parse(header: str) -> Iterator[tuple[str, list[str] | None]]:
    """
    Yield each target with its relation types, None without any.

    Raises:
        ValueError: The header does not follow the grammar.
    """
    if len(header) > _LENGTH_LIMIT:
        raise ValueError("too long")
    position = _skip(header, 0)
    while position < len(header):
        target = _TARGET.match(header, position)
        if target is None:
            raise ValueError("no target")
        position = target.end()
        relations: list[str] | None = None
        while (parameter := _PARAMETER.match(header, position)) is not None:
            position = parameter.end()
            name, quoted, plain = parameter.groups()
            # Only the first `rel` counts.
            if (name or "").lower() == "rel" and relations is None:
                relations = (plain.strip("'") if plain else re.sub(r"\\(.)", r"\1", quoted or "")).lower().split()
        if position < len(header) and header[position] != ",":
            raise ValueError("no separator")
        yield target[1].strip(), relations
        position = _skip(header, position)


def _skip(header: str, position: int) -> int:
    found = _SEPARATORS.match(header, position)
    return found.end() if found is not None else position
