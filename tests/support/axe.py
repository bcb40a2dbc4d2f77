"""Accessibility as axe-core measures it, in the browser's page."""

from __future__ import annotations

import functools
import os
import tarfile
from pathlib import Path

from playwright.sync_api import Page

from tests.support.browser import Browser

_PACKAGE = "axe-core-4.14.1.tgz"
_FIND = """
axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`))
)
"""


def find_violations(browser: Browser) -> list[str]:
    """Return what axe-core finds wrong with the page, each with its element."""
    browser.run(_read_axe())
    return browser.run(_FIND)


def find_page_violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with a page of Playwright."""
    page.evaluate(_read_axe())
    return page.evaluate(_FIND)


@functools.cache
def _read_axe() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with tarfile.open(cache / "imgsync-tests" / _PACKAGE) as package:
        script = package.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()
