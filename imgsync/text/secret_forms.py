"""Spell a secret as headers, URLs, JSON, HTML and base64 write it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

# Shorter values occur in ordinary text.
_SHORTEST_SECRET = 4
_SHORTEST_IN_BASE64 = 8
# Unreserved in URLs and plain everywhere else: most tokens.
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9._~-]+")
# Characters that JSON encoders escape although they need not: Go's, Gson's and more careful ones.
_ESCAPED_IN_JSON = ("<>&", "<>&='", "<>&='+/")


def list_secret_forms(secret: str) -> set[str]:
    """Return every form of *secret*; none if it is too short."""
    if len(secret) < _SHORTEST_SECRET:
        return set()
    forms = {secret, *_encode_base64(secret)}
    return forms if _NEVER_ESCAPED.fullmatch(secret) else {*forms, *_list_escaped_forms(secret)}


def _encode_base64(secret: str) -> Iterator[str]:
    """Yield the base64 of *secret*, alone and within a longer text."""
    data = secret.encode("utf-8", "surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode()
        for before in range(3):
            # The characters that depend on the secret alone.
            inner = encode(b"\0" * before + data).decode()[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
            if len(inner) >= _SHORTEST_IN_BASE64:
                yield inner


def _list_escaped_forms(secret: str) -> Iterator[str]:
    import html

    yield " ".join(secret.split())
    yield repr(secret)[1:-1]
    yield "".join(f"={byte:02X}" if byte == 0x3D or not 0x21 <= byte <= 0x7E else chr(byte) for byte in secret.encode("utf-8", "surrogateescape"))
    for text in (secret, *(json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))):
        yield text
        # Some JSON encoders escape slashes.
        yield text.replace("/", "\\/")
        for characters in _ESCAPED_IN_JSON:
            for write in ("\\u{:04x}", "\\u{:04X}"):
                yield _escape(text, characters, lambda character, write=write: write.format(ord(character)))  # type: ignore[misc]
    for percent_encoded in (_quote(secret, "/"), _quote(secret, ""), quote_plus(secret, safe="", errors="surrogateescape")):
        yield percent_encoded
        yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), percent_encoded)
        yield percent_encoded.replace("%", "%25")
    escaped = html.escape(secret)
    yield from (escaped, escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"), html.escape(secret, quote=False))


def _quote(secret: str, safe: str) -> str:
    return quote(secret, safe=safe, errors="surrogateescape")


def _escape(text: str, characters: str, write: Callable[[str], str]) -> str:
    return "".join(write(character) if character in characters else character for character in text)
