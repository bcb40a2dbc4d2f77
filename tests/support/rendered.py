"""Markdown and HTML as a site renders them."""

from __future__ import annotations

import html5lib
from markdown_it import MarkdownIt

_NAMESPACE = "{http://www.w3.org/1999/xhtml}"


class Rendered:
    """A page's elements, attributes, and text inside and outside of code."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.code: list[str] = []
        self.prose: list[str] = []
        self.comments: list[str] = []
        root = html5lib.parse(html, treebuilder="etree", namespaceHTMLElements=False)
        self._walk(root, within_code=False)

    def _walk(self, element, *, within_code: bool) -> None:
        if not isinstance(element.tag, str):
            self.comments.append(element.text or "")
            return
        tag = element.tag.rpartition("}")[2]
        self.elements.add(tag)
        self.attributes.extend((tag, str(name), value) for name, value in element.attrib.items())
        inside = within_code or tag == "code"
        if element.text and tag != "style":
            (self.code if inside else self.prose).append(element.text)
        for child in element:
            self._walk(child, within_code=inside)
            if child.tail:
                (self.code if inside else self.prose).append(child.tail)


def render_markdown(text: str) -> Rendered:
    """Render *text* with tables, strikethrough, HTML and links of bare URLs."""
    parser = MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["table", "strikethrough", "linkify"])
    return Rendered(f"<!doctype html><body>{parser.render(text)}")


def strict_parse(html: str) -> None:
    """Parse *html*; raise for everything that a browser would repair."""
    html5lib.HTMLParser(strict=True).parse(html)
