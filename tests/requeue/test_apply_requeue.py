"""`apply --requeue` starts the next run once, and only if it can make progress."""

from __future__ import annotations

import json
import signal
import sys

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests.support.ci_service import CiService
from tests.support.images import image
from tests.support.run_imgsync import finish
from tests.switches import Hold, status

TOKEN = "requeue-token-SECRET"


@pytest.fixture
def service():
    """A service that accepts every request."""
    with CiService().running() as running:
        yield running


@pytest.fixture
def rate(lab):
    """Declare four images with a rate limit; return a setter."""
    for tag in "1234":
        lab.push("app", tag, image(f"requeue {tag}"))
    lab.declare("app", "concurrency: {images: 1, blobs: 1, queries: 1}")

    def set_rate(text):
        limit = f", rate: {text}" if text else ""
        lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false{limit}}}\n  {lab.destination.host}: {{tls: false}}\n")

    set_rate("10/6h")
    return set_rate


@pytest.fixture
def requeues(workplace):
    """Return, or set, the recorded number of requeues in a row."""

    def ask(number=None):
        with open_state(str(workplace.folder / ".imgsync" / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=print) as store:
            if number is not None:
                store.record_run_end(remaining=store.remaining, successes=[], requeues=number, moment="")
            return store.requeues

    return ask


def left(ran):
    return ran.json["summary"]["remaining"] + len(ran.json["errors"])


def test_next_run_is_started_once_and_counted(rate, service, imgsync, requeues):
    """One request with the remaining count, exit 75; a finished run resets the counter."""
    first = imgsync("apply", "-o", "json", "--requeue", f"{service.url}/hook", env={"IMGSYNC_REQUEUE_TOKEN": TOKEN})

    assert first.code == 75, first.stderr
    assert first.json["summary"]["copied"] >= 1
    (asked,) = service.asked
    assert json.loads(asked.body) == {"format": "imgsync.requeue/v1", "plan_id": first.json["plan_id"], "remaining": left(first), "requeued": 1}
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    (line,) = first.events("run.requeued")
    assert (line["number"], line["remaining"]) == (1, left(first))
    assert requeues() == 1

    second = imgsync("apply", "-o", "json", "--requeue", f"{service.url}/hook", env={"IMGSYNC_REQUEUED": "1"})
    assert second.code == 75, second.stderr
    assert json.loads(service.asked[1].body)["requeued"] == 2
    assert requeues() == 2

    rate("")
    done = imgsync("apply", "-o", "json", "--requeue", f"{service.url}/hook", env={"IMGSYNC_REQUEUED": "2"})
    assert done.code == 0, done.stderr
    assert len(service.asked) == 2, "nothing is left, so nobody is asked"
    assert requeues() == 0


def test_state_is_pushed_before_the_next_run_is_started(rate, lab):
    """The next run must not use an older state."""
    tag = f"{lab.destination}/{lab.name}/state:main"
    tags = f"http://{lab.destination_registry}/v2/{lab.name}/state/tags/list"
    look = lab.write("look.py", f"import json, urllib.request\nassert 'main' in json.load(urllib.request.urlopen('{tags}'))['tags']\n")

    ran = lab.run("apply", "--state", f"oci://{tag}", "--requeue", f"{sys.executable} {look}")

    assert ran.code == 75, ran.stderr
    assert [line["number"] for line in ran.events("run.requeued")] == [1]
    assert len(ran.events("state.pushed")) == 1


def test_larger_count_of_the_environment_wins(rate, service, imgsync):
    """IMGSYNC_REQUEUED counts if the state was lost."""
    ran = imgsync("apply", "--requeue", f"{service.url}/hook", env={"IMGSYNC_REQUEUED": "7"})

    assert ran.code == 75, ran.stderr
    assert json.loads(service.asked[0].body)["requeued"] == 8


def test_github_input_has_the_count(rate, service, imgsync):
    """The dispatch passes it on."""
    environment = {
        "GITHUB_API_URL": service.url,
        "GITHUB_REPOSITORY": "k8sxio/mirrors",
        "GITHUB_WORKFLOW_REF": "k8sxio/mirrors/.github/workflows/apply.yml@refs/heads/main",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REF_NAME": "main",
        "GITHUB_TOKEN": TOKEN,
        "IMGSYNC_REQUEUED": "",
    }

    ran = imgsync("apply", "--requeue", "github", env=environment)

    assert ran.code == 75, ran.stderr
    (asked,) = service.asked
    assert asked.path == "/repos/k8sxio/mirrors/actions/workflows/apply.yml/dispatches"
    assert json.loads(asked.body)["inputs"] == {"requeued": "1"}


def test_failed_run_is_not_requeued(lab, service):
    """Nothing is left and something failed: exit 1, no request."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.source.add(status(403), target="/blobs/")

    ran = lab.run("apply", "--requeue", f"{service.url}/hook")

    assert ran.code == 1
    assert service.asked == []


def test_locked_run_is_not_requeued(lab, service):
    """The run that holds the state continues."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    held = lab.source.add(Hold(), target="/blobs/")
    first = lab.start("apply")
    held.reached()

    second = lab.run("apply", "--requeue", f"{service.url}/hook")
    held.release()

    assert second.code == 75
    assert service.asked == []
    assert finish(first).code == 0


def test_stopped_run_is_not_requeued(lab, service, requeues):
    """After a signal: exit 75, a log line, no request, and the counter is reset."""
    for tag in "12":
        lab.push("app", tag, image(tag))
    lab.declare("app", "concurrency: {images: 1}")
    requeues(3)
    held = lab.source.add(Hold(), method="GET", target="/blobs/", times=1)
    process = lab.start("apply", "-o", "json", "--requeue", f"{service.url}/hook")
    held.reached()
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "run.stopping" in line:
            break
    held.release()

    ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert (ran.json["summary"]["copied"], ran.json["summary"]["remaining"]) == (1, 1)
    assert service.asked == []
    assert "interrupted" in ran.events("run.not_requeued")[0]["reason"]
    assert requeues() == 0


@pytest.mark.parametrize(
    ("limit", "remembered", "allowed", "says"),
    [("10/6h", 2, "2", "the limit is 2"), ("10/6h", 0, "0", "--requeue-limit is 0"), ("2/6h", 0, "20", "copied and deleted nothing")],
    ids=["limit reached", "limit 0", "no progress"],
)
def test_requeue_limit_fails_the_run_with_the_reason(limit, remembered, allowed, says, rate, service, imgsync, requeues):
    """Exit 1 at the end of the chain."""
    rate(limit)
    requeues(remembered)

    ran = imgsync("apply", "--requeue", f"{service.url}/hook", "--requeue-limit", allowed)

    assert ran.code == 1, ran.stderr
    assert service.asked == []
    (line,) = ran.events("run.not_requeued")
    assert (says in line["reason"], line["level"]) == (True, "error")
    assert ran.events("apply.finished")[0]["exit_code"] == 1
    assert requeues() == 0


def test_service_that_refuses_fails_the_run(rate, service, imgsync, requeues):
    """Exit 1 and one line without secrets."""
    service.answer(403, b'{"message": "no, requeue-token-SECRET may not"}')

    ran = imgsync("apply", "--requeue", f"{service.url}/hook?key=query-key-SECRET", env={"IMGSYNC_REQUEUE_TOKEN": TOKEN})

    assert ran.code == 1
    (line,) = ran.events("run.not_requeued")
    assert line["target"] == service.url.partition("//")[2]
    assert f"start the next run by POST {service.url}/hook: 403" in line["reason"]
    assert len(service.asked) == 1
    assert requeues() == 0


@pytest.mark.parametrize(
    ("target", "environment", "says"),
    [
        ("github", {}, "GITHUB_REPOSITORY"),
        ("gitlab", {"CI_API_V4_URL": "https://ci.example/api/v4"}, "CI_PROJECT_ID"),
        ("travis", {}, "TRAVIS_REPO_SLUG"),
        ("no-such-program --now", {}, "no such program was found"),
        ("http://ci.example/hook", {"IMGSYNC_REQUEUE_TOKEN": TOKEN}, "use https"),
        ("https://ci.example/hook", {"IMGSYNC_REQUEUED": "many"}, "not a number of requeues"),
    ],
    ids=["github", "gitlab", "travis", "command", "login in the open", "count"],
)
def test_missing_settings_fail_before_any_request(target, environment, says, rate, lab):
    """Exit 3."""
    ran = lab.run("apply", "--requeue", target, env=environment)

    assert ran.code == 3, ran.stderr
    assert says in ran.stderr
    assert (lab.source.seen, lab.destination.seen) == ([], [])


def test_command_gets_count_remaining_and_plan_id(rate, lab):
    """It cannot write into the report."""
    script = lab.folder / "next.sh"
    script.write_text('#!/bin/sh\necho said\necho "$IMGSYNC_REQUEUED $IMGSYNC_REMAINING $IMGSYNC_PLAN_ID $1" > told\n', encoding="utf-8")
    script.chmod(0o755)

    ran = lab.run("apply", "-o", "json", "--requeue", f"{script} 'one word'")

    assert ran.code == 75, ran.stderr
    assert (lab.folder / "told").read_text() == f"1 {left(ran)} {ran.json['plan_id']} one word\n"
