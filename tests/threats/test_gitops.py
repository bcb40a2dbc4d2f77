"""GitOps: what runs for a pull request can push nothing, and what is applied is what was reviewed, declared and allowed."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests import switches
from tests.plan.test_saved import sealed
from tests.support.canary import secrets_in
from tests.support.faults import FaultProxy
from tests.support.images import image, pull_raw, push
from tests.support.registry_process import LOGIN
from tests.support.run_imgsync import Workplace, finish
from tests.switches import Hold

_LOGIN = {"credentials": {"username": LOGIN[0], "password": LOGIN[1]}}
SAVED = "plan.json"


@pytest.mark.row("GIT-01")
def test_what_only_looks_asks_for_no_right_to_push(registry, token_registry, token_server, name, workplace, imgsync):
    """plan, verify, list and a state in a registry ask for tokens to pull, with a login that may push and a mirror that prunes."""
    push(registry, f"{name}/app", "1", image(name))
    push(registry, f"{name}/app", "2", image((name, 2)))
    with FaultProxy(token_registry) as proxy:
        workplace.trust_plain(registry, proxy, settings={proxy.host: _LOGIN})
        settings = {"source": f"{registry}/{name}/app", "destinations": [f"{proxy}/m"], "prune": True}
        workplace.mirror("a", **settings)
        state = f"oci://{proxy}/{name}/state:1"
        assert imgsync("apply", "--state", state).code == 0
        assert any("push" in scope for one in token_server.requests for scope in one.scopes), "the harness sees what is asked for"
        workplace.mirror("a", **settings, tags={"names": ["1"]})
        push(registry, f"{name}/app", "1", image((name, "moved")))
        token_server.reset()
        proxy.forget()

        for arguments in (("plan", "--state", state), ("plan", "--refresh"), ("verify",), ("list", f"{proxy}/m/{name}/app")):
            assert imgsync(*arguments).code in {0, 1}

        asked = {scope for one in token_server.requests for scope in one.scopes}
        assert {action for scope in asked for action in scope.rpartition(":")[2].split(",")} == {"pull"}
        assert {one.method for one in proxy.seen} <= {"GET", "HEAD"}


@pytest.mark.row("GIT-01")
@pytest.mark.parametrize("command", ["plan", "verify"])
def test_a_login_is_not_shown_to_who_does_not_ask(command, registry, name, workplace, imgsync, source, destination):
    """Where anybody may pull, no credential leaves the machine, however many are configured."""
    push(registry, f"{name}/app", "1", image(name))
    workplace.trust_plain(source, destination, settings={source.host: _LOGIN, destination.host: _LOGIN})
    workplace.mirror("a", source=f"{source}/{name}/app", destinations=[f"{destination}/m"])

    ran = imgsync(command)

    assert ran.code in {0, 1}, ran.stderr
    assert source.seen
    assert destination.seen
    assert "authorization" not in {header for one in (*source.seen, *destination.seen) for header in one.headers}


def jobs_of(workplace: Workplace) -> dict[str, dict[str, Any]]:
    """Every GitHub workflow that `imgsync init` makes, by the name of its file."""
    assert workplace.run("init", "new").code == 0
    files = (workplace.folder / "new/.github/workflows").glob("*.yml")
    return {file.name: yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) for file in files}


@pytest.mark.row("GIT-01", "GIT-07")
def test_a_pull_request_s_jobs_can_write_nothing(workplace):
    """No workflow runs a pull request's files with the repository's rights, hands it a secret that pushes, or saves what main reads."""
    workflows = jobs_of(workplace)

    assert set(workflows) == {"mirror.yml", "mirror-comment.yml"}
    for workflow in workflows.values():
        assert workflow["permissions"] == {}
        assert "pull_request_target" not in workflow["on"]
        for job in workflow["jobs"].values():
            steps = json.dumps(job["steps"])
            from_main = "refs/heads/main" in job.get("if", "") or "github.event.schedule ==" in job.get("if", "")
            assert from_main or "pull_request" in job["if"]
            if not from_main:
                assert "secrets.REGISTRY_USERNAME" not in steps
                assert "environment" not in job
                assert "cache/save" not in steps
                assert "actions/cache@" not in steps, "it saves as well"
            writes = {right for right, value in job["permissions"].items() if value == "write"}
            assert writes == {"Apply": {"actions"}, "Comment": {"pull-requests"}}.get(job["name"], set())
            assert '"persist-credentials": "false"' in steps or "actions/checkout" not in steps
    (saver,) = [job["name"] for job in workflows["mirror.yml"]["jobs"].values() if "cache/save" in json.dumps(job["steps"])]
    assert saver == "Apply"


@pytest.fixture
def origin(registry, name, workplace, source, destination) -> Callable[..., None]:
    """Declare one mirror of one repository with tags 1 and 2, and give the images."""
    workplace.trust_plain(source, destination)
    for tag in "12":
        push(registry, f"{name}/app", tag, image((name, tag)))

    def declare_mirror(**settings: object) -> None:
        workplace.mirror("a", source=f"{source}/{name}/app", destinations=[f"{destination}/m"], retry={"attempts": 1}, **settings)

    declare_mirror()
    return declare_mirror


@pytest.fixture
def forge(workplace, imgsync, source, destination) -> Callable[..., Any]:
    """Save a plan, change it as somebody does who knows how its id and check are made, forget who was asked, and apply it."""

    def forged(edit: Callable[[dict[str, Any]], object], *arguments: str) -> Any:
        assert imgsync("plan", "--out", SAVED).code in {0, 1}
        document = json.loads((workplace.folder / SAVED).read_text())
        edit(document)
        (workplace.folder / SAVED).write_text(sealed(document))
        source.forget()
        destination.forget()
        return imgsync("apply", "--plan", SAVED, "-o", "json", *arguments)

    return forged


def every_change(**fields: object) -> Callable[[dict[str, Any]], object]:
    """Change every change of a plan."""
    return lambda document: [one.update(fields) for one in document["changes"]]


_FORGED: tuple[dict[str, str | None], ...] = (
    {"destination": "DESTINATION/prod/app:1"},
    {"destination": "DESTINATION/m/NAME/app:other"},
    {"destination": "evil.example/m/NAME/app:1"},
    {"source": "SOURCE/evil/app:1"},
    {"source": "evil.example/NAME/app:1"},
    {"mirror": "unknown"},
    {"action": "delete"},
    {"action": "create", "source_digest": None},
)


@pytest.mark.row("GIT-05")
def test_a_forged_plan_reaches_nothing_that_is_not_declared(origin, imgsync, workplace, name, source, destination):
    """Its id and check fit; what is declared where it is applied decides what it may touch: exit 3, nobody is asked."""
    words = {"SOURCE": source.host, "DESTINATION": destination.host, "NAME": name}
    assert imgsync("plan", "--out", SAVED).code == 0
    saved = (workplace.folder / SAVED).read_text()
    source.forget()
    destination.forget()

    for fields in _FORGED:
        document = json.loads(saved)
        every_change(**{key: value and re.sub("[A-Z]{2,}", lambda found: words[found[0]], value) for key, value in fields.items()})(document)
        (workplace.folder / SAVED).write_text(sealed(document))

        ran = imgsync("apply", "--plan", SAVED, "-o", "json")

        assert (ran.code, ran.stdout) == (3, ""), fields
        assert "which declares no such thing" in ran.stderr, fields
        assert "hint: make the plan again: imgsync plan --out FILE" in ran.stderr
    assert (source.seen, destination.seen) == ([], [])


@pytest.mark.row("GIT-05", "GIT-04")
def test_a_plan_of_the_pull_request_s_declarations_is_none_of_main_s(origin, workplace, imgsync, source, destination, name):
    """A plan that was made for what a branch declares is refused where main declares something else, whatever its check says."""
    origin(tags={"names": ["1"]}, platforms=["linux/amd64"])
    assert imgsync("plan", "--out", SAVED).code == 0
    origin(tags={"names": ["1"]})
    source.forget()
    destination.forget()

    ran = imgsync("apply", "--plan", SAVED)

    assert ran.code == 3
    assert "made for another configuration (changed: a)" in ran.stderr
    assert (source.seen, destination.seen) == ([], [])


@pytest.mark.row("GIT-05", "GIT-03")
def test_what_is_trusted_now_counts_and_not_what_was(origin, workplace, forge, source, destination):
    """A plan made before the operator's `allow` was narrowed is refused by the rule."""

    def narrowed(_document: object) -> None:
        trust = json.loads((workplace.folder / "registries.yaml").read_text())
        (workplace.folder / "registries.yaml").write_text(json.dumps(trust | {"allow": {"destinations": [f"{destination}/other"]}}))

    ran = forge(narrowed)

    assert ran.code == 3
    assert f"is not allowed by registries.yaml (allowed: {destination}/other" in ran.stderr
    assert (source.seen, destination.seen) == ([], [])


@pytest.mark.row("GIT-05")
def test_a_forged_digest_brings_nothing_from_elsewhere(registry, second_registry, origin, forge, name):
    """A digest is looked for in the declared repository alone: one that is only elsewhere fails, and the destination stays as it was."""
    evil = push(registry, f"{name}/evil", "1", image((name, "evil")))

    ran = forge(every_change(source_digest=evil.digest))

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 0, "failed": 2}
    assert f"/{name}/app@{evil.digest} (source): 404" in ran.json["outcomes"][0]["error"]
    assert second_registry.tags(f"m/{name}/app") == []
    assert "moved since the plan was made" in ran.json["notes"][0], "and it is told that this is not what the tag names"


@pytest.mark.row("GIT-05", "GIT-11")
def test_a_forged_plan_ends_no_quarantine(second_registry, origin, forge, imgsync, name):
    """A digest that is too young by what is remembered here is held, whatever the plan says of it and of when it was made."""
    origin(tags={"min_age": "3d"})

    ran = forge(every_change(action="create", reason="old enough"))
    assert ran.code == 0, ran.stderr
    assert {outcome["result"] for outcome in ran.json["outcomes"]} == {"held"}
    assert "held by min_age 3d until" in ran.json["outcomes"][0]["reason"]

    ran = forge(lambda document: document.update(created_at="2001-01-01T00:00:00Z"))
    assert {outcome["result"] for outcome in ran.json["outcomes"]} == {"held"}
    assert imgsync("apply", "-o", "json").json["summary"] == {**ran.json["summary"], "seconds": pytest.approx(0, abs=60)}
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("GIT-05")
def test_a_forged_plan_moves_no_immutable_tag(registry, second_registry, origin, forge, imgsync, name):
    """Once mirrored it stays, whenever the plan says to have been made."""
    origin(immutable=["*"])
    assert imgsync("apply").code == 0
    before = pull_raw(second_registry, f"m/{name}/app", "1")
    other = push(registry, f"{name}/app", "9", image((name, "other")))

    def moved(document: dict[str, Any]) -> None:
        document["created_at"] = "2100-01-01T00:00:00Z"
        document["changes"] = [one | {"action": "update", "source_digest": other.digest} for one in document["changes"] if one["source"].endswith(":1")]

    ran = forge(moved)

    assert ran.code == 1
    assert [outcome["result"] for outcome in ran.json["outcomes"]] == ["refused"]
    assert "tag is declared immutable" in ran.json["outcomes"][0]["error"]
    assert pull_raw(second_registry, f"m/{name}/app", "1") == before


@pytest.mark.row("GIT-05")
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_a_plan_says_to_be_there_is_not_remembered(mirrored, registry, second_registry, origin, forge, imgsync, name):
    """A forged `keep` cannot make later runs believe that a tag is as its source has it."""
    if mirrored:
        assert imgsync("apply").code == 0
    moved = {tag: push(registry, f"{name}/app", tag, image((name, tag, "moved"))) for tag in "12"}

    def kept(document: dict[str, Any]) -> None:
        for change in document["changes"]:
            tag = change["source"][-1]
            change.update(action="keep", source_digest=moved[tag].digest, destination_digest=change["destination_digest"] or moved[tag].digest)

    assert forge(kept).code == 0
    ran = imgsync("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["copied"]) == (0, 2)
    assert pull_raw(second_registry, f"m/{name}/app", "1") == moved["1"].raw


@pytest.mark.row("GIT-06")
def test_no_secret_is_in_what_a_pull_request_shows(registry, password_registry, name, workplace, imgsync):
    """Plan, comment, step summary and saved plan of a run that logs in hold no credential in any form, also where registries say it back."""
    push(registry, f"{name}/app", "1", image(name))
    with FaultProxy(password_registry) as proxy:
        workplace.trust_plain(registry, proxy, settings={proxy.host: _LOGIN})
        workplace.mirror("a", source=f"{registry}/{name}/app", destinations=[f"{proxy}/m"], retry={"attempts": 1})
        # Only once it has logged in is there something to say back.
        proxy.add(switches.Echo(403), target="/manifests/", nth=tuple(range(2, 9)))
        summary = workplace.folder / "summary.md"
        for form in ("json", "markdown"):
            ran = imgsync("plan", "--out", SAVED, "-o", form, env={"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"})
            assert ran.code == 1
            assert "you sent" in ran.stdout
            assert secrets_in(ran.stdout + ran.stderr + summary.read_text() + (workplace.folder / SAVED).read_text()) == []
        assert "authorization" in {header for one in proxy.seen for header in one.headers}


@pytest.mark.row("GIT-07")
@pytest.mark.parametrize("planting", ["update Cache set mode = 4, value = ?", "no database"])
def test_a_poisoned_cache_costs_questions_and_nothing_else(planting, second_registry, origin, imgsync, workplace, name, destination):
    """A state that a CI cache brings, and that somebody wrote into: nothing in it runs, it is set aside with a warning, and nothing is copied twice."""
    assert imgsync("apply").code == 0
    state = workplace.folder / ".imgsync/state"
    if planting == "no database":
        (state / "cache.db").write_bytes(b"not a database")
    else:
        with contextlib.closing(sqlite3.connect(state / "cache.db")) as database, database:
            database.execute(planting + " where rowid = (select min(rowid) from Cache)", (pickle.dumps(_Evil(str(workplace.folder / "evil"))),))
    destination.forget()

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert not (workplace.folder / "evil").exists()
    assert ran.events("state.degraded")
    assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (0, 2)
    assert {one.method for one in destination.seen} == {"HEAD"}
    assert sorted(second_registry.tags(f"m/{name}/app")) == ["1", "2"]


class _Evil:
    """Unpickled, it leaves a file."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self._file, "w")


@pytest.mark.row("GIT-08")
def test_a_cancelled_job_ends_in_good_order(second_registry, origin, start_imgsync, imgsync, source, name):
    """An interrupt, as CI sends it first: within the grace and long before the kill it ends, with 75 and a report; the next run does the rest."""
    held = Hold()
    source.add(held, method="GET", target="/blobs/")
    process = start_imgsync("apply", "-o", "json", "--grace", "1s")
    held.reached()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)

    stopped = finish(process)

    assert time.monotonic() - began < 7.5, "GitHub's patience"
    assert stopped.code == 75, stopped.stderr
    assert stopped.json["summary"]["remaining"] + stopped.json["summary"]["failed"] == 2
    assert stopped.events("run.stopping")
    assert second_registry.tags(f"m/{name}/app") == []
    source.clear()
    assert imgsync("apply", "-o", "json").json["summary"]["copied"] == 2


@pytest.mark.row("GIT-09")
def test_of_two_applies_one_waits_for_its_turn(origin, start_imgsync, imgsync, source, destination):
    """The second finds the state locked: exit 75 with what to do, and it pushes nothing; the first is not disturbed."""
    held = Hold()
    source.add(held, method="GET", target="/blobs/", times=1)
    first = start_imgsync("apply", "-o", "json")
    held.reached()

    second = imgsync("apply")

    assert second.code == 75
    assert "error: " in second.stderr
    assert "hint: " in second.stderr
    assert second.stdout == ""
    held.release()
    assert finish(first).json["summary"]["copied"] == 2
    assert len(destination.requests("PUT .*/manifests/[12]$")) == 2


_EMPTIED = {
    "no mirror": ('{"version": 1, "mirrors": []}', 3, "no mirror is declared"),
    "nothing": ("", 3, "the file is empty"),
    "no folder": (None, 3, "the folder holds no *.yaml or *.yml file"),
    "a wrong glob": ('tags: {"include": ["nothing*"]}', 1, "at_least"),
    "a wrong name": ('tags: {"names": ["3"]}', 1, "at_least"),
    "too much": ('tags: {"at_most": 1}', 1, "at_most"),
}


@pytest.mark.row("GIT-10")
def test_a_commit_that_empties_the_configuration_writes_nothing(second_registry, origin, imgsync, workplace, destination, name):
    """No mirror, no file, a filter that fits nothing or too much: an error, and nothing is deleted or overwritten, though the mirror prunes."""
    origin(prune=True)
    assert imgsync("apply").code == 0
    destination.forget()
    file = workplace.folder / "mirrors.d/a.yaml"

    for case, (text, code, said) in _EMPTIED.items():
        if text is None:
            file.unlink()
        elif text.startswith("tags: "):
            origin(prune=True, tags=json.loads(text.removeprefix("tags: ")))
        else:
            file.write_text(text)

        ran = imgsync("apply")

        assert ran.code == code, (case, ran.stderr)
        assert said in ran.stdout + ran.stderr, case
        assert {one.method for one in destination.seen} <= {"GET", "HEAD"}, case
    assert sorted(second_registry.tags(f"m/{name}/app")) == ["1", "2"]
