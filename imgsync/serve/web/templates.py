"""The templates of the pages, and the files that they load."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from imgsync import __version__
from imgsync.serve.web.words import STATE_NAMES, TRIGGER_NAMES, describe_moment, format_moment
from imgsync.system.dataclass import dataclass
from imgsync.text.code_spans import split_code_spans
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import choose_noun, format_bytes, format_duration, format_timestamp

_FOLDER = Path(__file__).parent / "static"
# The style of the report comes first, so that report and pages are of one family.
_REPORT_STYLE = Path(__file__).parents[2] / "render" / "templates" / "report.css"
_DIGEST_LENGTH = 19


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that pages load; `version` is a hash of it."""

    data: bytes
    kind: str
    version: str


@cache
def read_static(name: str) -> StaticFile | None:
    """Return a style, script or picture; None if unknown."""
    kinds = {"serve.css": "text/css; charset=utf-8", "serve.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
    if name not in kinds:
        return None
    data = (_FOLDER / name).read_bytes()
    if name == "serve.css":
        data = _REPORT_STYLE.read_bytes() + data
    return StaticFile(data, kinds[name], hashlib.sha256(data).hexdigest()[:16])


@cache
def make_environment(clean: Callable[[str], str]) -> Environment:
    """
    Return the templates; *clean* hides secrets.

    Every text that a template prints is cleaned, then made harmless, then escaped.
    """

    def finalize(value: object) -> object:
        return value if isinstance(value, Markup) or not isinstance(value, str) else sanitize_short(clean(value))

    environment = Environment(
        loader=PackageLoader("imgsync.serve.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    environment.filters |= {
        "code_spans": split_code_spans,
        "bytes": format_bytes,
        "duration": format_duration,
        "number": lambda count: f"{count:,}",
        "noun": choose_noun,
        "timestamp": format_timestamp,
        "moment": format_moment,
        "relative": describe_moment,
        "short_digest": lambda digest: digest[:_DIGEST_LENGTH],
        "path": lambda text: quote(text, safe=""),
        "clean": lambda text: sanitize_short(clean(text)),
    }
    environment.globals |= {"state_names": STATE_NAMES, "trigger_names": TRIGGER_NAMES, "link": make_link, "static": _link_static, "version": __version__}
    return environment


def make_link(path: str, fields: Mapping[str, Any] | None = None, **more: Any) -> str:
    """Return *path* with the fields that are not empty as its query."""
    query = urlencode({name: value for name, value in {**(fields or {}), **more}.items() if value not in {"", None}})
    return f"{path}?{query}" if query else path


def _link_static(name: str) -> str:
    found = read_static(name)
    return f"/static/{name}?v={found.version}" if found is not None else ""
