"""The built site, in a browser at the widths of a desk and of a phone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import filelock
import pytest

import imgsync
from tests.support.browser import DESK, PHONE, Browser, open_browser
from tests.support.effort import NIGHTLY
from tests.test_docs import PAGES, ROOT

pytestmark = pytest.mark.xdist_group("site")

REPOSITORY = "https://git.example.com/company/imgsync"
_SCROLLS = "document.scrollingElement.scrollWidth > innerWidth"
_WIDEST = "[...document.querySelectorAll('[data-page]')].sort((a, b) => b.scrollWidth - a.scrollWidth)[0].dataset.page"
_CUT_OFF = "[...document.querySelectorAll('pre > code')].filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText.slice(0, 200))"
_BOTTOMS = "[...document.querySelectorAll('article > p:first-of-type, .highlight, picture img')].map(one => one.getBoundingClientRect().bottom)"
_COPY = """
new Promise(resolve => {
  navigator.clipboard.writeText = text => { resolve(text); return Promise.resolve() }
  document.addEventListener('copy', event => resolve(document.getSelection().toString() || document.activeElement.value), {once: true})
  document.querySelectorAll('.highlight button')[%d].click()
})
"""


@pytest.fixture(scope="module")
def site(shared_folder) -> Path:
    """Return the folder of the site, which the first worker builds for all."""
    folder = shared_folder / "site"
    with filelock.FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            _build(folder.with_suffix(".unfinished")).rename(folder)
    return folder


def _build(folder: Path) -> Path:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "IMGSYNC_REPOSITORY": REPOSITORY}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a running browser."""
    with open_browser() as running:
        yield running


def built_pages(site: Path) -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}


def test_site_is_whole_and_self_contained(site):
    """All pages are there, and none loads a script, style or font from elsewhere."""
    built = {path.relative_to(site): html for path, html in built_pages(site).items()}
    elsewhere = r"[\"']?(?:https?:)?//"
    loaded = re.compile(
        rf"<(?:script|img|iframe|source)[^>]+src(?:set)?={elsewhere}|<link[^>]+rel=[\"']?(?:stylesheet|preconnect|preload)[^>]+href={elsewhere}"
    )

    assert set(built) == {page.relative_to(ROOT / "docs").with_suffix(".html") for page in PAGES[1:]} | {Path("404.html")}
    assert [path for path, html in built.items() if loaded.search(html)] == []
    # The theme would ask these hosts about a repository that they serve.
    assert [path for path, html in built.items() if 'data-md-component="source"' in html] == []


class Links(HTMLParser):
    """The targets and anchors of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in {"id", "name"} and value:
                self.anchors.add(value)
            elif name in {"href", "src"} and value:
                self.targets.add(value)
            elif name == "srcset" and value:
                self.targets.update(one.split()[0] for one in value.split(","))


def test_no_link_of_the_site_is_broken(site):
    """Pages, files and anchors, also those that the theme makes."""
    pages = {path: Links(html) for path, html in built_pages(site).items()}
    broken = []
    for path, links in pages.items():
        for target in links.targets:
            url = urlsplit(target)
            # The page for what is not found has addresses from the root of the host.
            if url.scheme or url.netloc or path.name == "404.html":
                continue
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.exists() or (url.fragment and file.suffix == ".html" and unquote(url.fragment) not in pages[file].anchors):
                broken.append(f"{path.relative_to(site)}: {target}")

    assert broken == []


def test_every_page_has_its_neighbours_version_and_repository(site):
    """A reader can go on, and sees what is described."""
    for path, html in built_pages(site).items():
        assert f"imgsync {imgsync.__version__}" in html, path
        assert f'href="{REPOSITORY}"' in html, path
        assert "md-footer__link--next" in html or "md-footer__link--prev" in html or path.name == "404.html", path


@pytest.fixture(scope="module")
def all_in_one(site) -> Path:
    """Return a page that has the content of all pages: to open each takes the theme's scripts a second."""
    first, rest = re.split(r"<article [^>]*>", (site / "tutorial.html").read_text(encoding="utf-8"))
    contents = []
    for path, html in built_pages(site).items():
        if path.name != "404.html":
            content = re.sub(r'(src|srcset)="(?=[^"/:]+[/.])', rf'\1="{path.parent.as_uri()}/', re.split(r"<article [^>]*>|</article>", html)[1])
            contents.append(f'<article class="md-content__inner md-typeset" data-page="{path.relative_to(site)}">{content}</article>')
    target = site / "all.htm"
    target.write_text(first + "".join(contents) + rest.partition("</article>")[2], encoding="utf-8")
    return target


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_no_page_scrolls_sideways(width, all_in_one, browser):
    """Tables and blocks scroll in their own boxes."""
    browser.open(all_in_one, width=width)

    assert browser.run("document.querySelectorAll('[data-page]').length") == len(PAGES) - 1
    assert not browser.run(_SCROLLS), browser.run(_WIDEST)


@pytest.mark.parametrize("page", ["index", "reference/commands", "performance", *(["*"] if NIGHTLY else [])])
def test_no_whole_page_scrolls_sideways(page, site, browser):
    """With navigation, header and footer; all pages at night."""
    for path in site.rglob("*.html") if page == "*" else [site / f"{page}.html"]:
        browser.open(path, width=DESK)
        assert not browser.run(_SCROLLS), path
        browser.resize(PHONE)
        assert not browser.run(_SCROLLS), path


@pytest.mark.parametrize("page", ["index", "tutorial", "reference/commands", "reference/configuration", "how-to/install"])
def test_no_block_is_cut_off_at_a_desk(page, site, browser):
    """Help, examples and commands fit beside the navigation."""
    browser.open(site / f"{page}.html", width=DESK)

    assert browser.run(_CUT_OFF) == []


def test_copy_buttons_copy_what_a_reader_types(site, browser):
    """Without prompts."""
    browser.open(site / "index.html", width=DESK)

    assert browser.run(_COPY % 0) == "git clone https://github.com/OWNER/imgsync\ncd imgsync && make demo"


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_first_screen_shows_what_imgsync_is(width, site, browser):
    """The sentence, the two commands and the picture are seen without scrolling."""
    browser.open(site / "index.html", width=width)

    bottoms = browser.run(_BOTTOMS)
    assert len(bottoms) == 3
    assert max(bottoms) <= 900
    assert browser.run("document.querySelector('picture img').naturalWidth") > 0
