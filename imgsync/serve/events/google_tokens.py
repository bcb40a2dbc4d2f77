"""
Check the tokens that Pub/Sub sends with its pushes.

The signature's algorithm, the audience, the account and the keys come from our side, never from the token. The only module besides `google_keys` that
imports PyJWT.
Source: "Authentication for push subscriptions" of Pub/Sub's documentation.
"""

from __future__ import annotations

from typing import Any

from imgsync.config.serve_settings import EventSettings
from imgsync.serve.events.google_keys import GoogleKeys
from imgsync.serve.events.model import Delivery

_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
_ALGORITHM = "RS256"
_LEEWAY_SECONDS = 60
_LIMIT = 8 << 10


def has_token(settings: EventSettings, delivery: Delivery, keys: GoogleKeys) -> bool:
    """
    Return whether *delivery* has a valid token for *settings*.

    Raises:
        KeysUnavailableError: The public keys cannot be had now.
    """
    # Imported now: only tokens need it.
    import jwt

    scheme, _, token = delivery.get("authorization").partition(" ")
    if scheme.lower() != "bearer" or len(token) > _LIMIT or not token.isascii():
        return False
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        key_id = header.get("kid")
        # Before the keys are looked for: a forged token must not make us fetch them.
        if header.get("alg") != _ALGORITHM or not isinstance(key_id, str) or not _is_ours(claims, settings):
            return False
        key: Any = keys.find(key_id, settings.keys)
        if key is None:
            return False
        options: Any = {"require": ["exp", "iat", "iss", "aud"]}
        proven = jwt.decode(token, key, [_ALGORITHM], options, audience=settings.audience, issuer=_ISSUERS, leeway=_LEEWAY_SECONDS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
        return False
    return _is_ours(proven, settings)


def _is_ours(claims: dict[str, Any], settings: EventSettings) -> bool:
    return claims.get("aud") == settings.audience and claims.get("email") == settings.account and claims.get("email_verified") is True
