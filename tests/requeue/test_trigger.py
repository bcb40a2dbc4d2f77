"""Starting the next run: requests, early errors, and no secret in messages."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
import trustme

from imgsync.apply.report import Outcome, Report, Result
from imgsync.errors import RequeueError, UsageError
from imgsync.requeue import NextRun, Progress, count_requeues, may_requeue, parse_target, start_next
from imgsync.requeue import trigger as trigger_module
from imgsync.requeue.command import parse_command, run_command
from tests.support.canary import secrets_in
from tests.support.ci_service import Asked, CiService
from tests.support.listener import Listener

NEXT = NextRun(3, remaining=17, plan_id="0123abcd")
TOKEN = "requeue/token+1-SECRET"


@pytest.fixture
def service() -> Iterator[CiService]:
    """A service that accepts every request."""
    with CiService().running() as running:
        yield running


def github_environment(url: str, **more: str) -> dict[str, str]:
    own = {
        "GITHUB_API_URL": url,
        "GITHUB_REPOSITORY": "k8sxio/mirrors",
        "GITHUB_WORKFLOW_REF": "k8sxio/mirrors/.github/workflows/mirror it.yml@refs/heads/main",
        "GITHUB_REF": "refs/heads/feature/x",
        "GITHUB_REF_NAME": "feature/x",
        "GITHUB_TOKEN": TOKEN,
    }
    return own | more


def gitlab_environment(url: str, **more: str) -> dict[str, str]:
    return {"CI_API_V4_URL": f"{url}/api/v4", "CI_PROJECT_ID": "42", "CI_COMMIT_REF_NAME": "main", "CI_JOB_TOKEN": TOKEN} | more


def travis_environment(url: str, **more: str) -> dict[str, str]:
    own = {"IMGSYNC_REQUEUE_URL": url, "TRAVIS_REPO_SLUG": "k8sxio/mirrors", "TRAVIS_BRANCH": "main", "TRAVIS_PULL_REQUEST": "false", "TRAVIS_API_TOKEN": TOKEN}
    return own | more


ENVIRONMENTS: dict[str, Callable[..., dict[str, str]]] = {"github": github_environment, "gitlab": gitlab_environment, "travis": travis_environment}
ACCEPTS = {"github": 204, "gitlab": 201, "travis": 202}


def start(text: str, environ: dict[str, str], *, sleeps: list[float] | None = None) -> list[str]:
    """Start the next run; return the secrets that were registered."""
    told: list[str] = []
    start_next(parse_target(text, environ), NEXT, on_secret=told.extend, sleep=(sleeps if sleeps is not None else []).append)
    return told


def refused(text: str, environ: dict[str, str], *, sleeps: list[float] | None = None) -> RequeueError:
    """Return the error of a start that must fail, without secrets."""
    with pytest.raises(RequeueError) as raised:
        start(text, environ, sleeps=sleeps)
    error = raised.value
    assert secrets_in(f"{error} {error.hint} {error.__cause__} {error.detail} {parse_target(text, environ)!r}") == []
    return error


def only(service: CiService) -> Asked:
    assert len(service.asked) == 1
    return service.asked[0]


# What is sent.


def test_github_dispatches_this_workflow_on_this_branch(service):
    """Path, headers and body of "Create a workflow dispatch event"."""
    start("github", github_environment(service.url))

    asked = only(service)
    assert (asked.method, asked.path) == ("POST", "/repos/k8sxio/mirrors/actions/workflows/mirror%20it.yml/dispatches")
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"] == "2022-11-28"
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["user-agent"].startswith("imgsync/")
    assert json.loads(asked.body) == {"ref": "feature/x", "inputs": {"requeued": "3"}}


def test_gitlab_triggers_a_pipeline_of_this_project(service):
    """Path and form of the pipeline triggers API."""
    service.answer(201, b"{}")

    start("gitlab", gitlab_environment(service.url))

    asked = only(service)
    assert (asked.method, asked.path) == ("POST", "/api/v4/projects/42/trigger/pipeline")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode()) == {"token": [TOKEN], "ref": ["main"], "variables[IMGSYNC_REQUEUED]": ["3"]}


def test_travis_builds_this_branch(service):
    """The slug is one path segment; the variable is added to those of .travis.yml."""
    service.answer(202, b"{}")

    start("travis", travis_environment(f"{service.url}/api/"))

    asked = only(service)
    assert (asked.method, asked.path) == ("POST", "/api/repo/k8sxio%2Fmirrors/requests")
    assert asked.headers["travis-api-version"] == "3"
    assert asked.headers["authorization"] == f"token {TOKEN}"
    request = json.loads(asked.body)["request"]
    assert (request["branch"], request["merge_mode"], request["config"]) == ("main", "deep_merge_append", {"env": {"global": ["IMGSYNC_REQUEUED=3"]}})
    assert "17 changes left" in request["message"]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_webhook_gets_one_versioned_document(service, status):
    """Any 2xx is success; path and query are unchanged."""
    service.answer(status)

    start(f"{service.url}/hooks/a%2Fb?job=mirror#top", {"IMGSYNC_REQUEUE_TOKEN": TOKEN})

    asked = only(service)
    assert (asked.method, asked.path) == ("POST", "/hooks/a%2Fb?job=mirror")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body) == {"format": "imgsync.requeue/v1", "plan_id": "0123abcd", "remaining": 17, "requeued": 3}


def test_webhook_gets_no_ci_token(service):
    """Tokens in the environment are not for webhooks."""
    start(service.url, {"GITHUB_TOKEN": TOKEN, "CI_JOB_TOKEN": TOKEN})

    asked = only(service)
    assert asked.path == "/"
    assert secrets_in(str(asked)) == []


def test_login_in_a_webhook_url_is_sent_as_basic(service):
    """It is removed from the URL and registered as a secret."""
    told = start(service.url.replace("://", "://me:p%40ss-SECRET@"), {})

    assert only(service).headers["authorization"] == f"Basic {base64.b64encode(b'me:p@ss-SECRET').decode()}"
    assert {"me:p@ss-SECRET", "p@ss-SECRET"} <= set(told)


@pytest.mark.parametrize("status", [200, 204])
def test_both_of_github_s_success_codes_count(service, status):
    """Newer API versions answer 200."""
    service.answer(status, b"{}" if status == 200 else b"")

    start("github", github_environment(service.url))

    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("github", ["IMGSYNC_REQUEUE_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"]),
        ("gitlab", ["IMGSYNC_REQUEUE_TOKEN", "CI_JOB_TOKEN"]),
        ("travis", ["IMGSYNC_REQUEUE_TOKEN", "TRAVIS_API_TOKEN"]),
    ],
)
def test_first_available_token_is_used(service, text, names):
    """IMGSYNC_REQUEUE_TOKEN first; line ends are removed; it is registered as a secret before use."""
    service.answer(ACCEPTS[text])
    environ = ENVIRONMENTS[text](service.url)
    for left in range(len(names)):
        given = {name: f"{name}-SECRET\n" for name in names[left:]}
        without = {name: value for name, value in environ.items() if name not in names}

        told = start(text, without | given)

        assert told == [f"{names[left]}-SECRET"]
        assert f"{names[left]}-SECRET" in f"{service.asked[-1].headers} {service.asked[-1].body.decode()}"


# What is refused before anything is copied.


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("github", "GITHUB_REPOSITORY"),
        ("github", "GITHUB_WORKFLOW_REF"),
        ("github", "GITHUB_REF_NAME"),
        ("github", "GITHUB_TOKEN"),
        ("gitlab", "CI_API_V4_URL"),
        ("gitlab", "CI_PROJECT_ID"),
        ("gitlab", "CI_COMMIT_REF_NAME"),
        ("gitlab", "CI_JOB_TOKEN"),
        ("travis", "TRAVIS_REPO_SLUG"),
        ("travis", "TRAVIS_BRANCH"),
        ("travis", "TRAVIS_API_TOKEN"),
    ],
)
def test_missing_variable_is_named(text, missing):
    """Also an empty one; the hint says how to get it."""
    environ = ENVIRONMENTS[text]("https://ci.example") | {missing: ""}

    with pytest.raises(UsageError, match=missing) as raised:
        parse_target(text, environ)

    assert raised.value.hint
    assert secrets_in(f"{raised.value} {raised.value.hint}") == []


def test_all_missing_variables_are_named_at_once():
    """In one error."""
    with pytest.raises(UsageError, match="GITHUB_REPOSITORY, GITHUB_WORKFLOW_REF, GITHUB_REF_NAME"):
        parse_target("github", {})


@pytest.mark.parametrize(
    ("text", "environ", "says"),
    [
        pytest.param("", {}, "names no command", id="nothing"),
        pytest.param("'' x", {}, "names no command", id="empty program"),
        pytest.param("gitub", {"PATH": "/nowhere"}, "not a service, and no such program", id="typo"),
        pytest.param("restart 'it", {}, "split into words", id="open quote"),
        pytest.param("ftp://ci.example/x", {}, "not an http or https address", id="ftp"),
        pytest.param("https://", {}, "not an http or https address", id="no host"),
        pytest.param("https://ci.example:x/", {}, "not an http or https address", id="bad port"),
        pytest.param("https://ci.example/a b", {}, "not an http or https address", id="space"),
        pytest.param("http://ci.example/x", {"IMGSYNC_REQUEUE_TOKEN": TOKEN}, "sent unencrypted", id="token over http"),
        pytest.param("http://me:pass-SECRET@ci.example/x", {}, "sent unencrypted", id="login over http"),
        pytest.param("https://me:pass-SECRET@ci.example/x", {"IMGSYNC_REQUEUE_TOKEN": TOKEN}, "both in the address and in", id="two logins"),
        pytest.param("https://ci.example/x", {"IMGSYNC_REQUEUE_TOKEN": "a\nb-SECRET"}, "characters that are invalid in a token", id="token of two lines"),
        pytest.param("https://ci.example/x", {"HTTPS_PROXY": "socks5://me:pass-SECRET@proxy.example"}, "HTTPS_PROXY", id="socks"),
        pytest.param("https://ci.example/x", {"ALL_PROXY": "http://proxy.example:port"}, "ALL_PROXY", id="senseless proxy"),
        pytest.param("https://ci.example/x", {"IMGSYNC_REQUEUED": "two"}, "IMGSYNC_REQUEUED is 'two'", id="no number"),
        pytest.param("github", github_environment("http://ci.example"), "sent unencrypted", id="github over http"),
        pytest.param("github", github_environment("https://me:x-SECRET@ci.example"), "must not contain credentials", id="github with a login"),
        pytest.param("github", github_environment("https://ci.example", GITHUB_REF="refs/pull/7/merge"), "pull request", id="github pull request"),
        pytest.param(
            "github", github_environment("https://ci.example", GITHUB_WORKFLOW_REF="a/b/.github/workflows/m.yml@x"), "is not a workflow of", id="other"
        ),
        pytest.param("github", github_environment("https://ci.example", GITHUB_WORKFLOW_REF="mirror.yml"), "is not a workflow of", id="no workflow"),
        pytest.param("gitlab", gitlab_environment("ci.example"), "CI_API_V4_URL is not an http", id="gitlab without scheme"),
        pytest.param("travis", travis_environment("https://ci.example", TRAVIS_PULL_REQUEST="7"), "pull request", id="travis pull request"),
    ],
)
def test_impossible_target_is_refused_before_the_run(text, environ, says):
    """Exit 3, without a secret."""
    with pytest.raises(UsageError, match=says) as raised:
        parse_target(text, environ)

    assert raised.value.exit_code == 3
    assert secrets_in(f"{raised.value} {raised.value.hint}") == []


# What comes back.


@pytest.mark.parametrize("text", ENVIRONMENTS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refusal_shows_status_and_words(service, text, status):
    """Of one request, without the token."""
    echoed = f'{{"message": "no, {TOKEN}", "again": "{TOKEN.replace("/", chr(92) + "/")}"}}'
    service.answer(status, echoed.encode())

    error = refused(text, ENVIRONMENTS[text](service.url))

    assert (error.status, error.exit_code) == (status, 1)
    assert str(error).startswith(f"start the next run by POST {service.url}/")
    assert f': {status} {{"message": "no, ***", "again": "***"}}' in str(error)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("github", 403, "actions: write"),
        ("github", 422, "workflow_dispatch"),
        ("gitlab", 400, "pipeline variables"),
        ("gitlab", 404, "trigger token"),
        ("travis", 403, "push access"),
    ],
)
def test_refusal_has_a_hint(service, text, status, says):
    """For each service's usual reasons."""
    service.answer(status)

    assert says in refused(text, ENVIRONMENTS[text](service.url)).hint


@pytest.mark.parametrize("text", ENVIRONMENTS)
@pytest.mark.parametrize("status", [500, 502, 503])
def test_5xx_is_not_retried(service, text, status):
    """The next run may have been started already."""
    service.answer(status, b"\x1b[31m oops \r\n" + b"x" * 500)
    sleeps: list[float] = []

    error = refused(text, ENVIRONMENTS[text](service.url), sleeps=sleeps)

    assert (len(service.asked), sleeps) == (1, [])
    assert "check before you start it by hand" in error.hint
    assert error.detail.startswith("\\x1b[31m oops xxx")
    assert len(error.detail) == 200


@pytest.mark.parametrize("text", ENVIRONMENTS)
def test_dropped_connection_is_not_retried(service, text):
    """The request may have been accepted."""
    service.answers = [None]
    sleeps: list[float] = []

    error = refused(text, ENVIRONMENTS[text](service.url), sleeps=sleeps)

    assert (len(service.asked), sleeps, error.status) == (1, [], None)
    assert "the connection broke" in str(error)
    assert "check before you start it by hand" in error.hint


def test_429_is_retried(service):
    """After the service's own pause, up to half a minute."""
    service.answers = [(429, {"Retry-After": "5"}, b""), (429, {"Retry-After": "900"}, b""), (204, {}, b"")]
    sleeps: list[float] = []

    start("github", github_environment(service.url), sleeps=sleeps)

    assert (len(service.asked), sleeps) == (3, [5.0, 30.0])


def test_retries_end_after_three_attempts(service):
    """After three attempts."""
    service.answer(429, b"slow down")
    sleeps: list[float] = []

    error = refused("travis", travis_environment(service.url), sleeps=sleeps)

    assert (len(service.asked), len(sleeps), error.status) == (3, 2, 429)


def test_refused_connection_is_retried():
    """Nothing was sent, so nothing can start twice."""
    with CiService().running() as gone:
        url = gone.url
    sleeps: list[float] = []

    error = refused(f"{url}/hook?key=long-enough-to-be-a-SECRET", {}, sleeps=sleeps)

    assert len(sleeps) == 2
    assert f"POST {url}/hook: cannot connect: " in str(error)


@pytest.mark.row("DOS-17")
def test_trickling_service_is_left_in_time(monkeypatch):
    """Whether it started a run is unknown, so it gets no second request."""
    over, heads = threading.Event(), []

    class Trickling(Listener):
        def _serve(self, sock: socket.socket) -> None:
            with contextlib.suppress(OSError), sock:
                heads.append(sock.recv(1 << 16))
                sock.sendall(b"HTTP/1.1 204 No\r\nX: ")
                while not over.wait(0.05):
                    sock.sendall(b"x")

    monkeypatch.setattr(trigger_module, "REQUEST_SECONDS", 1.0)
    with Trickling() as service:
        error = refused("github", github_environment(f"http://{service}"))
        over.set()

    assert "no complete response within 3s" in error.message
    assert "check before you start it by hand" in error.hint
    assert len(heads) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_of_a_service_is_not_followed(service, status):
    """The error says to use the right URL."""
    with CiService().running() as elsewhere:
        service.answer(status, Location=f"{elsewhere.url}/there?token={TOKEN}")

        error = refused(f"{service.url}/hook?key=long-enough-to-be-a-SECRET", {"IMGSYNC_REQUEUE_TOKEN": TOKEN})

        assert elsewhere.asked == []
    assert error.status == status
    assert "redirects are not followed" in error.hint
    assert str(error).startswith(f"start the next run by POST {service.url}/hook: {status}")


def test_untrusted_certificate_is_refused_without_ssl_cert_file(tmp_path, monkeypatch):
    """SSL_CERT_FILE adds an authority."""
    authority = trustme.CA()
    certificate, root = tmp_path / "server.pem", tmp_path / "root.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(root)
    with CiService().running(certificate) as service:
        error = refused("github", github_environment(service.url))
        assert "SSL_CERT_FILE" in error.hint
        assert service.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(root))

        start("github", github_environment(service.url))

    assert only(service).headers["authorization"] == f"Bearer {TOKEN}"


# The way there.


def test_https_proxy_is_used(service):
    """Its login is shown to the proxy alone."""
    environ = {"HTTPS_PROXY": service.url.replace("://", "://me:proxy-SECRET@")}

    error = refused("https://ci.invalid/hook", environ)

    assert (only(service).method, only(service).path) == ("CONNECT", "ci.invalid:443")
    assert only(service).headers["proxy-authorization"] == f"Basic {base64.b64encode(b'me:proxy-SECRET').decode()}"
    assert "the proxy refuses" in str(error)


def test_http_url_goes_through_http_proxy(service):
    """The lower-case variable counts first; the proxy gets the whole URL."""
    start("http://ci.invalid/hook", {"http_proxy": service.url, "HTTP_PROXY": "http://127.0.0.1:1"})

    assert only(service).path == "http://ci.invalid/hook"


@pytest.mark.parametrize(
    ("spared", "proxied"),
    [
        ("", True),
        ("ci.example", False),
        (".example", False),
        ("*.example", False),
        ("other, CI.example:443", False),
        ("ci.example:8443", True),
        ("i.example", True),
        ("*", False),
        ("10.0.0.0/8", True),
    ],
)
def test_no_proxy_excludes_hosts(spared, proxied):
    """By name, domain, port, or all."""
    target = parse_target("https://ci.example/x", {"https_proxy": "proxy.example:3128", "NO_PROXY": spared})

    assert target.action.proxy == ("http://proxy.example:3128" if proxied else None)


def test_no_proxy_excludes_networks():
    """As in clusters."""
    target = parse_target("https://10.1.2.3/x", {"https_proxy": "http://proxy.example:3128", "NO_PROXY": "10.0.0.0/8"})

    assert target.action.proxy is None


# Commands.


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Write a shell script into a folder with a space."""

    def write(text: str) -> Path:
        path = tmp_path / "a folder" / "restart.sh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}")
        path.chmod(0o755)
        return path

    return write


def test_command_gets_variables_and_its_output_goes_to_stderr(script, capfd, tmp_path):
    """Words are split as by a shell, without expansion."""
    path = script('echo "$IMGSYNC_REQUEUED $IMGSYNC_REMAINING $IMGSYNC_PLAN_ID $MORE"; for word; do echo "<$word>"; done; echo oops >&2')

    start(f"'{path}' 'two words' $HOME `id` *; #x", {"PATH": "/usr/bin:/bin", "MORE": "more", "IMGSYNC_REQUEUED": "2"})

    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == ["3 17 0123abcd more", "<two words>", "<$HOME>", "<`id`>", "<*;>", "<#x>", "oops"]


@pytest.mark.parametrize(("ends", "says"), [("exit 3", "failed with exit code 3"), ("kill -TERM $$", "killed by signal 15")])
def test_failing_command_is_an_error(script, ends, says):
    """Its arguments are not shown."""
    path = script(ends)

    error = refused(f"'{path}' --token argument-SECRET", {"PATH": "/usr/bin:/bin"})

    assert str(error) == f"start the next run with {path}: it {'was ' if 'signal' in says else ''}{says}"
    assert error.exit_code == 1


def test_removed_program_is_an_error(script):
    """It existed when the run began."""
    path = script("exit 0")
    target = parse_target(f"'{path}'", {})
    path.unlink()

    with pytest.raises(RequeueError, match="it cannot be run: No such file"):
        start_next(target, NEXT, on_secret=lambda _: None)


def test_program_is_found_in_the_path(script):
    """Of the run's environment."""
    path = script("exit 0")

    start("restart.sh", {"PATH": f"{path.parent}:/usr/bin:/bin"})


def test_hanging_command_is_ended_with_its_children(script, tmp_path):
    """No child is left."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Whoever runs holds its writing end open.
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    path = script(f"sleep 300 > '{fifo}' & wait")

    with pytest.raises(RequeueError, match="it did not end within 1s and was killed"):
        run_command(parse_command(f"'{path}'", {"PATH": "/usr/bin:/bin"}), NEXT, timeout_seconds=1)

    try:
        assert os.read(end, 1) == b""
    except BlockingIOError:
        # Killed, but not gone yet.
        assert select.select([end], [], [], 30)[0] == [end]
    finally:
        os.close(end)


def test_trigger_works_under_gevent(service, tmp_path):
    """Commands and requests do the same there."""
    code = f"""
    from gevent import monkey
    monkey.patch_all()
    from imgsync.requeue import NextRun, parse_target, start_next
    for text in ("sh -c 'echo $IMGSYNC_REQUEUED'", {service.url!r}):
        start_next(parse_target(text, {{"PATH": "/usr/bin:/bin"}}), NextRun(4, remaining=1, plan_id="x"), on_secret=lambda _: None)
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "4\n")
    assert json.loads(only(service).body)["requeued"] == 4


# The guard.


@pytest.mark.parametrize(
    ("so_far", "limit", "progress", "allowed", "says"),
    [
        pytest.param(0, 20, Progress(copied=1), True, "requeue 1 of at most 20", id="an image"),
        pytest.param(0, 20, Progress(deleted=1), True, "work is left", id="a deletion"),
        pytest.param(0, 20, Progress(bytes_copied=1), True, "work is left", id="bytes of an unfinished image"),
        pytest.param(0, 20, Progress(blobs_mounted=1), True, "work is left", id="a mount"),
        pytest.param(0, 20, Progress(blobs_present=1), True, "work is left", id="a blob that is there"),
        pytest.param(0, 20, Progress(), False, "copied and deleted nothing", id="no progress"),
        pytest.param(19, 20, Progress(copied=1), True, "requeue 20 of at most 20", id="the last one"),
        pytest.param(20, 20, Progress(copied=1), False, "20 runs in a row", id="at the limit"),
        pytest.param(99, 20, Progress(copied=1), False, "99 runs in a row", id="past the limit"),
        pytest.param(0, 0, Progress(copied=1), False, "--requeue-limit is 0", id="none allowed"),
    ],
)
def test_loop_guard_stops_the_chain(so_far, limit, progress, allowed, says):
    """At the limit, or after a run without progress; with a reason."""
    decision = may_requeue(so_far, limit=limit, progress=progress)

    assert (decision.allowed, decision.number) == (allowed, so_far + 1)
    assert says in decision.reason


@pytest.mark.parametrize(("text", "remembered", "expected"), [(None, 0, 0), ("", 4, 4), (" 7\n", 4, 7), ("3", 4, 4), ("0", 0, 0), ("000000012", 0, 12)])
def test_larger_requeue_count_wins(text, remembered, expected):
    """Of the environment and the state."""
    assert count_requeues({} if text is None else {"IMGSYNC_REQUEUED": text}, remembered) == expected


@pytest.mark.parametrize("text", ["-1", "1.5", "two", "١", "0x3", "1e3", "9" * 400, "${{ inputs.requeued }}"])
def test_invalid_requeue_count_is_an_error(text):
    """In a short message."""
    with pytest.raises(UsageError, match="which is not a number of requeues") as raised:
        count_requeues({"IMGSYNC_REQUEUED": text}, 0)

    assert len(str(raised.value)) < 120


def test_progress_is_read_from_the_report():
    """Cancelled images count by the bytes they sent."""
    change = SimpleNamespace(mirror="a")
    report = Report(
        "x",
        (
            Outcome(change, Result.COPIED, bytes_copied=5, blobs_mounted=1),
            Outcome(change, Result.DELETED),
            Outcome(change, Result.REMAINING, bytes_copied=2, blobs_present=3),
            Outcome(change, Result.KEPT),
        ),
    )

    assert Progress.of(report) == Progress(copied=1, deleted=1, bytes_copied=7, blobs_mounted=1, blobs_present=3)
