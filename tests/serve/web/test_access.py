"""Who may read and who may start something: hosts, logins, forms of other sites."""

from __future__ import annotations

import time

import pytest

from imgsync.config.secrets import Secret
from imgsync.config.serve_settings import ServeSettings
from imgsync.serve.web.live import LiveStreams
from imgsync.serve.web.sessions import SESSION_SECONDS, is_token
from tests.serve.web.conftest import OWN
from tests.support import board as boards
from tests.support.board import FixedClock
from tests.support.web_server import TOKEN

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PRIVATE = ["/", "/mirrors/postgres", "/runs", "/plan", "/api/v1/status", "/api/v1/mirrors", "/api/v1/runs", "/api/v1/plan", "/live"]
READING = [*PRIVATE, "/metrics"]


@pytest.mark.row("SRV-03")
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "127.0.0.1.nip.io", "", "[::1", "a b", "127.0.0.1@evil.example"]
)
def test_other_hosts_get_nothing_on_loopback(host, site):
    """A site whose name resolves to this machine reads no page, no document, and starts nothing."""
    site = site()
    for path in READING:
        answer = site.get(path, Host=host)
        assert answer.status_code == 421, (path, host)
        assert "kubernetes" not in answer.text
    assert site.post("/login", {"token": TOKEN}, Host=host).status_code == 421
    assert site.client.post("/api/v1/reconcile", headers={**BEARER, "Host": host}).status_code == 421
    assert site.asked() == []


def test_other_hosts_get_no_page_of_an_error(site):
    """A page of an error shows the run under way, and the form to log out."""
    site = site()
    site.log_in()
    answer = site.get("/nothing", Host="evil.example")
    assert answer.status_code == 404
    assert "<" not in answer.text


def test_large_forms_are_not_read(site):
    """To take one apart costs more than to send it."""
    began = time.process_time()
    assert site().post("/login", {"token": "a=1&" * 200_000}).status_code == 413
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST", "page.example", "page.example:443", "PAGE.example."]
)
def test_own_hosts_are_served_on_loopback(host, site):
    """Loopback names, and those of `serve.hosts`."""
    assert site(hosts=("page.example",)).get("/", Host=host).status_code == 200


@pytest.mark.row("SRV-03")
def test_hosts_elsewhere_are_those_that_are_set(site):
    """Without any, all; with some, those and addresses, which no site can have as its name."""
    assert site(loopback=False).get("/", Host="anything.example").status_code == 200
    one = site(loopback=False, hosts=("page.example",))
    assert one.get("/", Host="page.example").status_code == 200
    assert one.get("/metrics", Host="10.1.2.3:8080").status_code == 200
    assert one.get("/", Host="[fd00::1]:8080").status_code == 200
    assert one.get("/", Host="other.example").status_code == 421
    assert one.get("/healthz", Host="other.example").status_code == 200


def test_forms_need_a_login(site):
    """Without one, they lead to it."""
    site = site()
    answer = site.post("/actions/apply", {"mirror": ""})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2F")
    assert site.asked() == []


def test_login_lets_forms_ask_for_runs(site):
    """Of all mirrors or one; the page says that it is asked for."""
    site = site()
    csrf = site.log_in()

    assert site.post("/actions/plan", {"csrf": csrf, "mirror": ""}).headers["Location"] == "/?notice=plan"
    answer = site.post("/actions/apply", {"csrf": csrf, "mirror": "postgres"})
    assert answer.headers["Location"] == "/mirrors/postgres?notice=apply"
    assert "A run was requested." in site.get(answer.headers["Location"]).text
    assert site.asked() == [((), False), (("postgres",), True)]


@pytest.mark.row("SRV-04")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
        {"Sec-Fetch-Site": "", "Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "", "Origin": "file://localhost:8080"},
        {"Sec-Fetch-Site": ""},
    ],
)
def test_forms_of_other_sites_do_nothing(headers, site):
    """Even with the cookie and the right CSRF token; nor do they log anyone in or out."""
    site = site()
    csrf = site.log_in()

    assert site.post("/actions/apply", {"csrf": csrf}, **headers).status_code == 403
    assert site.post("/logout", {"csrf": csrf}, **headers).status_code == 403
    assert site.post("/login", {"token": TOKEN}, **headers).status_code == 403
    assert site.asked() == []


@pytest.mark.row("SRV-04")
@pytest.mark.parametrize("csrf", ["", "x", "é", "a" * 43])
def test_forms_need_the_token_of_their_session(csrf, site):
    """Also from the right origin."""
    site = site()
    site.log_in()

    assert site.post("/actions/apply", {"csrf": csrf}).status_code == 403
    assert site.asked() == []


def test_origin_is_enough_for_browsers_without_fetch_metadata(site):
    """Over http, browsers send no Sec-Fetch-Site; a proxy may have ended TLS."""
    site = site()
    csrf = site.log_in()
    for origin, host in (("http://localhost:8080", "localhost:8080"), ("https://localhost", "localhost:443"), ("https://localhost", "localhost")):
        headers = {"Sec-Fetch-Site": "", "Origin": origin, "Host": host}
        assert site.post("/actions/plan", {"csrf": csrf}, **headers).headers["Location"] == "/?notice=plan"


@pytest.mark.row("SRV-06")
def test_cookie_of_a_session_is_out_of_reach(site):
    """For scripts, for other sites, and over http if the page has TLS."""
    site = site()
    plain = site.post("/login", {"token": TOKEN}).headers["Set-Cookie"]
    behind_tls = site.post("/login", {"token": TOKEN}, **{"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]

    assert "HttpOnly" in plain
    assert "SameSite=Strict" in plain
    assert "Secure" not in plain
    assert "Secure" in behind_tls
    assert TOKEN not in plain


@pytest.mark.row("SRV-06")
def test_sessions_end_in_time(site):
    """After twelve hours, by logging out, with another token, and the oldest of more than a hundred."""
    clock = FixedClock()
    first = site(clock=clock)
    csrf = first.log_in()
    clock.pass_time(SESSION_SECONDS - 1)
    assert first.post("/actions/plan", {"csrf": csrf}).headers["Location"] == "/?notice=plan"
    clock.pass_time(2)
    assert first.post("/actions/plan", {"csrf": csrf}).headers["Location"].startswith("/login")

    csrf = first.log_in()
    cookie = first.client.get_cookie("imgsync_session").value
    assert first.post("/logout", {"csrf": csrf}).status_code == 303
    first.client.set_cookie("imgsync_session", cookie)
    assert first.post("/actions/plan", {"csrf": csrf}).headers["Location"].startswith("/login")

    csrf = first.log_in()
    old = first.client.get_cookie("imgsync_session").value
    for _ in range(100):
        first.client.delete_cookie("imgsync_session")
        first.log_in()
    first.client.set_cookie("imgsync_session", old)
    assert first.post("/actions/plan", {"csrf": csrf}).headers["Location"].startswith("/login")


@pytest.mark.row("SRV-06")
def test_another_token_ends_all_sessions(site):
    """So that a changed token locks out who had the old one."""
    current = [ServeSettings(Secret(TOKEN))]
    site = site(get_settings=lambda: current[0])
    csrf = site.log_in()
    current[0] = ServeSettings(Secret("another-token"))

    assert site.post("/actions/plan", {"csrf": csrf}).headers["Location"].startswith("/login")


@pytest.mark.parametrize("how", ["log out", "another token"])
def test_stream_ends_with_its_login(how, site):
    """Who may not read any longer does not go on reading what was opened before."""
    current = [ServeSettings(Secret(TOKEN), is_private=True)]
    site = site(get_settings=lambda: current[0])
    csrf = site.log_in()
    pieces = LiveStreams(site.parts, site.app._access)._iter_events(site.client.get("/live", headers=OWN).request)
    assert next(pieces).startswith("retry:")
    if how == "log out":
        site.post("/logout", {"csrf": csrf})
    else:
        current[0] = ServeSettings(Secret("another-token"), is_private=True)
    assert list(pieces) == []


@pytest.mark.row("SRV-06")
def test_a_session_id_that_was_given_is_never_taken_over(site):
    """A cookie that somebody planted before the login is worth nothing after it."""
    site = site()
    site.client.set_cookie("imgsync_session", "planted")
    site.log_in()

    assert site.client.get_cookie("imgsync_session").value != "planted"


@pytest.mark.row("SRV-05")
def test_wrong_tokens_lock_out_no_one(site):
    """Past twenty in a minute they are answered 429. Behind a proxy all clients have one address, so the right token counts still."""
    clock = FixedClock()
    site = site(clock=clock)
    answers = [site.post("/login", {"token": f"guess-{number}"}) for number in range(22)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 2
    assert "The token is wrong." in answers[0].text
    assert site.post("/login", {"token": TOKEN}).status_code == 303
    assert site.client.post("/api/v1/reconcile", headers={**BEARER, "Host": "localhost"}).status_code == 202
    clock.pass_time(61)
    assert site.post("/login", {"token": "guess"}).status_code == 401


@pytest.mark.row("SRV-05")
def test_tokens_are_compared_in_constant_time():
    """A guess that begins right takes no longer than one that does not; lengths do not show."""
    token = Secret("x" * 4000)

    def measure(guess: str) -> float:
        began = time.thread_time()
        for _ in range(100):
            is_token(guess, token)
        return time.thread_time() - began

    right, wrong = "x" * 3999 + "y", "y" * 4000
    # The least of many: others may keep the machine busy.
    pairs = [(measure(right), measure(wrong)) for _ in range(40)]

    assert 0.7 < min(first for first, _ in pairs) / min(second for _, second in pairs) < 1.4
    assert is_token("x" * 4000, token)
    assert not any(is_token(guess, token) for guess in ("", right, "x", "é", "\udcff"))
    assert not is_token("", Secret(""))


@pytest.mark.row("SRV-10")
def test_private_pages_need_a_login(site):
    """A person is led to the form, and from there to the page."""
    site = site(private=True)
    answer = site.get("/mirrors/postgres")

    assert answer.headers["Location"] == "/login?next=%2Fmirrors%2Fpostgres"
    assert site.post("/login", {"token": TOKEN, "next": "/mirrors/postgres"}).headers["Location"] == "/mirrors/postgres?notice=in"
    assert site.get("/mirrors/postgres").status_code == 200


@pytest.mark.row("SRV-10")
@pytest.mark.parametrize("path", PRIVATE)
def test_private_answers_tell_nothing(path, site):
    """Programs need the token; wrong ones get 401. The login page, errors and probes name no mirror."""
    site = site(private=True)
    answer = site.client.get(path, headers={"Host": "localhost"})

    assert answer.status_code in {303, 401}
    assert site.client.get(path, headers={"Host": "localhost", "Authorization": "Bearer wrong"}).status_code == 401
    if path != "/live":
        assert site.client.get(path, headers={"Host": "localhost", **BEARER}).status_code == 200
    for other in ("/login", "/nope", "/healthz", "/readyz", "/static/nope"):
        assert "kubernetes" not in site.get(other).text


@pytest.mark.row("SRV-10")
def test_metrics_name_mirrors_and_no_more(site):
    """Since Prometheus reads them without a token: no registry, image, error or file."""
    text = site(boards.troubled_board(), private=True).get("/metrics").text

    assert 'mirror="postgres"' in text
    for other in ("docker.io", "registry.internal", "git.example", "429", "mirrors.d", "17.5"):
        assert other not in text


@pytest.mark.row("SRV-10")
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "evil", "javascript:alert(1)", "/a\r\nX: y", "/login", "/é"])
def test_login_leads_only_to_own_pages(target, site):
    """Never to another site."""
    assert site().post("/login", {"token": TOKEN, "next": target}).headers["Location"] == "/?notice=in"


def test_without_a_token_nothing_can_be_started(site):
    """The page has no button, and no login."""
    site = site(token="")

    assert "Log in" not in site.get("/").text
    assert site.get("/login").status_code == 404
    assert site.post("/login", {"token": ""}).status_code == 401
    for token in ("", "x"):
        assert site.client.post("/api/v1/reconcile", headers={"Host": "localhost", "Authorization": f"Bearer {token}"}).status_code == 401


def test_only_plan_has_no_apply(site):
    """No button, and no answer to a form or a program that asks all the same."""
    board = boards.busy_board()
    board.only_plans = True
    site = site(board)
    csrf = site.log_in()

    assert "Apply now" not in site.get("/").text
    assert "Plan now" in site.get("/").text
    assert site.post("/actions/apply", {"csrf": csrf}).status_code == 403
    assert site.client.post("/api/v1/reconcile", json={"apply": True}, headers={"Host": "localhost", **BEARER}).status_code == 403
    assert site.asked() == []


@pytest.mark.parametrize(("mirror", "status"), [("nope", 404), ("archive", 409), ("*", 404)])
def test_runs_of_unknown_or_suspended_mirrors_are_refused(mirror, status, site):
    """Names are names, not patterns."""
    site = site()
    csrf = site.log_in()

    assert site.post("/actions/plan", {"csrf": csrf, "mirror": mirror}).status_code == status
    assert site.asked() == []


@pytest.mark.row("SRV-10")
def test_login_of_a_private_page_shows_no_run(site):
    """Neither that one is under way, nor its id."""
    board = boards.busy_board()
    boards.start_run(board)
    text = site(board, private=True).get("/login").text

    assert board.running.order.id not in text
    assert "data-version" not in text
    assert 'http-equiv="refresh"' not in text
