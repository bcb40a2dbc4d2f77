"""
The services that start the next run, each as the one POST that it takes.

Spec: GitHub REST "Create a workflow dispatch event"; GitLab "Pipeline trigger tokens API"; Travis CI API v3 "Trigger builds".
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from imgsync.errors import UsageError
from imgsync.requeue.model import REQUEUED_VARIABLE, NextRun
from imgsync.requeue.trigger import Post

TOKEN_VARIABLE = "IMGSYNC_REQUEUE_TOKEN"  # noqa: S105 - where it is, not what it is
TRAVIS_URL_VARIABLE = "IMGSYNC_REQUEUE_URL"
WEBHOOK_FORMAT = "imgsync.requeue/v1"
_GITHUB_API_VERSION = "2022-11-28"
_WORKFLOW = re.compile(r"(?P<repository>[^/@]+/[^/@]+)/\.github/workflows/(?P<file>[^/@]+)@.+")
# In a query, what is at least so long is taken for a secret; shorter words are others' words too, and would be hidden wherever they stand.
_LONG_AS_A_TOKEN = 16
_PLACES = {
    "github": "GitHub Actions sets it; elsewhere set it by hand",
    "gitlab": "GitLab CI sets it; elsewhere set it by hand",
    "travis": "Travis CI sets it; elsewhere set it by hand",
}


def github(environ: Mapping[str, str]) -> Post:
    """Return the POST that dispatches this run's own workflow on its own branch or tag."""
    repository, workflow_ref, ref = _needed(environ, "github", "GITHUB_REPOSITORY", "GITHUB_WORKFLOW_REF", "GITHUB_REF_NAME")
    token = _token(environ, "github", "GITHUB_TOKEN", "GH_TOKEN")
    workflow = _WORKFLOW.fullmatch(workflow_ref)
    if workflow is None or workflow["repository"].lower() != repository.lower():
        raise UsageError(
            f"GITHUB_WORKFLOW_REF is {workflow_ref[:200]!r}, which names no workflow of {repository}",
            hint="it looks like OWNER/REPOSITORY/.github/workflows/FILE@REF; a workflow of another repository cannot be dispatched in this one",
        )
    if environ.get("GITHUB_REF", "").startswith("refs/pull/"):
        raise UsageError("--requeue github: a pull request's run has no branch to start the next run on", hint="apply on a branch, or leave --requeue out")
    base = _base(environ.get("GITHUB_API_URL") or "https://api.github.com", "GITHUB_API_URL")
    return Post(
        url=f"{base}/repos/{quote(repository)}/actions/workflows/{quote(workflow['file'], safe='')}/dispatches",
        headers=(
            ("Accept", "application/vnd.github+json"),
            ("X-GitHub-Api-Version", _GITHUB_API_VERSION),
            ("Authorization", f"Bearer {token}"),
            ("Content-Type", "application/json"),
        ),
        body=lambda next_run: _json({"ref": ref, "inputs": {"requeued": str(next_run.number)}}),
        accepted=frozenset({200, 204}),
        hints={
            401: "the token is not known or no longer valid; GITHUB_TOKEN lives as long as its job",
            403: "the token may not do this: it needs `permissions: {actions: write}`",
            404: "the token does not see this repository or workflow: it needs `permissions: {actions: write}`",
            422: "the workflow needs `on: workflow_dispatch` with an input `requeued`, on this very branch, and passes it on as IMGSYNC_REQUEUED",
        },
        secrets=(token,),
    )


def gitlab(environ: Mapping[str, str]) -> Post:
    """Return the POST that triggers a pipeline of this run's own project on its own branch or tag."""
    url, project, ref = _needed(environ, "gitlab", "CI_API_V4_URL", "CI_PROJECT_ID", "CI_COMMIT_REF_NAME")
    token = _token(environ, "gitlab", "CI_JOB_TOKEN")
    return Post(
        url=f"{_base(url, 'CI_API_V4_URL')}/projects/{quote(project, safe='')}/trigger/pipeline",
        headers=(("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")),
        body=lambda next_run: urlencode({"token": token, "ref": ref, f"variables[{REQUEUED_VARIABLE}]": next_run.number}).encode(),
        accepted=frozenset({201}),
        hints={
            400: "the project must let the token's user set pipeline variables (Settings > CI/CD > Variables), and a job must run in triggered pipelines",
            401: "the token is not valid; a job's token lives as long as its job",
            403: "the token may not start pipelines of this project; a trigger token in IMGSYNC_REQUEUE_TOKEN can",
            404: "the token is no trigger token of this project, or its user does not see it",
        },
        secrets=(token,),
    )


def travis(environ: Mapping[str, str]) -> Post:
    """Return the POST that requests a build of this run's own branch. IMGSYNC_REQUEUE_URL names the API of a Travis CI Enterprise."""
    slug, branch = _needed(environ, "travis", "TRAVIS_REPO_SLUG", "TRAVIS_BRANCH")
    token = _token(environ, "travis", "TRAVIS_API_TOKEN")
    if environ.get("TRAVIS_PULL_REQUEST", "false") not in {"", "false"}:
        raise UsageError("--requeue travis: a pull request's build has no branch to start the next run on", hint="apply on a branch, or leave --requeue out")

    def body(next_run: NextRun) -> bytes:
        # The mode that keeps what .travis.yml declares in `env.global`, where its secrets are; `deep_merge` would put ours in their place.
        variables = {"env": {"global": [f"{REQUEUED_VARIABLE}={next_run.number}"]}}
        message = f"imgsync: requeue {next_run.number}, {next_run.remaining} changes left"
        return _json({"request": {"branch": branch, "message": message, "merge_mode": "deep_merge_append", "config": variables}})

    return Post(
        url=f"{_base(environ.get(TRAVIS_URL_VARIABLE) or 'https://api.travis-ci.com', TRAVIS_URL_VARIABLE)}/repo/{quote(slug, safe='')}/requests",
        headers=(
            ("Accept", "application/json"),
            ("Travis-API-Version", "3"),
            ("Authorization", f"token {token}"),
            ("Content-Type", "application/json"),
        ),
        body=body,
        accepted=frozenset({202}),
        hints={
            401: "the token is not valid; `travis token` tells yours",
            403: "the token's user needs push access to this repository",
            404: "the token's user does not see this repository",
            429: "Travis CI takes so many build requests an hour for a repository, and no more",
        },
        secrets=(token,),
    )


def webhook(text: str, environ: Mapping[str, str]) -> Post:
    """
    Return the POST to an address of the operator's own.

    A login goes along as IMGSYNC_REQUEUE_TOKEN (Bearer) or as NAME:PASSWORD in the address (Basic), over https or on this machine alone.

    Raises:
        UsageError: It is no http address, brings two logins, or one that would go out in the open.
    """
    url = _base(text, "TARGET", login=True)
    parts = urlsplit(url)
    token = _printable(environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if "@" in parts.netloc else ""
    if token and login:
        raise UsageError(f"--requeue: its address brings a login, and so does {TOKEN_VARIABLE}", hint="keep one of the two")
    if (token or login) and not _is_private_way(url):
        raise UsageError(f"--requeue {_shown(url)}: a login would go there in the open", hint="use https")
    basic = base64.b64encode(login.encode()).decode()
    authorization = (("Authorization", f"Bearer {token}"),) if token else (("Authorization", f"Basic {basic}"),) if login else ()
    in_query = (parts.query, *(value for _, value in parse_qsl(parts.query) if len(value) >= _LONG_AS_A_TOKEN))
    return Post(
        url=urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, "")),
        headers=(("Accept", "*/*"), ("Content-Type", "application/json"), *authorization),
        body=lambda next_run: _json(
            {"format": WEBHOOK_FORMAT, "plan_id": next_run.plan_id, "remaining": next_run.remaining, "requeued": next_run.number},
        ),
        accepted=frozenset(range(200, 300)),
        hints={401: f"{TOKEN_VARIABLE} is what is sent as `Authorization: Bearer`"},
        secrets=tuple(secret for secret in (token, login, unquote(parts.password or ""), *in_query) if secret),
    )


SERVICES: Mapping[str, Callable[[Mapping[str, str]], Post]] = {"github": github, "gitlab": gitlab, "travis": travis}


def _needed(environ: Mapping[str, str], service: str, *names: str) -> tuple[str, ...]:
    """Return what the variables *names* hold, all of them; missing ones are told at once."""
    missing = [name for name in names if not environ.get(name, "").strip()]
    if missing:
        raise UsageError(f"--requeue {service} needs {', '.join(missing)}", hint=_PLACES[service])
    return tuple(environ[name].strip() for name in names)


def _token(environ: Mapping[str, str], service: str, *names: str) -> str:
    """Return the first token there is, IMGSYNC_REQUEUE_TOKEN before *names*."""
    hints = {
        "github": "in the workflow: `env: {GITHUB_TOKEN: ${{ github.token }}}` and `permissions: {actions: write}`",
        "gitlab": "jobs have CI_JOB_TOKEN; elsewhere make a trigger token (Settings > CI/CD > Pipeline trigger tokens)",
        "travis": "`travis token` tells it; add it to the repository's settings as a hidden variable",
    }
    for name in (TOKEN_VARIABLE, *names):
        if token := _printable(environ.get(name, ""), name):
            return token
    raise UsageError(f"--requeue {service} needs a token, in {' or '.join((TOKEN_VARIABLE, *names))}", hint=hints[service])


def _printable(token: str, name: str) -> str:
    """Return *token* without the line end that secrets are pasted with; what cannot be in a header is not sent, and not shown."""
    token = token.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(f"{name} holds characters that no token has", hint="set it again, without quotes or line breaks")
    return token


def _base(url: str, name: str, *, login: bool = False) -> str:
    """Return *url* as the start of others, no slash at its end; unless *login*, a token is sure to go there."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"--requeue: {name} is no http or https address", hint="it looks like https://ci.example/api")
    if login:
        return url
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"--requeue: {name} has a login, a query or a fragment, where only an address may be", hint=f"put the token into {TOKEN_VARIABLE}")
    if not _is_private_way(url):
        raise UsageError(f"--requeue: {name} is {_shown(url)}, and the token would go there in the open", hint="use https, or let a command call it")
    return url.rstrip("/")


def _is_private_way(url: str) -> bool:
    """Return whether nobody on the way can read along: TLS, or this machine alone."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
