"""Secrets are hidden by value, in every written form, completely."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from imgsync.text.redaction import Redaction, redact_bytes
from imgsync.text.sanitize import sanitize_line, sanitize_message
from tests import switches
from tests.support.canary import secrets_in
from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.support.registry_process import LOGIN
from tests.switches.output import EchoAcross

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
    """No letter of it stays, and the text around it does."""
    redaction = Redaction()
    redaction.hide([secret])
    written, cleaned = form(secret)

    assert redaction.clean(f"before {written} after") == f"before {cleaned} after"


@pytest.mark.row("CFG-08")
def test_secret_within_a_longer_secret_is_hidden():
    """In either order of registration."""
    for secrets in (["pass", "password"], ["password", "pass"]):
        redaction = Redaction()
        for secret in secrets:
            redaction.hide([secret])

        assert redaction.clean("password pass password") == "*** *** ***"
        assert redact_bytes(b"password pass password", secrets) == b"*** *** ***"


def test_secrets_of_three_letters_are_not_hidden():
    """They would hide half of every line; four letters are hidden."""
    redaction = Redaction()
    redaction.hide(["abc", "", "wxyz"])

    assert redaction.clean("abcabc wxyz") == "abcabc ***"
    assert redact_bytes(b"abcabc wxyz", ["abc", "", "wxyz"]) == b"abcabc ***"


@pytest.mark.row("CFG-08")
def test_document_is_redacted_to_its_leaves():
    """Texts in objects and lists, but not keys and numbers."""
    redaction = Redaction()
    document = {"info": ["an info-SECRET", ("info-SECRET", 5, None, True)], "info-SECRET": {"x": "y"}}
    assert redaction.clean_values(document) is document

    redaction.hide(["info-SECRET"])

    assert redaction.clean_values(document) == {"info": ["an ***", ["***", 5, None, True]], "info-SECRET": {"x": "y"}}
    assert redaction.clean_values("info-SECRET") == "***"


@pytest.mark.row("CFG-08")
def test_registry_text_is_redacted_raw_and_as_json():
    """Before it is cut, among any bytes."""
    body = b'\xff{"a":"tok/en-SECRET","b":"tok\\/en-SECRET"}\x00 other-SECRET'

    assert redact_bytes(body, {"tok/en-SECRET", "other-SECRET"}) == b'\xff{"a":"***","b":"***"}\x00 ***'
    assert redact_bytes(body, ()) == body


@pytest.mark.row("CFG-08", "GIT-06")
@pytest.mark.parametrize("secret", AWKWARD)
def test_secret_is_hidden_in_sanitised_text(secret):
    """As errors and terminals show it."""
    redaction = Redaction()
    redaction.hide([secret])
    written = [sanitize_message(secret), sanitize_line(secret)]

    assert [text for text in written if "***" not in redaction.clean(text) or secrets_in(redaction.clean(text))] == []


@pytest.mark.row("CFG-08")
def test_truncated_secret_is_hidden(lab):
    """If a registry's text is cut within an echoed header."""
    lab.push("app", "1", image())
    with FaultProxy(lab.destination_registry) as proxy:
        proxy.add(switches.Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), nth=1)
        proxy.add(EchoAcross(400, limit=300, shown=24))
        lab.workplace.allow_plain_http(
            lab.source_registry, proxy, settings={proxy.host: {"credentials": {"username": "robot", "password": "a-long-password-SECRET"}}}
        )
        lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{proxy}/m"], retry={"attempts": 1})

        ran = lab.run("apply", "-o", "json", "--log-level", "debug")

        sent = next(one.headers["authorization"] for one in proxy.seen if "authorization" in one.headers).partition(" ")[2]
    assert ran.code == 1
    assert "xxxxxx" in ran.stdout, "the registry's words are told"
    assert sent[:8] not in ran.stdout + ran.stderr


_LOGIN = {"credentials": {"username": LOGIN[0], "password": LOGIN[1]}}


SAVED = "plan.json"


@pytest.mark.row("GIT-06")
def test_pull_request_shows_no_secret(lab, password_registry):
    """Plan, comment, summary and saved plan, even if a registry repeats one."""
    lab.push("app", "1", image(lab.name))
    with FaultProxy(password_registry) as proxy:
        lab.workplace.allow_plain_http(lab.source_registry, proxy, settings={proxy.host: _LOGIN})
        lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{proxy}/m"], retry={"attempts": 1})
        # Only once it has logged in is there something to say back.
        proxy.add(switches.Echo(403), target="/manifests/", nth=tuple(range(2, 9)))
        summary = lab.folder / "summary.md"
        for form in ("json", "markdown"):
            ran = lab.run("plan", "--out", SAVED, "-o", form, env={"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"})
            assert ran.code == 1
            assert "you sent" in ran.stdout
            assert secrets_in(ran.stdout + ran.stderr + summary.read_text() + (lab.folder / SAVED).read_text()) == []
        assert "authorization" in {header for one in proxy.seen for header in one.headers}
