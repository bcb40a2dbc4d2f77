"""The pages in Chromium, with and without scripts: clicked through, accessible, live and harmless."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.axe import find_page_violations
from tests.support.board import busy_board, hostile_board
from tests.support.browser import DESK, PHONE, find_chromium
from tests.support.web_server import TOKEN, WebServer, web_server

RUN = busy_board().runs[1].id
# A live page takes a new copy of itself every three seconds; Chromium may wait for others on a busy machine.
expect.set_options(timeout=20_000)
PATHS = ["/", "/?state=failing", "/mirrors/postgres", "/mirrors/kubernetes?page=2", "/runs", f"/runs/{RUN}", "/plan", "/login", "/nope"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with web_server("troubled_board") as found:
        yield found


class Visit:
    """One browser window: what it asked for, and what it complained about."""

    def __init__(self, context: BrowserContext, server: WebServer) -> None:
        """Open a window."""
        self.server = server
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda message: self.complaints.append(message.text) if message.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: None if request.url.startswith(server.url) else self.elsewhere.append(request.url))

    def open(self, path: str) -> Page:
        """Open a page."""
        self.page.goto(f"{self.server.url}{path}")
        return self.page

    def log_in(self) -> Page:
        """Log in by the form."""
        page = self.open("/login")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        expect(page.get_by_role("status")).to_have_text("You are logged in.")
        return page


@pytest.fixture
def visit(browser, server) -> Iterator[Callable[..., Visit]]:
    """Open windows, each with cookies of its own."""
    contexts: list[BrowserContext] = []

    def opened(board: str = "busy_board", *, width: int = DESK, dark: bool = False, scripts: bool = True) -> Visit:
        server.ask("show", board=board)
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", java_script_enabled=scripts, locale="en-GB")
        )
        return Visit(contexts[-1], server)

    yield opened
    for context in contexts:
        context.close()


def is_wider(page: Page) -> bool:
    """Return whether the page has to be moved sideways."""
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_pages_are_accessible(width, dark, visit):
    """axe-core finds nothing, nothing is too wide, no complaint in the console, and no request elsewhere."""
    window = visit("troubled_board", width=width, dark=dark)
    for path in PATHS:
        page = window.open(path)
        assert find_page_violations(page) == [], path
        assert not is_wider(page), path
    assert [text for text in window.complaints if "404" not in text] == []
    assert window.elsewhere == []


@pytest.mark.parametrize("board", ["empty_board", "starting_board", "fresh_board", "calm_board"])
def test_first_pages_of_a_new_process_are_accessible(board, visit):
    """Before there is anything to show."""
    window = visit(board, width=PHONE)
    for path in ("/", "/runs", "/plan"):
        page = window.open(path)
        assert find_page_violations(page) == []
        assert not is_wider(page)
    assert window.complaints == []


@pytest.mark.row("SRV-08", "SRV-09")
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_hostile_names_run_nothing(width, visit):
    """Nor load anything, nor make a page wider than the window."""
    window = visit("hostile_board", width=width)
    name = next(name for name in hostile_board().mirrors if "window.ran" in name)
    for path in ("/", "/runs", "/plan"):
        page = window.open(path)
        assert page.evaluate("window.ran === undefined"), path
        assert not is_wider(page), path
    window.open("/")
    page.get_by_role("link", name=name, exact=True).click()
    assert page.evaluate("window.ran === undefined")
    assert not is_wider(page)
    assert window.complaints == []
    assert window.elsewhere == []


@pytest.mark.row("SRV-09")
def test_what_slipped_into_a_page_would_not_run(visit):
    """Neither script nor style in the page, nor HTML from a string, nor a request to another site."""
    page = visit().open("/")
    attempt = "() => { try { %s; return '' } catch (error) { return error.name } }"
    script = "const one = document.createElement('script'); one.textContent = 'window.ran = 1'; document.body.append(one)"
    style = "const one = document.createElement('b'); one.setAttribute('style', 'color: rgb(255, 0, 0)'); one.id = 'bad'; document.body.append(one)"

    assert page.evaluate(attempt % script) == "TypeError"
    assert page.evaluate(attempt % "document.body.insertAdjacentHTML('beforeend', '<i>x</i>')") == "TypeError"
    assert page.evaluate(attempt % style) == ""
    page.evaluate("() => fetch('http://127.0.0.1:1/').then(() => { window.ran = 2 }, () => {})")
    assert page.evaluate("window.ran === undefined")
    assert page.evaluate("getComputedStyle(document.getElementById('bad')).color !== 'rgb(255, 0, 0)'")


def test_paths_with_scripts(visit, server):
    """Search while typing, one mirror, its tags, its runs, a run; log in, plan, apply, log out."""
    window = visit()
    page = window.open("/")
    page.get_by_label("Name").press_sequentially("quay")
    expect(page.locator(".mirrors tbody tr")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"/\?q=quay$"))
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_label("Name").fill("")
    page.get_by_label("State").select_option("failing")
    expect(page.locator(".mirrors tbody tr")).to_have_count(1)

    page.get_by_role("link", name="postgres", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("postgres")
    expect(page.get_by_text("free space at the registry, then run it again")).to_be_visible()
    page.get_by_role("link", name="Mirrors").first.click()
    page.get_by_role("link", name="kubernetes", exact=True).click()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("101–155 of 155")).to_be_visible()
    page.get_by_role("link", name="1 h ago").click()
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()

    window.log_in()
    page.get_by_role("button", name="Plan now").click()
    expect(page.get_by_role("status")).to_contain_text("A plan was requested.")
    page.get_by_role("link", name="vendor", exact=True).click()
    page.get_by_role("button", name="Apply now").click()
    expect(page.get_by_role("status")).to_contain_text("A run was requested.")
    assert server.ask("look")["requests"] == [[False], ["vendor", True]]
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()
    assert window.complaints == []
    assert window.elsewhere == []


def test_paths_without_scripts(visit, server):
    """The same, by forms and links alone."""
    window = visit(scripts=False)
    page = window.open("/")
    page.get_by_label("Name").fill("quay")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".mirrors tbody th > a")).to_have_text(["monitoring", "archive"])
    page.get_by_role("link", name="monitoring", exact=True).click()
    page.get_by_label("State").select_option("gone")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".tags tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Plan", exact=True).click()
    page.get_by_role("link", name="1 Refused").click()
    expect(page.locator(".changes tbody tr")).to_have_count(1)

    window.log_in()
    page.get_by_role("button", name="Apply now").click()
    expect(page.get_by_role("status")).to_contain_text("A run was requested.")
    assert server.ask("look")["requests"] == [[True]]
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("status")).to_have_text("You are logged out.")


def test_wrong_token_is_told_at_the_field(visit):
    """And read to those who do not see it."""
    window = visit()
    page = window.open("/login")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("main").get_by_role("button", name="Log in").click()

    expect(page.get_by_role("alert")).to_have_text("The token is wrong.")
    assert find_page_violations(page) == []


def test_a_run_shows_its_progress_live(visit, server):
    """It appears, moves on and ends without a reload; what a person types stays."""
    window = visit()
    page = window.open("/")
    page.evaluate("() => { window.stays = true }")
    page.get_by_label("Name").press_sequentially("kube")
    expect(page.locator(".mirrors tbody tr")).to_have_count(1)
    server.ask("run", planned=False)
    expect(page.get_by_role("heading", name="Applying kubernetes")).to_be_visible()
    expect(page.get_by_text("131 of 240 tags looked up")).to_be_visible()
    server.ask("run")
    expect(page.get_by_text("6 of 12 images done")).to_be_visible()
    server.ask("progress", done=9, bytes=2_000_000_000)
    expect(page.get_by_text("9 of 12 images done")).to_be_visible()
    assert page.evaluate("document.querySelector('progress').value") == 2_000_000_000
    assert find_page_violations(page) == []
    server.ask("end")
    expect(page.get_by_role("heading", name="Applying kubernetes")).to_be_hidden()

    assert page.evaluate("window.stays")
    assert page.get_by_label("Name").input_value() == "kube"
    assert window.complaints == []


def test_a_new_fault_appears_live(visit, server):
    """The page of a broken commit shows it without a reload."""
    page = visit().open("/")
    page.evaluate("() => { window.stays = true }")
    server.ask("show", board="troubled_board")

    expect(page.get_by_text("mirrors.d/kubernetes.yaml:14:7")).to_be_visible()
    assert page.evaluate("window.stays")
    assert page.title() == "1 mirror failing, 1 with refused tags · imgsync"


def test_keyboard_reaches_the_content_first(visit):
    """By a link that appears when it has the focus."""
    page = visit().open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    assert page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))
