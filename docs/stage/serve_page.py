"""Make the first page of `imgsync serve` that the documentation shows."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

from werkzeug.test import Client

from imgsync.config.serve_settings import ServeSettings
from imgsync.serve.board import Board
from imgsync.serve.inbox import Inbox
from imgsync.serve.model import Trigger
from imgsync.serve.views import ConfigurationView, EventCounts, MirrorState, MirrorView, RunSummary, RunTotals, TagState
from imgsync.serve.web.app import make_app
from imgsync.serve.web.parts import WebParts
from imgsync.serve.web.templates import read_static

_NOW = datetime(2026, 11, 30, 9, 41, tzinfo=UTC)


def make_serve_page() -> str:
    """Return the page of a few mirrors, its style within it."""
    parts = WebParts(
        board=cast("Board", _make_board()),
        inbox=Inbox(),
        clock=SimpleNamespace(now=lambda: _NOW, monotonic=lambda: 0.0),
        get_settings=ServeSettings,
        get_config=lambda: None,
        receive_event=None,
        is_alive=lambda: True,
        explain_not_ready=lambda: "",
        clean=str,
        on_error=_raise,
        is_loopback=True,
    )
    page = Client(make_app(parts)).get("/", headers={"Host": "localhost"}).text
    page = re.sub(r'src="/static/icon.svg[^"]*"', f'src="data:image/svg+xml;base64,{base64.b64encode(_read("icon.svg")).decode()}"', page)
    return page.replace("</head>", f"<style>{_read('serve.css').decode()}</style></head>")


def _read(name: str) -> bytes:
    found = read_static(name)
    if found is None:
        raise LookupError(name)
    return found.data


def _make_board() -> SimpleNamespace:
    mirrors = (
        _make_mirror("kubernetes", "registry.k8s.io", {TagState.IN_STEP: 152, TagState.PENDING: 2, TagState.HELD: 1}, MirrorState.PENDING, minutes=48),
        _make_mirror("postgres", "docker.io/library/postgres", {TagState.IN_STEP: 11, TagState.FAILING: 1}, MirrorState.FAILING, minutes=2),
        _make_mirror("monitoring", "quay.io/prometheus", {TagState.IN_STEP: 31}, MirrorState.IN_STEP, minutes=48),
        _make_mirror("base-images", "docker.io/library", {TagState.IN_STEP: 64}, MirrorState.IN_STEP, minutes=13),
    )
    ended = _NOW - timedelta(minutes=12)
    run = RunSummary("20261130T092900-5f3a", Trigger.SCHEDULE, ("kubernetes",), applies=True, is_partial=False, began_at=ended, ended_at=ended)
    return SimpleNamespace(
        started_at=_NOW,
        version=1,
        configuration=ConfigurationView("mirrors.d", loaded_at=_NOW, checked_at=_NOW),
        running=None,
        lease=None,
        events={"hub": EventCounts(accepted=18, irrelevant=402, last_at=_NOW - timedelta(minutes=25))},
        only_plans=False,
        totals=RunTotals(),
        clock_jumps=0,
        problems=(),
        waiting=0,
        list_mirrors=lambda: mirrors,
        list_runs=lambda _="": (run,),
    )


def _make_mirror(name: str, source: str, counts: Mapping[TagState, int], state: MirrorState, *, minutes: int) -> MirrorView:
    return MirrorView(
        name,
        source,
        (f"registry.example.com/{name}",),
        f"mirrors.d/{name}.yaml",
        3,
        "every 1h",
        state=state,
        counts=counts,
        checked_at=_NOW - timedelta(minutes=12),
        last_success=_NOW - timedelta(minutes=12 if state is not MirrorState.FAILING else 200),
        next_run=_NOW + timedelta(minutes=minutes),
        failures=3 if state is MirrorState.FAILING else 0,
    )


def _raise(error: BaseException) -> None:
    raise error
