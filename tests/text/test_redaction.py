"""Secrets hidden by value: in every form they may be written in, wholly, and nothing else."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from imgsync.text.redaction import Redaction, redact_bytes

AWKWARD = [
    'quo"te-SECRET',
    "back\\slash-SECRET",
    "two  blanks-SECRET",
    "ünï-SECRET",
    "a/b+c=d-SECRET",
    "tab\t-SECRET",
    "it's-SECRET",
    "new\nline-SECRET",
    "bell\x07-SECRET",
    'ünï"te-SECRET',
]
FORMS = {
    "as it is": lambda secret: (secret, "***"),
    "on one line": lambda secret: (" ".join(secret.split()), "***"),
    "in a traceback": lambda secret: (repr(secret), f"{repr(secret)[0]}***{repr(secret)[0]}"),
    "in JSON": lambda secret: (json.dumps(secret), '"***"'),
    "in JSON of all letters": lambda secret: (json.dumps(secret, ensure_ascii=False), '"***"'),
    "in JSON with slashes escaped": lambda secret: (secret.replace("/", "\\/"), "***"),
    "in a path": lambda secret: (quote(secret), "***"),
    "in a part of a path": lambda secret: (quote(secret, safe=""), "***"),
    "in a form": lambda secret: (quote_plus(secret), "***"),
    "in base64": lambda secret: (base64.b64encode(secret.encode()).decode(), "***"),
    "in base64 for URLs": lambda secret: (base64.urlsafe_b64encode(secret.encode()).decode(), "***"),
}


@pytest.mark.row("CFG-08")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [*AWKWARD, "abcd"])
def test_secret_is_hidden_wholly_in_each_form(secret, form):
    """No letter of it stays, and none around it goes."""
    redaction = Redaction()
    redaction.hide([secret])
    written, cleaned = form(secret)

    assert redaction.clean(f"before {written} after") == f"before {cleaned} after"


@pytest.mark.row("CFG-08")
def test_secret_within_a_secret_leaves_nothing_of_the_longer():
    """Whichever was named first, and however often they come."""
    for secrets in (["pass", "password"], ["password", "pass"]):
        redaction = Redaction()
        for secret in secrets:
            redaction.hide([secret])

        assert redaction.clean("password pass password") == "*** *** ***"
        assert redact_bytes(b"password pass password", secrets) == b"*** *** ***"


def test_three_letters_are_not_looked_for():
    """They would blank out half of every line; four are."""
    redaction = Redaction()
    redaction.hide(["abc", "", "wxyz"])

    assert redaction.clean("abcabc wxyz") == "abcabc ***"
    assert redact_bytes(b"abcabc wxyz", ["abc", "", "wxyz"]) == b"abcabc ***"


@pytest.mark.row("CFG-08")
def test_document_is_cleaned_to_its_leaves():
    """Texts in objects and lists; keys are ours, and numbers are no text."""
    redaction = Redaction()
    document = {"info": ["an info-SECRET", ("info-SECRET", 5, None, True)], "info-SECRET": {"x": "y"}}
    assert redaction.clean_values(document) is document

    redaction.hide(["info-SECRET"])

    assert redaction.clean_values(document) == {"info": ["an ***", ["***", 5, None, True]], "info-SECRET": {"x": "y"}}
    assert redaction.clean_values("info-SECRET") == "***"


@pytest.mark.row("CFG-08")
def test_words_of_a_registry_are_concealed_as_it_was_sent_them_and_as_json():
    """Before they are cut; whatever bytes are around them."""
    body = b'\xff{"a":"tok/en-SECRET","b":"tok\\/en-SECRET"}\x00 other-SECRET'

    assert redact_bytes(body, {"tok/en-SECRET", "other-SECRET"}) == b'\xff{"a":"***","b":"***"}\x00 ***'
    assert redact_bytes(body, ()) == body
