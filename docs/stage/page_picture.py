"""Draw a page that imgsync wrote, as an SVG that loads nothing; it is light or dark as its reader is."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser

_EMPTY = {"br", "img", "input", "wbr"}
# The parser writes all names in lower case, and SVG does not.
_NAMES = {"viewbox": "viewBox", "preserveaspectratio": "preserveAspectRatio"}
_SPACES = {"body": "http://www.w3.org/1999/xhtml", "svg": "http://www.w3.org/2000/svg"}
_FORM = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
{style}
/* The page ends where the picture does. */
body {{ height: {height}px; overflow: hidden; border: 1px solid var(--line); border-radius: 8px; }}
</style>
<foreignObject width="{width}" height="{height}">
{body}
</foreignObject>
</svg>
"""


def draw_page(html: str, *, width: int, height: int) -> str:
    """Return the picture of the first *height* pixels of a page."""
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    body = _Body()
    body.feed(re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL))
    return _FORM.format(width=width, height=height, style=style[1].strip() if style else "", body="".join(body.pieces))


class _Body(HTMLParser):
    """The body of a page as XML."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._is_shown = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_shown = self._is_shown or tag == "body"
        if self._is_shown:
            space = [("xmlns", _SPACES[tag])] if tag in _SPACES else []
            pairs = "".join(f' {_NAMES.get(name, name)}="{escape(value or "")}"' for name, value in [*space, *attrs])
            self.pieces.append(f"<{tag}{pairs}{'/' if tag in _EMPTY else ''}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self._is_shown and tag not in _EMPTY:
            self.pieces.append(f"</{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if self._is_shown and tag not in _EMPTY:
            self.pieces.append(f"</{tag}>")
        self._is_shown = self._is_shown and tag != "body"

    def handle_data(self, data: str) -> None:
        if self._is_shown:
            self.pieces.append(escape(data, quote=False))
