"""What forms ask for: log in, log out, plan, apply."""

from __future__ import annotations

from werkzeug.exceptions import Conflict, Forbidden, HTTPException, NotFound, ServiceUnavailable, TooManyRequests, Unauthorized
from werkzeug.wrappers import Request, Response

from imgsync.serve.model import Request as RunRequest
from imgsync.serve.web.access import Access
from imgsync.serve.web.answers import answer_redirect
from imgsync.serve.web.pages import Pages
from imgsync.serve.web.parts import WebParts
from imgsync.serve.web.templates import make_link

_MAX_NEXT = 1_000


class Actions:
    """Answers the forms; each is checked by `Access`."""

    def __init__(self, parts: WebParts, access: Access, pages: Pages) -> None:
        """Pass requests on to the inbox of *parts*."""
        self._parts = parts
        self._access = access
        self._pages = pages

    def show_login(self, request: Request) -> Response:
        """
        Show the form for the token.

        Raises:
            NotFound: There is no token to log in with.
        """
        if self._parts.get_settings().token is None:
            raise NotFound("set `token` of `serve` in registries.yaml to log in")
        return self._pages.render(request, "login.html", error="", next=_read_next(request.args.get("next", "")))

    def log_in(self, request: Request) -> Response:
        """Begin a session, or say why not."""
        self._access.check_origin(request)
        target = _read_next(request.form.get("next", ""))
        response = answer_redirect(make_link(target, notice="in"))
        try:
            self._access.begin_session(request, response)
        except (Unauthorized, TooManyRequests) as error:
            return self._pages.render(request, "login.html", error.code or 401, error=_sentence(error), next=target)
        return response

    def log_out(self, request: Request) -> Response:
        """End the session."""
        self._access.check_action(request)
        response = answer_redirect("/login?notice=out" if self._parts.get_settings().is_private else "/?notice=out")
        self._access.end_session(request, response)
        return response

    def ask_plan(self, request: Request) -> Response:
        """Ask for a plan of all mirrors, or one."""
        return self._ask(request, applies=False)

    def ask_apply(self, request: Request) -> Response:
        """
        Ask for a run of all mirrors, or one.

        Raises:
            Forbidden: This process only plans.
        """
        return self._ask(request, applies=True)

    def _ask(self, request: Request, *, applies: bool) -> Response:
        self._access.check_action(request)
        mirror = request.form.get("mirror", "")
        ask_run(self._parts, mirror, applies=applies)
        return answer_redirect(make_link(self._pages.link_mirror(mirror) if mirror else "/", notice="apply" if applies else "plan"))


def ask_run(parts: WebParts, mirror: str, *, applies: bool) -> None:
    """
    Ask for a run of *mirror*, of all if it is "".

    Raises:
        Forbidden: This process only plans.
        NotFound: There is no such mirror.
        Conflict: The mirror is suspended.
        ServiceUnavailable: Another replica may write, not this one.
    """
    lease = parts.board.lease
    if lease is not None and not lease.is_held:
        raise ServiceUnavailable(f"another replica holds the lease: {lease.holder or 'none at the moment'}; ask that one")
    if applies and parts.board.only_plans:
        raise Forbidden("this process was started with --only-plan and never applies")
    if mirror:
        found = parts.board.find_mirror(mirror)
        if found is None:
            raise NotFound("no mirror of this name is declared")
        if found.state == "suspended":
            raise Conflict("the mirror is suspended; remove `suspend` from its declaration first")
    parts.inbox.add_request(RunRequest((mirror,) if mirror else (), applies=applies))


def _read_next(text: str) -> str:
    """Return the path of ours to open after the login."""
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\", "/login")) and text.isascii() and text.isprintable() and len(text) < _MAX_NEXT
    return text.partition("?")[0] if is_ours else "/"


def _sentence(error: HTTPException) -> str:
    text = error.description or error.name
    return f"{text[:1].upper()}{text[1:]}."
