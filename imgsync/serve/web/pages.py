"""The pages: all mirrors, one mirror, the runs, one run, the plan."""

from __future__ import annotations

from itertools import islice
from typing import Any
from urllib.parse import quote

from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request, Response

from imgsync.concurrency.greenlets import breathe
from imgsync.plan.model import Action, Plan
from imgsync.serve.views import TagState
from imgsync.serve.web.access import Access
from imgsync.serve.web.answers import answer_text
from imgsync.serve.web.overview import (
    count_states,
    describe_progress,
    has_words,
    list_counts,
    list_problems,
    list_segments,
    list_shown,
    make_verdict,
)
from imgsync.serve.web.paging import Page, cut_page, parse_page, read_page, split_words
from imgsync.serve.web.parts import WebParts
from imgsync.serve.web.run_page import read_run_facts
from imgsync.serve.web.templates import make_environment
from imgsync.serve.web.words import COUNT_NAMES, STATE_NAMES, TAG_STATES, describe_run

TAGS_PER_PAGE = 100
_RUNS_PER_PAGE = 50
_RUNS_OF_A_MIRROR = 10
_ERRORS_SHOWN = 50
_NOTES_SHOWN = 50
# What happened, as a page says it after a form was sent.
NOTICES = {
    "plan": "A plan was requested. It begins as soon as no other run is under way.",
    "apply": "A run was requested. It begins as soon as no other run is under way.",
    "in": "You are logged in.",
    "out": "You are logged out.",
}


class Pages:
    """Makes the pages."""

    def __init__(self, parts: WebParts, access: Access) -> None:
        """Show what the board of *parts* has."""
        self._parts = parts
        self._board = parts.board
        self._access = access
        self._environment = make_environment(parts.clean)

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Return the page *template*."""
        session = self._access.find_session(request)
        # The login of a private page is for anyone.
        may_read = session is not None or not self._parts.get_settings().is_private
        running = self._board.running if may_read else None
        page = self._environment.get_template(template).render(
            board=self._board,
            now=self._parts.clock.now(),
            may_read=may_read,
            running=running,
            progress=describe_progress(running) if running is not None else None,
            session=session,
            can_log_in=self._parts.get_settings().token is not None,
            notice=NOTICES.get(request.args.get("notice", ""), ""),
            path=request.path,
            count_names=COUNT_NAMES,
            describe_run=describe_run,
            list_segments=list_segments,
            list_counts=list_counts,
            **values,
        )
        return answer_text(page, status, kind="text/html")

    @staticmethod
    def link_mirror(name: str) -> str:
        """Return the path of the page of mirror *name*."""
        return f"/mirrors/{quote(name, safe='')}"

    def show_overview(self, request: Request) -> Response:
        """Show all mirrors at a glance."""
        board, mirrors = self._board, self._board.list_mirrors()
        mood, verdict = make_verdict(board, mirrors)
        search, state = _read_search(request), _read_state(request, STATE_NAMES)
        moments = [mirror.next_run for mirror in mirrors if mirror.next_run is not None]
        return self.render(
            request,
            "overview.html",
            mood=mood,
            verdict=verdict,
            problems=list_problems(board),
            states=count_states(mirrors),
            tags=sum(sum(mirror.counts.values()) for mirror in mirrors),
            next_run=min(moments, default=None),
            last_run=next(iter(board.list_runs()), None),
            mirrors=list_shown(mirrors, state=state, words=split_words(search), number=parse_page(request.args.get("page", ""))),
            fields={"state": state, "q": search},
            events=sorted(board.events.items()),
        )

    def show_mirror(self, request: Request, name: str) -> Response:
        """
        Show one mirror, its tags and its runs.

        Raises:
            NotFound: There is no such mirror.
        """
        mirror, tags = self._board.find_mirror(name), self._board.find_tags(name)
        if mirror is None:
            raise NotFound("no mirror of this name is declared")
        search, state = _read_search(request), _read_state(request, TAG_STATES)
        words, number = split_words(search), parse_page(request.args.get("page", ""))
        if tags is None:
            shown: Page[Any] = cut_page((), number, TAGS_PER_PAGE)
        elif words:
            fitting = (tag for tag in breathe(tags) if has_words(f"{tag.source} {tag.destination}", words))
            shown = cut_page([tag for tag in fitting if not state or tag.state == state], number, TAGS_PER_PAGE)
        else:
            total = tags.counts.get(TagState(state), 0) if state else sum(tags.counts.values())
            shown = read_page((tag for tag in breathe(tags) if not state or tag.state == state), total, number, TAGS_PER_PAGE)
        return self.render(
            request,
            "mirror.html",
            mirror=mirror,
            is_running=self._board.running is not None and name in self._board.running.order.mirrors,
            errors=mirror.errors[:_ERRORS_SHOWN],
            notes=mirror.notes[:_NOTES_SHOWN],
            tags=shown,
            runs=self._board.list_runs(name)[:_RUNS_OF_A_MIRROR],
            fields={"state": state, "q": search},
        )

    def show_runs(self, request: Request) -> Response:
        """Show the runs of the history, newest first."""
        mirror = request.args.get("mirror", "")[:300]
        runs = cut_page(self._board.list_runs(mirror), parse_page(request.args.get("page", "")), _RUNS_PER_PAGE)
        return self.render(request, "runs.html", runs=runs, fields={"mirror": mirror})

    def show_run(self, request: Request, run: str) -> Response:
        """
        Show one run: what moved, what failed and why.

        Raises:
            NotFound: The history has no such run.
        """
        summary = next((one for one in self._board.list_runs() if one.id == run), None)
        document = self._board.read_run(run)
        if summary is None or document is None:
            raise NotFound("the history does not have this run; only the newest are kept")
        return self.render(request, "run.html", run=summary, facts=read_run_facts(document))

    def show_plan(self, request: Request) -> Response:
        """Show the plan as it stands, without kept tags."""
        plan, action = self._board.make_plan(), _read_state(request, [one.value for one in Action])
        return self.render(
            request,
            "plan.html",
            plan=plan,
            counts=plan.counts,
            actions=[one.value for one in Action if one is not Action.KEEP],
            changes=_page_changes(plan, action, parse_page(request.args.get("page", ""))),
            errors=plan.errors[:_ERRORS_SHOWN],
            fields={"state": action},
        )


def _page_changes(plan: Plan, action: str, number: int) -> Page[Any]:
    shown = frozenset({Action(action)}) if action else frozenset(Action) - {Action.KEEP}
    if shown == {Action.KEEP}:
        kept = (change for some in plan.kept for change in some)
        return read_page(kept, plan.counts[Action.KEEP], number, TAGS_PER_PAGE)
    changes = plan.select(shown)
    total = len(changes)
    number = min(number, max(1, -(-total // TAGS_PER_PAGE)))
    return Page(tuple(islice(changes, (number - 1) * TAGS_PER_PAGE, number * TAGS_PER_PAGE)), number, TAGS_PER_PAGE, total)


def _read_search(request: Request) -> str:
    return " ".join(split_words(request.args.get("q", "")))


def _read_state(request: Request, known: Any) -> str:
    state = request.args.get("state", "")
    return state if state in known else ""
