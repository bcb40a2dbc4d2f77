"""Secrets are hidden by value, in every written form, completely."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import quopri
import time
from urllib.parse import quote, quote_plus

import pytest

from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_line, sanitize_message
from tests import switches
from tests.support.canary import secrets_in
from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.support.registry_process import LOGIN
from tests.switches.output import AskForToken, EchoAcross

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
        assert redaction.clean_bytes(b"password pass password") == b"*** *** ***"


def test_secrets_of_three_letters_are_not_hidden():
    """They would hide half of every line; four letters are hidden."""
    redaction = Redaction()
    redaction.hide(["abc", "", "wxyz"])

    assert redaction.clean("abcabc wxyz") == "abcabc ***"
    assert redaction.clean_bytes(b"abcabc wxyz") == b"abcabc ***"


@pytest.mark.row("CFG-08")
def test_document_is_redacted_to_its_leaves():
    """Texts in objects and lists, but not keys and numbers."""
    redaction = Redaction()
    document = {"info": ["an info-SECRET", ("info-SECRET", 5, None, True)], "info-SECRET": {"x": "y"}}
    assert redaction.clean_values(document) == {**document, "info": ["an info-SECRET", ["info-SECRET", 5, None, True]]}

    redaction.hide(["info-SECRET"])

    assert redaction.clean_values(document) == {"info": ["an ***", ["***", 5, None, True]], "info-SECRET": {"x": "y"}}
    assert redaction.clean_values("info-SECRET") == "***"


@pytest.mark.row("CFG-08")
def test_registry_text_is_redacted_raw_and_as_json():
    """Before it is cut, among any bytes."""
    body = b'\xff{"a":"tok/en-SECRET","b":"tok\\/en-SECRET"}\x00 other-SECRET'

    redaction = Redaction()
    assert redaction.clean_bytes(body) == body

    redaction.hide({"tok/en-SECRET", "other-SECRET"})

    assert redaction.clean_bytes(body) == b'\xff{"a":"***","b":"***"}\x00 ***'


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


TOKEN, REFRESH = "tok-an-opaque-bearer-token/+=with-signs-SECRET-0123456789", "ref-an-unused-refresh-token-SECRET-0123456789"
RUNS = [["plan", "-o", "json"], ["plan", "--explain"], ["apply", "-o", "markdown", "--report", "r.html", "--junit", "r.xml", "--metrics", "r.prom"]]
_MANIFEST = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
SAID = {
    "warning": switches.Respond(403, headers={"Warning": f'299 - "refused Bearer {TOKEN}"'}),
    "refresh token": switches.Respond(403, {"errors": [{"code": "DENIED", "message": f"{'x' * 280} {REFRESH} is yours"}]}),
    "base64": switches.Respond(403, {"errors": [{"code": "DENIED", "message": base64.b64encode(f"token: {TOKEN}.".encode()).decode()}]}),
    "escaped": switches.Respond(403, '{"errors":[{"code":"DENIED","message":"' + TOKEN.replace("=", "\\u003d").replace("/", "\\/") + '"}]}'),
    "code": switches.Respond(403, {"errors": [{"code": TOKEN, "message": "no"}]}),
    "descriptor": switches.Respond(200, {"schemaVersion": 2, "layers": [{"mediaType": "x", "digest": f"Bearer {TOKEN}", "size": 1}]}, headers=_MANIFEST),
    "media type": switches.Respond(200, {"schemaVersion": 2, "mediaType": TOKEN}, headers={"Content-Type": f"application/{TOKEN}"}),
    "location": switches.Respond(307, headers={"Location": f"http://127.0.0.1:1/x?token={TOKEN}&X-Amz-Signature=signed-SECRET"}),
    "challenge": switches.Respond(401, headers={"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:1/{TOKEN}"'}),
}


@pytest.mark.row("CFG-08", "GIT-06")
@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_received_token_is_hidden_in_every_output(said, lab):
    """The canary reads stdout, the log and each file that the runs leave."""
    lab.push("app", "1", image(lab.name))
    lab.declare("app", retry="{attempts: 1}")
    lab.source.add(switches.Respond(200, {"token": TOKEN, "refresh_token": REFRESH}), target="^/token")
    lab.source.add(AskForToken(f"{lab.source.url}/token"), target="^/v2/")
    lab.source.add(said, target="/manifests/")
    for arguments in RUNS:
        lab.source.forget()

        ran = lab.run(*arguments, "--log-level", "debug", env={"GITHUB_STEP_SUMMARY": str(lab.folder / "summary.md")})

        assert ran.code == 1, ran.stderr
        assert secrets_in(ran.stdout + ran.stderr) == []
        assert TOKEN[:20] not in ran.stdout + ran.stderr


@pytest.mark.row("CFG-08")
@pytest.mark.parametrize("cut", [20, 40, 400])
def test_token_that_was_cut_is_hidden(cut):
    """Messages are shortened before they are shown."""
    token = "eyJhbGciOiJSUzI1NiJ9." + "".join(f"{number:03x}Kz" for number in range(400))
    redaction = Redaction()
    redaction.hide([token])

    assert redaction.clean(f"refused {token[:cut]}… then") == "refused ***… then"
    assert redaction.clean(f"{token}{token[:cut]},{token}") in {"******,***", "***,***"}
    assert redaction.clean(f"refused {token[:10]}") == f"refused {token[:10]}"


@pytest.mark.row("CFG-08", "OUT-08")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://s3.example/x?X-Amz-Date=1&X-Amz-Signature=0a1b&x=y", "https://s3.example/x?X-Amz-Date=1&X-Amz-Signature=***&x=y"),
        ("https://blob.example/x?se=1&sig=aB%2Bc%3D", "https://blob.example/x?se=1&sig=***"),
        ("https://cdn.example/x?Expires=1&Signature=a~b&Key-Pair-Id=K", "https://cdn.example/x?Expires=1&Signature=***&Key-Pair-Id=K"),
        (r"https:\/\/cdn.example\/x?token=abc", r"https:\/\/cdn.example\/x?token=***"),
        ("https://x.example/?a=1\\u0026access_token\\u003dabc", "https://x.example/?a=1\\u0026access_token\\u003d***"),
        ("see https://user:pw@host.example/x", "see https://***@host.example/x"),
        ("see https://ghp_abc@host.example/x", "see https://***@host.example/x"),
        ("Authorization: Bearer abcdefghij.klmnopqrst", "Authorization: Bearer ***"),
        ("Basic dXNlcjpwYXNzd29yZC1hbmQtbW9yZQ== refused", "Basic *** refused"),
        ('Bearer realm="https://auth.example/token"', 'Bearer realm="https://auth.example/token"'),
        ("basic authentication is required; r.io/a@sha256:0", "basic authentication is required; r.io/a@sha256:0"),
        ("https://github.com/a/b/.github/workflows/r.yml@refs/heads/main?ref=x", "https://github.com/a/b/.github/workflows/r.yml@refs/heads/main?ref=x"),
    ],
)
def test_unknown_credentials_are_hidden_by_their_shape(text, shown):
    """Signatures of object stores, logins in URLs and Authorization headers."""
    assert Redaction().clean(text) == shown


@pytest.mark.row("CFG-08")
@pytest.mark.parametrize("secret", ["p&ss<w>=rd'+/\"-SECRET", "a b=c%d-SECRET", "tilde~>?-SECRET-and-long-enough-for-windows"])
def test_secret_is_hidden_as_other_programs_escape_it(secret):
    """HTML, JSON of Go and Java, URLs in lower case or twice, quoted-printable, base64 within a text."""
    redaction = Redaction()
    redaction.hide([secret])
    in_json = json.dumps(secret)[1:-1]
    written = [
        html.escape(secret),
        in_json.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}),
        in_json.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&='"}),
        in_json.translate({ord(sign): f"\\u{ord(sign):04X}" for sign in "<>&='+/"}),
        quote(secret, safe="").lower() if secret.islower() else quote(secret, safe=""),
        quote(quote(secret, safe=""), safe=""),
        quopri.encodestring(secret.encode(), quotetabs=True).decode(),
        *(base64.b64encode(f"{'x' * before}{secret} more".encode()).decode() for before in range(4)),
    ]

    assert [text for text in written if "***" not in redaction.clean(text) or secrets_in(redaction.clean(text))] == []


def test_thousands_of_tokens_cost_no_time():
    """A run may fetch a token for each repository; memory stays bounded too."""
    redaction = Redaction()
    tokens = [f"{hashlib.sha256(str(number).encode()).hexdigest()}{number:05}" for number in range(8000)]
    redaction.hide(tokens)
    text = "\n".join(f"registry.example/repository-{number}@sha256:{number:064x}" for number in range(5000))
    began = time.process_time()

    cleaned = redaction.clean(f"{text} {tokens[-1]}")

    assert time.process_time() - began < 2
    assert cleaned == f"{text} ***"
