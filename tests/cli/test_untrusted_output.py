"""The whole program prints no escape and no command that comes from a registry or a file."""

from __future__ import annotations

import json

import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.hostile_text import COMMANDS, EVIL, obeyed


@pytest.fixture
def liar(workplace) -> FaultProxy:
    """Serve escapes and commands in bodies and headers."""
    with FaultProxy(None) as proxy:
        heads = {"Content-Type": "x/##vso[x]", "Docker-Content-Digest": "::add-mask::a", "Warning": "##[add-mask]a \xe9"}
        said = {"errors": [{"code": f"DENIED{EVIL}", "message": EVIL, "detail": {"why": EVIL}}]}
        proxy.add(switches.Respond(403, said, headers=heads), target="/refused/|/v2/$")
        tags = ["1", *COMMANDS, "\x1b[31mred", "a\nb", "\u202e1"]
        proxy.add(switches.Respond(200, {"name": "x", "tags": tags, "errors": EVIL}, headers=heads), target="/listed/tags/list")
        repositories = ["listed", *COMMANDS, "\x1b[31mred", "../../up", "a\n::x::"]
        proxy.add(switches.Respond(200, {"repositories": repositories}, headers=heads), target="_catalog")
        # No server writes escapes into a head, this one does.
        proxy.add(switches.Raw(b"HTTP/1.1 200 \x1b[31m\r\nDocker-Content-Digest: \x1b]0;pwned\x07\r\nContent-Length: 0\r\n\r\n"), target="/listed/manifests/")
        # A pull request chooses file names, too.
        for name, source in (("a\n::add-mask::a\x1b[31m##vso[x]", f"{proxy}/refused/app"), ("b", f"{proxy}/listed")):
            workplace.mirror_file(
                json.dumps({"version": 1, "mirrors": [{"name": name[0], "source": source, "destinations": [f"{proxy}/m"], "retry": {"attempts": 1}}]}),
                f"mirrors.d/{name}.yaml",
            )
        workplace.allow_plain_http(proxy)
        yield proxy


# Of imgsync: the groups of the log, and errors beside their line.
OWN_COMMANDS = ("::group::imgsync ", "::endgroup::", "::error file=mirrors.d/", "::error title=imgsync::")


@pytest.mark.row("OUT-01", "OUT-02")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("plan", "--all", "--explain", "--log-format", "console", "--log-level", "debug"), 1),
        (("plan", "-o", "json"), 1),
        (("plan", "-o", "markdown", "--log-format", "console"), 1),
        (("apply", "--log-format", "console", "--log-level", "debug"), 1),
        (("verify", "--all"), 1),
        (("login-check", "--log-format", "console"), 1),
        (("list", "LIAR"), 0),
        (("list", "LIAR/listed"), 0),
        (("copy", "LIAR/refused/app:1", "LIAR/refused/x"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_hostile_registry_text_is_escaped(arguments, code, liar, imgsync):
    """On stdout and stderr, for every command and form."""
    ran = imgsync(*(argument.replace("LIAR", liar.host) for argument in arguments), env={"GITHUB_ACTIONS": "true"})

    # JSON on stdout keeps what is not ASCII as it is: it is data for programs.
    assert [one for one in obeyed(ran.stderr) if not one.startswith(OWN_COMMANDS)] == []
    assert obeyed(ran.stdout.replace("\u202e", "") if "json" in arguments else ran.stdout) == []
    assert (ran.code, bool(liar.seen)) == (code, True), ran.stderr
    said = ran.stdout + ran.stderr
    assert code == 0 or r"\x1b" in said or r"\u001b" in said, "what it said is told"


@pytest.mark.row("OUT-02")
def test_traceback_contains_no_command(liar, imgsync, monkeypatch, capfd):
    """No line of it is a command for a runner."""
    import imgsync.cli as cli
    from imgsync.config import load

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"what it said:\n{EVIL}")

    monkeypatch.setattr(load, "load_config", broken)
    assert cli.run(["validate"]) == 70

    said = capfd.readouterr().err
    assert "RuntimeError: what it said:\n" in said
    assert obeyed(said) == []


@pytest.mark.row("OUT-02")
def test_shown_configuration_contains_no_command(lab):
    """`validate --show` escapes descriptions."""
    import yaml

    description = f"{'x ' * 120}{EVIL}{'y' * 200}\u202e::add-mask::a\n\n::add-mask::a"
    lab.workplace.mirror("a", source="r.io/x", destinations=["r.io/m"], description=description)

    ran = lab.run("validate", "--show")

    assert ran.code == 0, ran.stderr
    assert obeyed(ran.stdout) == []
    assert yaml.safe_load(ran.stdout.partition("\n---\n")[0])["mirrors"][0]["description"] == description
