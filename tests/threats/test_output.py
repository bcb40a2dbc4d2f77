"""What is printed: nothing that a registry, a file's name or a document says is obeyed by a terminal, a CI runner or a site, and no secret shows."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.apply.report import Outcome, Report
from imgsync.config.allowlist import allows, fixed_part
from imgsync.config.model import Destination
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.documents.envelope import to_json
from imgsync.errors import FileError, InvalidReferenceError
from imgsync.logs.configure import configure_logging
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.model import Action, Change, FilterStep, MirrorNotes, Plan, PlanError, PullCost
from imgsync.registries.access import Access
from imgsync.render.access_table import render_access_table
from imgsync.render.config_errors import render_annotations, render_errors
from imgsync.render.junit import render_report_junit
from imgsync.render.plan_markdown import render_plan_markdown
from imgsync.render.plan_table import render_plan_table
from imgsync.render.report_html import render_report_html
from imgsync.render.report_markdown import render_report_markdown
from imgsync.render.report_table import render_report_table
from imgsync.render.verification_markdown import render_verification_markdown
from imgsync.render.verification_table import render_verification_table
from imgsync.text.redaction import Redaction
from tests import switches
from tests.support.effort import effort
from tests.support.faults import FaultProxy
from tests.support.images import image, push
from tests.support.plans import RESULTS, hostile

# What a registry or a file's name may say: escapes, text that reads backwards, and commands of GitHub, Azure Pipelines and TeamCity.
COMMANDS = ("::add-mask::a", "::set-output name=x::y", "##[add-mask]a", "##vso[task.setvariable variable=PATH]evil", "##teamcity[buildStop]")
EVIL = "\x1b]0;pwned\x07\x1b[2J \u202egnp.exe \x9b31m\r\n" + "\r\n".join(COMMANDS) + "\n  ::stop-commands::x\n"

TEXTS = (EVIL, *COMMANDS, *(f"  {command}" for command in COMMANDS))


def every_field(text: str) -> dict[str, object]:
    """Return a value of each kind that is rendered, with *text* wherever it has any."""
    reference = Reference(Repository(text, text), text)
    changes = tuple(Change(action, text, reference, text, reference, text, text, 1, text) for action in Action)
    unplanned = (PlanError(text, text, text, text), PlanError("a", text, text, text, later=True))
    notes = MirrorNotes(text, text, (text, text), text, 1, notes=(text,), steps=(FilterStep(text, text, 1, (text,)),))
    outcomes = tuple(Outcome(changes[0], result, digest=text, error=text, hint=text) for result in RESULTS)
    return {
        "plan": Plan(changes, unplanned, (notes, replace(notes, mirror="a", suspended=True)), created_at=text, pulls=(PullCost(text, 1, 1),)),
        "report": Report(text, outcomes, unplanned, 1.0, text, (text,), text),
        "verification": Verification(tuple(Finding(condition, text, text, text, text, text, text, text) for condition in Condition), unplanned),
        "access": [Access(text, "source", text, "pull", text, text, text, reachable=True, allowed=allowed, error=text, hint=text) for allowed in (None, True)],
        "faults": (FileError(text, 1, 1, text, text, text),),
    }


def obeyed(text: str) -> list[str]:
    """Return what in *text* a terminal or a CI runner would obey: escapes, directions, and commands (GitHub's `##[` anywhere, as its runner reads it)."""
    unseen = {character for character in text if character != "\n" and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}}
    lines = [line for line in text.split("\n") if line.lstrip().startswith("::")]
    return [*map(repr, sorted(unseen)), *lines, *re.findall(r"##\w*\[[^\]]*", text)]


def logged(form: str, **fields: object) -> str:
    stream = io.StringIO()
    configure_logging(level="debug", form=form, stream=stream, redaction=Redaction()).warning("image.failed", **fields)
    return stream.getvalue()


_FORMS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "plan": ("plan", lambda one: render_plan_table(one, show_kept=True, explain=True)),
    "plan as Markdown": ("plan", lambda one: render_plan_markdown(one, explain=True, show_kept=True)),
    "report": ("report", render_report_table),
    "report as Markdown": ("report", render_report_markdown),
    "report as HTML": ("report", render_report_html),
    "report as JUnit": ("report", render_report_junit),
    "verification": ("verification", lambda one: render_verification_table(one, show_ok=True)),
    "verification as Markdown": ("verification", render_verification_markdown),
    "access": ("access", render_access_table),
    "faults": ("faults", lambda some: "\n".join(render_errors(some))),
}


@pytest.mark.row("OUT-01", "OUT-02")
@pytest.mark.parametrize("form", _FORMS)
def test_no_text_is_obeyed_in_any_form(form):
    """Whatever registries, files' names and documents say, no terminal and no runner obeys a line of any table, page or list of faults."""
    kind, rendered = _FORMS[form]

    assert {text: bad for text in TEXTS if (bad := obeyed(rendered(every_field(text)[kind])))} == {}


@pytest.mark.row("OUT-02")
@pytest.mark.parametrize("text", TEXTS)
def test_an_annotation_is_one_command_of_ours(text):
    """Each fault is one `::error` of GitHub's, whatever is in it: no property, no second command and no line comes of its text."""
    (line,) = render_annotations((FileError(text, 1, 1, text, text, text),))

    properties, _, message = line.removeprefix("::error ").partition("::")
    assert line.startswith("::error file=")
    assert [part.partition("=")[0] for part in properties.split(",")] == ["file", "line", "col", "title"]
    assert obeyed(message.lstrip(" :")) == []
    assert "\n" not in line
    assert not re.search(r"##\w*\[", line), "GitHub's runner reads these anywhere"


@pytest.mark.row("OUT-01", "OUT-02", "OUT-07")
@pytest.mark.parametrize("form", ["json", "console"])
@settings(max_examples=effort(20, 1000), deadline=None)
@given(hostile)
def test_no_field_is_obeyed_in_a_log(form, text):
    """A field is one line's, on a terminal too; as JSON it is exactly what was said."""
    shown = logged(form, reference=text, error=f"denied: {text}", nested=[text, {"detail": text}])

    assert obeyed(shown) == []
    assert shown.count("\n") == 1
    if form == "json":
        assert json.loads(shown)["reference"] == text


@pytest.mark.row("OUT-02")
@pytest.mark.parametrize("indented", [True, False])
@settings(max_examples=effort(20, 1000), deadline=None)
@given(st.recursive(hostile, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3), max_leaves=5))
def test_no_document_is_obeyed_by_a_runner(indented, document):
    """JSON on stdout says exactly what it holds, and no line of it is a command."""
    text = to_json(document, indented=indented)

    assert json.loads(text) == json.loads(json.dumps(document))
    assert not re.search(r"##\w*\[", text)
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


@pytest.fixture
def liar(workplace) -> FaultProxy:
    """A registry that says nothing but evil, in its bodies and in its heads."""
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
        # A file's name is whatever a pull request says, too.
        for name, source in (("a\n::add-mask::a\x1b[31m##vso[x]", f"{proxy}/refused/app"), ("b", f"{proxy}/listed")):
            workplace.mirror_file(
                json.dumps({"version": 1, "mirrors": [{"name": name[0], "source": source, "destinations": [f"{proxy}/m"], "retry": {"attempts": 1}}]}),
                f"mirrors.d/{name}.yaml",
            )
        workplace.trust_plain(proxy)
        yield proxy


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
def test_a_registry_that_talks_to_terminals_and_runners_is_not_obeyed(arguments, code, liar, imgsync):
    """Its words are told, escaped: stdout and stderr hold no control character, no direction and no command, whatever the command and the form."""
    ran = imgsync(*(argument.replace("LIAR", liar.host) for argument in arguments), env={"GITHUB_ACTIONS": "true"})

    # JSON on stdout keeps what is not ASCII as it is: it is data for programs.
    assert obeyed(ran.stderr) == []
    assert obeyed(ran.stdout.replace("\u202e", "") if "json" in arguments else ran.stdout) == []
    assert (ran.code, bool(liar.seen)) == (code, True), ran.stderr
    said = ran.stdout + ran.stderr
    assert code == 0 or r"\x1b" in said or r"\u001b" in said, "what it said is told"


@pytest.mark.row("OUT-02")
def test_a_bug_s_traceback_is_not_obeyed(liar, imgsync, monkeypatch, capfd):
    """A traceback may hold foreign text of many lines; none begins with a command."""
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
def test_shown_configuration_is_not_obeyed(workplace, imgsync):
    """`validate --show` prints YAML that says what was declared, and no description in it is a command or an escape."""
    import yaml

    description = f"{'x ' * 120}{EVIL}{'y' * 200}\u202e::add-mask::a\n\n::add-mask::a"
    workplace.mirror("a", source="r.io/x", destinations=["r.io/m"], description=description)

    ran = imgsync("validate", "--show")

    assert ran.code == 0, ran.stderr
    assert obeyed(ran.stdout) == []
    assert yaml.safe_load(ran.stdout.partition("\n---\n")[0])["mirrors"][0]["description"] == description


@pytest.mark.row("OUT-04")
@settings(max_examples=effort(60, 2000), deadline=None)
@given(
    namespace=st.sampled_from(("", "prod", "prod/a")),
    template=st.lists(
        st.sampled_from(["{path}", "{name}", "{parent}", "{flat}", "{relative}", "{registry}", "/", "..", ".", "a", "-", "//"]), min_size=1, max_size=5
    ).map("".join),
    path=st.lists(st.sampled_from(["..", ".", "a", "prod", "x", "%2e%2e", "", "\n", "A", "?", "#"]), min_size=1, max_size=4).map("/".join),
    tag=st.sampled_from(["1", "-1", "../1", "1\n", "a/b", "a:b", ""]),
)
def test_no_name_leads_a_template_out_of_what_is_allowed(namespace, template, path, tag):
    """What a template makes of a registry's name is below the part that was checked against `allow`, by the grammar, or it is refused."""
    destination = Destination("r.io", namespace, template)
    try:
        written = f"r.io/{expand_repository(destination, path, relative=path, registry='s.io:5000')}:{expand_tag(destination, tag)}"
    except InvalidReferenceError:
        return

    assert allows((fixed_part(destination),), written.rpartition(":")[0])
    assert re.fullmatch(r"r\.io/[a-z0-9]+([._/-]+[a-z0-9]+)*:\w[\w.-]*", written)
    assert not {".", ".."} & set(written.split("/"))


@pytest.mark.row("OUT-04", "OUT-06")
def test_catalog_that_climbs_writes_nowhere_but_below_the_namespace(registry, second_registry, name, declare, imgsync, source, destination, workplace):
    """Names like `../../prod/x` are not asked for, nothing is written for them at the destination, and no file is named by a registry."""
    push(registry, f"{name}/app", "1", image(name))
    evil = [f"{name}/../../prod/x", "../../prod/x", f"{name}/%2e%2e/x", f"/{name}/x", f"{name}/app/../../x", "/etc/passwd"]
    source.add(switches.Respond(200, {"repositories": [f"{name}/app", *evil]}), target="_catalog")
    declare("[]", "referrers: false", namespaces='["", ' + name + "]")

    ran = imgsync("apply", "-o", "json")

    assert [outcome["destination"] for outcome in ran.json["outcomes"]] == [f"{destination}/m/{name}/app:1"]
    assert second_registry.tags(f"m/{name}/app") == ["1"]
    assert {one.path.split("/")[2] for one in destination.seen if one.path != "/v2/"} == {"m"}
    assert not [one.target for one in (*source.seen, *destination.seen) if ".." in one.target or "%2e" in one.target or "passwd" in one.target]
    written = {path.relative_to(workplace.folder).as_posix() for path in workplace.folder.rglob("*") if path.is_file()}
    assert {path for path in written if not path.startswith(".imgsync/state/")} == {"mirrors.d/a.yaml", "registries.yaml"}
    assert {path.rpartition("/")[2] for path in written if path.startswith(".imgsync/")} <= {"cache.db", "cache.db-wal", "cache.db-shm", "lock"}


@pytest.mark.row("OUT-05")
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_two_sources_of_one_reference_are_a_fault_before_anybody_is_asked(command, workplace, imgsync, source, destination):
    """Where names alone show it: exit 3, both sources and where they are declared, no request."""
    workplace.trust_plain(source, destination)
    for mirror in "ab":
        workplace.mirror(
            mirror,
            source=f"{source}/{mirror}/x",
            destinations=[{"registry": destination.host, "namespace": "m", "repository": "{name}"}],
            tags={"names": ["1"]},
        )

    ran = imgsync(command)

    assert ran.code == 3
    assert f"{source}/b/x:1 would be written to {destination}/m/x:1 ({source}/a/x:1 goes there too, by the mirror 'a' at mirrors.d/a.yaml:4" in ran.stderr
    assert (source.seen, destination.seen, ran.stdout) == ([], [], "")


@pytest.mark.row("OUT-05")
def test_collision_that_the_listings_show_writes_neither(registry, second_registry, name, workplace, imgsync, source, destination):
    """Found while planning, each mirror's change is refused by an error that names the other; the reference is not touched, the others go on."""
    workplace.trust_plain(source, destination)
    for mirror in "ab":
        push(registry, f"{name}/{mirror}/x", "1", image((name, mirror)))
        workplace.mirror(mirror, source=f"{source}/{name}/{mirror}/x", destinations=[{"registry": destination.host, "namespace": name, "repository": "{name}"}])
    push(registry, f"{name}/b/x", "2", image((name, "2")))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert second_registry.tags(f"{name}/x") in ([], ["2"])
    said = " ".join(error["message"] for error in ran.json["errors"])
    assert f"{name}/a/x:1" in said
    assert f"{name}/b/x:1" in said


@pytest.mark.row("OUT-08")
@pytest.mark.parametrize("fault", ["refused", "gone", "cut"])
def test_presigned_addresses_are_never_told(fault, registry, name, workplace, imgsync, source, destination, foreign):
    """The signature in a redirect's address is in no error, log line or document, however reading from it fails, at the most talkative level."""
    push(registry, f"{name}/app", "1", image((name, fault)))
    workplace.trust_plain(source, destination)
    workplace.mirror("a", source=f"{source}/{name}/app", destinations=[f"{destination}/m"], retry={"attempts": 2, "interval": "0s"}, referrers=False)
    host = "127.0.0.1:9" if fault == "gone" else foreign.host
    source.add(switches.redirect(host, target="/bucket/key?X-Amz-Signature=signature-OPAQUE&X-Amz-Credential=key-OPAQUE"), method="GET", target="/blobs/")
    said = "<Error><Message>bad signature signature-OPAQUE of /bucket/key?X-Amz-Signature=signature-OPAQUE</Message></Error>"
    switch = {"refused": switches.Respond(403, said, headers={"Content-Type": "application/xml"}), "cut": switches.reset()}
    if fault in switch:
        foreign.add(switch[fault])

    ran = imgsync("apply", "-o", "json", "--log-level", "debug")

    assert ran.code == 1
    assert not [word for word in ("X-Amz", "OPAQUE") if word in ran.stdout + ran.stderr]
    assert f"{source}/{name}/app" in ran.json["outcomes"][0]["error"]
