"""A message counts only with the signature that its receiver expects."""

from __future__ import annotations

import pytest

from imgsync.fleet.message_key import HEADER, MessageKey

KEY, OTHER = MessageKey(b"k" * 32), MessageKey(b"o" * 32)


def test_signed_message_is_accepted():
    """By who has the same key, and by no one else."""
    headers = KEY.sign(b"body")

    assert KEY.accepts(headers, b"body")
    assert not OTHER.accepts(headers, b"body")
    assert not KEY.accepts(headers, b"other body")
    assert not MessageKey().accepts(headers, b"body")


@pytest.mark.parametrize("headers", [None, {}, {HEADER: ""}, {HEADER: 5}, {HEADER: None}, {HEADER: "\udc80"}, {"x": "y"}])
def test_message_without_a_signature_is_refused(headers):
    """Whatever stands in its place."""
    assert not KEY.accepts(headers, b"body")


def test_without_a_key_nothing_is_signed():
    """As on a broker that nobody else can write to."""
    assert MessageKey().sign(b"body") == {}
    assert MessageKey().accepts(None, b"body")


def test_key_is_not_shown():
    """Not by a traceback either."""
    assert "kkkk" not in repr(KEY)
