"""The pages show how everything stands, escaped and in pages, without a script."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from imgsync.errors import FileError
from imgsync.plan.model import Action, Plan, PlanError
from imgsync.serve.views import MirrorState
from tests.support import board as boards
from tests.support.hostile_text import EVIL, obeyed

BOARDS = ["busy_board", "troubled_board", "empty_board", "starting_board", "fresh_board", "calm_board", "hostile_board"]
_INLINE = {"a", "b", "code", "i", "time", "wbr"}


class _Elements(HTMLParser):
    """What a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.text += "" if tag in _INLINE else " "
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        self.text += "" if tag in _INLINE else " "

    def handle_data(self, data):
        self.text += data


def text_of(page: str) -> str:
    """Return the text of a page, blanks as one."""
    return " ".join(_Elements(page).text.split())


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("path", ["/", "/runs", "/plan", "/login"])
def test_every_board_has_every_page(name, path, site):
    """Also before the first run, and with hostile names."""
    answer = site(getattr(boards, name)()).get(path)

    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"


def test_overview_shows_each_mirror_the_worst_first(site):
    """With its state, counts, last success and next run."""
    page = site().get("/").text

    assert re.findall(r'scope="row"><a href="/mirrors/([a-z-]+)">', page) == [
        "postgres",
        "vendor",
        "kubernetes",
        "monitoring",
        "new-team",
        "archive",
        "base-images",
    ]
    text = text_of(page)
    assert "1 mirror failing, 1 with refused tags" in text
    assert "postgres Failing docker.io/library/postgres 1 failing 4 in step" in text
    assert "4 in step list tags docker.io/library/postgres (source): 429 TOOMANYREQUESTS" in text, "the reason is where the failure is"
    assert "Last success 2 days ago 4 failed runs Next run in 3 min" in text


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("calm_board", "All 3 mirrors are in step"),
        ("empty_board", "No mirrors are declared"),
        ("starting_board", "Starting"),
        ("fresh_board", "3 mirrors not checked yet"),
    ],
)
def test_headline_says_how_everything_stands(name, headline, site):
    """In one sentence."""
    assert headline in text_of(site(getattr(boards, name)()).get("/").text)


@pytest.mark.parametrize(
    ("wrong", "headline"),
    [
        ({"errors": (FileError("mirrors.d/a.yaml", 3, 1, "", "invalid YAML"),)}, "The newest declarations have errors"),
        ({"fault": "the folder cannot be read"}, "The declarations cannot be read"),
    ],
)
def test_headline_is_not_green_with_broken_declarations(wrong, headline, site):
    """Although every mirror is in step with the last good ones."""
    board = boards.calm_board()
    board.configuration = replace(board.configuration, **wrong)

    page = site(board).get("/").text

    assert '<h1 class="errors">' in page
    assert headline in text_of(page)


def test_suspended_mirror_says_how_to_resume(site):
    """And has no buttons, which would be refused."""
    board = boards.calm_board()
    mirror = next(iter(board.mirrors.values()))
    board.mirrors[mirror.name] = replace(mirror, state=MirrorState.SUSPENDED, counts={})
    one = site(board)
    one.log_in()

    page = one.get(f"/mirrors/{mirror.name}").text

    assert "/actions/" not in page
    assert f"To resume it, remove suspend in {mirror.file}:{mirror.line}." in text_of(page)


def test_mirrors_are_found_by_state_and_words(site):
    """With GET parameters alone; an unknown state shows all."""
    site = site()

    assert re.findall(r'scope="row"><a href="/mirrors/([a-z-]+)">', site.get("/?state=failing").text) == ["postgres"]
    assert re.findall(r'scope="row"><a href="/mirrors/([a-z-]+)">', site.get("/?q=QUAY.io+archive").text) == ["archive"]
    assert "No mirror fits" in site.get("/?q=nothing-like-it").text
    assert len(re.findall(r'scope="row"><a href="/mirrors/', site.get("/?state=bogus").text)) == 7


def test_faults_of_the_declarations_have_file_and_line(site):
    """And the page says that the last good ones stay in use."""
    text = text_of(site(boards.troubled_board()).get("/").text)

    assert "Where mirrors.d/kubernetes.yaml:14:7 Error mirrors[0].tags.semvr: unknown setting What to do did you mean 'semver'?" in text
    assert "The last good declarations, 4f9c1a7be0, stay in use until b81d20c4a9 is corrected." in text
    assert "the state .imgsync/state is locked by process 4711 on build-7" in text


def test_run_under_way_is_shown_with_progress(site):
    """In words, with a bar, and with the images that are copied now."""
    page = site(boards.troubled_board()).get("/").text

    assert "Applying kubernetes Begun just now by an event 6 of 12 images done 1.2 GiB of 2.3 GiB kube-apiserver:v1.35.1 18.0 MiB of 31.0 MiB" in text_of(page)
    assert '<progress data-live="bar" aria-label="Progress of the run" max="2469606195" value="1288490189">' in page


def test_pages_reload_without_script_only_during_a_run(site):
    """Every five seconds."""
    reload = '<noscript><meta http-equiv="refresh" content="5"></noscript>'

    assert reload not in site().get("/").text
    assert reload in site(boards.troubled_board()).get("/").text


def test_mirror_page_has_facts_errors_tags_and_runs(site):
    """What failed says what to do."""
    text = text_of(site().get("/mirrors/postgres").text)

    assert "What happened list tags docker.io/library/postgres (source): 429 TOOMANYREQUESTS" in text
    assert "What to do log in to docker.io for a higher limit, or set rate in registries.yaml" in text
    assert "Declared in mirrors.d/postgres.yaml:4" in text
    assert "3 tags are not versions and were set aside" in text
    assert "registry.internal:5000/postgres:18.2 from docker.io/library/postgres:18.2 Failing push blob" in text
    assert "1 h ago by the schedule With problems 14 copied, 249 in step, 1 failed" in text


def test_tags_are_shown_a_hundred_at_a_time(site):
    """With a filter and a search that stay on the next page."""
    site = site()
    first, second = site.get("/mirrors/kubernetes").text, site.get("/mirrors/kubernetes?page=2").text

    assert first.count("<small>from ") == 100
    assert second.count("<small>from ") == 55
    assert "1–100 of 155" in first
    assert 'href="/mirrors/kubernetes?page=2"' in first
    assert site.get("/mirrors/kubernetes?state=pending").text.count("<small>from ") == 2
    assert site.get("/mirrors/kubernetes?q=coredns").text.count("<small>from ") == 12
    assert 'href="/mirrors/kubernetes?state=in_step&amp;q=kube&amp;page=2"' in site.get("/mirrors/kubernetes?q=KUBE&state=in_step").text


@pytest.mark.row("SRV-12")
@pytest.mark.parametrize("page", ["0", "-1", "99999999999999999999", "2.5", "x", "1_0", "٣", "1" * 5000])
def test_pages_that_are_not_there_are_the_nearest_ones(page, site):
    """Whatever the query says costs no more than a page."""
    answer = site().get(f"/mirrors/kubernetes?page={quote(page)}&q={'a ' * 3}")

    assert answer.status_code == 200


def test_run_page_says_what_failed_and_what_moved(site):
    """Failures first, each with what to do."""
    site = site()
    run = site.parts.board.runs[1]
    text = text_of(site.get(f"/runs/{run.id}").text)

    assert "What failed 2" in text
    assert "What happened push blob registry.internal:5000/postgres (destination): 507 no space left What to do free space at the registry" in text
    assert "What moved 26" in text
    assert "registry.internal:5000/kubernetes/kube-apiserver:v1.0.0 from registry.k8s.io/kube-apiserver:v1.0.0 Copied" in text
    assert "… and 12 more." in text


def test_runs_are_listed_newest_first(site):
    """All, or those of one mirror."""
    site = site()

    assert re.findall(r'href="/runs/([^"]+)"', site.get("/runs").text) == [run.id for run in site.parts.board.runs]
    assert len(re.findall(r'href="/runs/', site.get("/runs?mirror=vendor").text)) == 4


def test_plan_page_shows_changes_by_action(site):
    """Kept tags are only counted."""
    site = site()
    text = text_of(site.get("/plan").text)

    assert "3 changes pending" in text
    assert "registry.internal:5000/kubernetes/pause:3.10 from registry.k8s.io/pause:3.10 kubernetes On hold min_age; until 2026-12-02T08:00:00Z" in text
    assert site.get("/plan?state=delete").text.count("<small>from ") == 1


def test_plan_page_says_that_nothing_is_pending(site):
    """And how many tags are in step."""
    board = boards.calm_board()
    board.plan = Plan((boards.make_change(Action.KEEP, "a", "s.io/a:1", "r.io/a:1"),))

    assert "The only tag is in step" in text_of(site(board).get("/plan").text)


@pytest.mark.parametrize("path", ["/mirrors/nope", "/runs/nope", "/nope", "/static/nope.css", "/static/..%2fapp.py", "//evil.example/x", "/mirrors/"])
def test_unknown_pages_are_404(path, site):
    """With a page that leads back."""
    answer = site().get(path)

    assert answer.status_code == 404
    assert 'href="/"' in answer.text


def test_other_methods_are_refused(site):
    """With those that are allowed."""
    answer = site().client.delete("/", headers={"Host": "localhost"})

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


@pytest.mark.row("SRV-08")
@pytest.mark.parametrize("path", ["/", "/runs", "/plan", "mirror", "run"])
def test_hostile_names_are_text_in_pages(path, site):
    """No element, attribute or address comes from a name, and no invisible character is left."""
    board = boards.hostile_board()
    clean = _Elements(site(boards.troubled_board()).get("/mirrors/postgres" if path == "mirror" else "/" if path == "run" else path).text)
    if path == "run":
        board.documents = {run.id: boards.make_document(run, errors=[{"mirror": EVIL, "reference": EVIL, "message": EVIL}]) for run in board.runs}
    # No name of a mirror has several lines or begins with a slash.
    names = [name for name in board.mirrors if "\n" not in name and name[0] != "/"]
    paths = {"mirror": [f"/mirrors/{quote(name, safe='')}" for name in names], "run": [f"/runs/{run.id}" for run in board.runs[:3]]}.get(path, [path])
    hostile = site(board)
    for one in paths:
        answer = hostile.get(one)
        assert answer.status_code == 200, one
        found = _Elements(answer.text)
        assert set(found.tags) <= set(clean.tags) | {
            "p",
            "code",
            "i",
            "wbr",
            "small",
            "ul",
            "li",
            "b",
            "progress",
            "section",
            "time",
            "br",
            "select",
            "option",
            "table",
        }
        assert found.tags.count("script") == 1
        assert {name for name, _ in found.attributes if name.startswith("on")} == set()
        assert all(value.startswith(("/", "#")) for name, value in found.attributes if name in {"href", "src", "action", "formaction"})
        assert obeyed(answer.text) == []


@pytest.mark.row("SRV-11")
def test_secrets_are_hidden_in_pages_and_documents(site):
    """Also where a registry echoes one."""
    board = boards.busy_board()
    secret = "s3cr3t-of-a-registry"
    board.problems = [f"login with {secret} failed"]
    board.add(boards.make_mirror("leak", f"r.io/{secret}", description=secret, notes=(secret,), state=MirrorState.FAILING))
    board.documents = {run.id: boards.make_document(run, errors=[{"mirror": "leak", "reference": secret, "message": secret}]) for run in board.runs}
    site = site(board)
    for path in (
        "/",
        "/mirrors/leak",
        f"/runs/{board.runs[0].id}",
        "/api/v1/status",
        "/api/v1/mirrors",
        "/api/v1/mirrors/leak",
        f"/api/v1/runs/{board.runs[0].id}",
    ):
        answer = site.get(path)
        assert answer.status_code == 200
        assert secret not in answer.text
        assert "***" in answer.text


@pytest.mark.row("SRV-09")
def test_every_answer_has_the_security_headers(site):
    """Errors, redirects, documents and files too."""
    for path in ("/", "/nope", "/api/v1/status", "/metrics", "/healthz", "/login", "/api/v1/nope"):
        headers = site().get(path).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Server" not in headers


def test_files_of_the_pages_are_kept_by_browsers(site):
    """Each under an address of its content; another version is not kept."""
    site = site()
    page = site.get("/").text
    for address in set(re.findall(r'"(/static/[^"]+)"', page)):
        assert site.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert site.get(f"{address}x").headers["Cache-Control"] == "no-store"


def test_pages_have_no_inline_script_or_style(site):
    """Since the policy allows neither."""
    for path in ("/", "/mirrors/kubernetes", "/plan", "/runs", "/login"):
        found = _Elements(site(boards.troubled_board()).get(path).text)
        assert not {name for name, _ in found.attributes if name == "style" or name.startswith("on")}
        assert "style" not in found.tags


def test_mirror_that_could_not_be_checked_does_not_claim_to_be_empty(site):
    """Nobody knows which tags it selects."""
    board = boards.calm_board()
    mirror = next(iter(board.mirrors.values()))
    error = PlanError(mirror.name, "s.io/app", "cannot connect")
    board.mirrors[mirror.name] = replace(mirror, state=MirrorState.FAILING, counts={}, errors=(error,), checked_at=boards.NOW)

    text = text_of(site(board).get(f"/mirrors/{mirror.name}").text)

    assert "The last check could not tell which tags there are: see above." in text
    assert "No tag is selected" not in text
