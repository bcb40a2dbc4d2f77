"""
The request that starts a run, for each CI service.

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

TOKEN_VARIABLE = "IMGSYNC_REQUEUE_TOKEN"  # noqa: S105 - the name of the variable
TRAVIS_URL_VARIABLE = "IMGSYNC_REQUEUE_URL"
WEBHOOK_FORMAT = "imgsync.requeue/v1"
_GITHUB_API_VERSION = "2022-11-28"
_WORKFLOW = re.compile(r"(?P<repository>[^/@]+/[^/@]+)/\.github/workflows/(?P<file>[^/@]+)@.+")
# A value in a query that is at least this long is hidden as a secret. Hiding shorter words would damage other text.
_SECRET_LENGTH = 16
_VARIABLE_HINTS = {
    "github": "GitHub Actions sets it; elsewhere set it yourself",
    "gitlab": "GitLab CI sets it; elsewhere set it yourself",
    "travis": "Travis CI sets it; elsewhere set it yourself",
}


def make_github_post(environ: Mapping[str, str]) -> Post:
    """Return the POST that dispatches this workflow on the same branch."""
    repository, workflow_ref, ref = _require(environ, "github", "GITHUB_REPOSITORY", "GITHUB_WORKFLOW_REF", "GITHUB_REF_NAME")
    token = _find_token(environ, "github", "GITHUB_TOKEN", "GH_TOKEN")
    workflow = _WORKFLOW.fullmatch(workflow_ref)
    if workflow is None or workflow["repository"].lower() != repository.lower():
        raise UsageError(
            f"GITHUB_WORKFLOW_REF is {workflow_ref[:200]!r}, which is not a workflow of {repository}",
            hint="expected OWNER/REPOSITORY/.github/workflows/FILE@REF; a workflow of another repository cannot be dispatched",
        )
    if environ.get("GITHUB_REF", "").startswith("refs/pull/"):
        raise UsageError("--requeue github: the run of a pull request has no branch for the next run", hint="apply on a branch, or remove --requeue")
    base = _check_url(environ.get("GITHUB_API_URL") or "https://api.github.com", "GITHUB_API_URL")
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
            401: "the token is invalid or expired; GITHUB_TOKEN is valid during its job",
            403: "the token needs `permissions: {actions: write}`",
            404: "the token has no access to this repository or workflow; it needs `permissions: {actions: write}`",
            422: "on this branch, the workflow needs `on: workflow_dispatch` with an input `requeued`, passed on as IMGSYNC_REQUEUED",
        },
        secrets=(token,),
    )


def make_gitlab_post(environ: Mapping[str, str]) -> Post:
    """Return the POST that triggers a pipeline of the same branch."""
    url, project, ref = _require(environ, "gitlab", "CI_API_V4_URL", "CI_PROJECT_ID", "CI_COMMIT_REF_NAME")
    token = _find_token(environ, "gitlab", "CI_JOB_TOKEN")
    return Post(
        url=f"{_check_url(url, 'CI_API_V4_URL')}/projects/{quote(project, safe='')}/trigger/pipeline",
        headers=(("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")),
        body=lambda next_run: urlencode({"token": token, "ref": ref, f"variables[{REQUEUED_VARIABLE}]": next_run.number}).encode(),
        accepted=frozenset({201}),
        hints={
            400: "the token's user must be allowed to set pipeline variables (Settings > CI/CD > Variables), and a job must run in triggered pipelines",
            401: "the token is invalid or expired; CI_JOB_TOKEN is valid during its job",
            403: "the token may not start pipelines of this project; set a trigger token in IMGSYNC_REQUEUE_TOKEN",
            404: "the token is not a trigger token of this project, or its user has no access",
        },
        secrets=(token,),
    )


def make_travis_post(environ: Mapping[str, str]) -> Post:
    """Return the POST that requests a build of the same branch."""
    slug, branch = _require(environ, "travis", "TRAVIS_REPO_SLUG", "TRAVIS_BRANCH")
    token = _find_token(environ, "travis", "TRAVIS_API_TOKEN")
    if environ.get("TRAVIS_PULL_REQUEST", "false") not in {"", "false"}:
        raise UsageError("--requeue travis: the build of a pull request has no branch for the next run", hint="apply on a branch, or remove --requeue")

    def body(next_run: NextRun) -> bytes:
        # `deep_merge` would replace `env.global` of .travis.yml, which contains secrets; `deep_merge_append` extends it.
        variables = {"env": {"global": [f"{REQUEUED_VARIABLE}={next_run.number}"]}}
        message = f"imgsync: requeue {next_run.number}, {next_run.remaining} changes left"
        return _json({"request": {"branch": branch, "message": message, "merge_mode": "deep_merge_append", "config": variables}})

    return Post(
        url=f"{_check_url(environ.get(TRAVIS_URL_VARIABLE) or 'https://api.travis-ci.com', TRAVIS_URL_VARIABLE)}/repo/{quote(slug, safe='')}/requests",
        headers=(
            ("Accept", "application/json"),
            ("Travis-API-Version", "3"),
            ("Authorization", f"token {token}"),
            ("Content-Type", "application/json"),
        ),
        body=body,
        accepted=frozenset({202}),
        hints={
            401: "the token is invalid; `travis token` prints yours",
            403: "the token's user needs push access to this repository",
            404: "the token's user has no access to this repository",
            429: "Travis CI limits the build requests per hour of a repository",
        },
        secrets=(token,),
    )


def make_webhook_post(text: str, environ: Mapping[str, str]) -> Post:
    """
    Return the POST to a webhook at *text*.

    Credentials are IMGSYNC_REQUEUE_TOKEN (Bearer) or NAME:PASSWORD in the address (Basic). They require https, or this machine.

    Raises:
        UsageError: The address is invalid, there are two credentials, or they would be sent unencrypted.
    """
    url = _check_url(text, "TARGET", login=True)
    parts = urlsplit(url)
    token = _clean_token(environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if "@" in parts.netloc else ""
    if token and login:
        raise UsageError(f"--requeue: credentials are both in the address and in {TOKEN_VARIABLE}", hint="remove one of them")
    if (token or login) and not _is_confidential(url):
        raise UsageError(f"--requeue {_hide_secrets(url)}: credentials would be sent unencrypted", hint="use https")
    basic = base64.b64encode(login.encode()).decode()
    authorization = (("Authorization", f"Bearer {token}"),) if token else (("Authorization", f"Basic {basic}"),) if login else ()
    in_query = (parts.query, *(value for _, value in parse_qsl(parts.query) if len(value) >= _SECRET_LENGTH))
    return Post(
        url=urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, "")),
        headers=(("Accept", "*/*"), ("Content-Type", "application/json"), *authorization),
        body=lambda next_run: _json(
            {"format": WEBHOOK_FORMAT, "plan_id": next_run.plan_id, "remaining": next_run.remaining, "requeued": next_run.number},
        ),
        accepted=frozenset(range(200, 300)),
        hints={401: f"{TOKEN_VARIABLE} is sent as `Authorization: Bearer`"},
        secrets=tuple(secret for secret in (token, login, unquote(parts.password or ""), *in_query) if secret),
    )


SERVICES: Mapping[str, Callable[[Mapping[str, str]], Post]] = {"github": make_github_post, "gitlab": make_gitlab_post, "travis": make_travis_post}


def _require(environ: Mapping[str, str], service: str, *names: str) -> tuple[str, ...]:
    """Return the values of the variables *names*."""
    missing = [name for name in names if not environ.get(name, "").strip()]
    if missing:
        raise UsageError(f"--requeue {service} needs {', '.join(missing)}", hint=_VARIABLE_HINTS[service])
    return tuple(environ[name].strip() for name in names)


def _find_token(environ: Mapping[str, str], service: str, *names: str) -> str:
    """Return the first token found, in IMGSYNC_REQUEUE_TOKEN or in *names*."""
    hints = {
        "github": "in the workflow: `env: {GITHUB_TOKEN: ${{ github.token }}}` and `permissions: {actions: write}`",
        "gitlab": "jobs have CI_JOB_TOKEN; elsewhere create a trigger token (Settings > CI/CD > Pipeline trigger tokens)",
        "travis": "`travis token` prints it; add it to the repository's settings as a hidden variable",
    }
    for name in (TOKEN_VARIABLE, *names):
        if token := _clean_token(environ.get(name, ""), name):
            return token
    raise UsageError(f"--requeue {service} needs a token, in {' or '.join((TOKEN_VARIABLE, *names))}", hint=hints[service])


def _clean_token(token: str, name: str) -> str:
    """Return *token* without surrounding whitespace, if it is valid."""
    token = token.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(f"{name} contains characters that are invalid in a token", hint="set it again, without quotes or line breaks")
    return token


def _check_url(url: str, name: str, *, login: bool = False) -> str:
    """Return *url* without a trailing slash, if a token may go there."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"--requeue: {name} is not an http or https address", hint="expected an address like https://ci.example/api")
    if login:
        return url
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"--requeue: {name} must not contain credentials, a query or a fragment", hint=f"set the token in {TOKEN_VARIABLE}")
    if not _is_confidential(url):
        raise UsageError(f"--requeue: {name} is {_hide_secrets(url)}, so the token would be sent unencrypted", hint="use https, or use a command")
    return url.rstrip("/")


def _is_confidential(url: str) -> bool:
    """Return whether a request uses TLS or stays on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _hide_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
