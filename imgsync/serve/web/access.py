"""Who may read, and who may start something."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from werkzeug.exceptions import Forbidden, HTTPException, TooManyRequests, Unauthorized
from werkzeug.wrappers import Request, Response

from imgsync.concurrency.listen_address import is_address, is_loopback_name
from imgsync.config.secrets import Secret
from imgsync.serve.web.parts import WebParts
from imgsync.serve.web.sessions import SESSION_SECONDS, Session, Sessions, WrongTokens, is_token

_COOKIE = "imgsync_session"
_DEFAULT_PORT = re.compile(r":(?:80|443)$")
_BEARER = "bearer "


class MisdirectedRequest(HTTPException):
    """The request names a host that is not this page's."""

    code = 421
    name = "Misdirected Request"
    description = "this is not the page of that host; add its name to serve.hosts in registries.yaml"


class LoginNeeded(HTTPException):
    """A page that needs a login."""

    code = 303


class Access:
    """Checks each request against the settings of `serve`."""

    def __init__(self, parts: WebParts) -> None:
        """Begin without sessions."""
        self._parts = parts
        self._sessions = Sessions(parts.clock)
        self._wrong_tokens = WrongTokens(parts.clock)

    def check_host(self, request: Request) -> None:
        """
        Return if the request names a host of this page.

        A site can have its own name resolve to this address (DNS rebinding), but cannot have a browser send an address as the host.

        Raises:
            MisdirectedRequest: It is not.
        """
        host = _read_host(request.headers.get("Host", ""))
        hosts = self._parts.get_settings().hosts
        if host in {_read_host(one) for one in hosts}:
            return
        if self._parts.is_loopback:
            if is_loopback_name(host):
                return
        elif not hosts or is_address(host):
            return
        raise MisdirectedRequest

    def check_reading(self, request: Request, *, by_program: bool) -> None:
        """
        Return if the request may read.

        Raises:
            LoginNeeded: A person has to log in.
            Unauthorized: A program has to send the token.
            TooManyRequests: Too many wrong tokens came.
        """
        if not self._parts.get_settings().is_private or self.find_session(request) is not None:
            return
        if by_program or "Authorization" in request.headers:
            self.check_bearer(request)
            return
        raise LoginNeeded

    def check_bearer(self, request: Request) -> None:
        """
        Return if the request has the token.

        Raises:
            Unauthorized: It has not.
            TooManyRequests: Too many wrong tokens came.
        """
        given = request.headers.get("Authorization", "")
        if not given[: len(_BEARER)].lower() == _BEARER:
            raise Unauthorized("send the token of registries.yaml as `Authorization: Bearer TOKEN`")
        self._compare(given[len(_BEARER) :].strip())

    def check_action(self, request: Request) -> Session:
        """
        Return the session that asks for something in a form of ours.

        Raises:
            LoginNeeded: There is no session.
            Forbidden: The form is of another site, or of a session that ended.
        """
        self.check_origin(request)
        session = self.find_session(request)
        if session is None:
            raise LoginNeeded
        if not is_token(request.form.get("csrf", ""), Secret(session.csrf)):
            raise Forbidden("the form is of an earlier login; open the page again")
        return session

    def check_origin(self, request: Request) -> None:
        """
        Return if a form was sent by a page of ours.

        Raises:
            Forbidden: It was not, or the browser does not say.
        """
        site = request.headers.get("Sec-Fetch-Site", "")
        origin = request.headers.get("Origin", "")
        is_ours = site == "same-origin" if site else _read_origin(origin) == _strip_port(request.host) != ""
        if not is_ours:
            raise Forbidden("the form was not sent by this page")

    def find_session(self, request: Request) -> Session | None:
        """Return the session of the request, None if there is none."""
        name = request.cookies.get(_COOKIE, "")
        return self._sessions.find(name, self._parts.get_settings().token) if name else None

    def begin_session(self, request: Request, response: Response) -> None:
        """
        Begin a session for a form with the token.

        Raises:
            Unauthorized: The token is wrong.
            TooManyRequests: Too many wrong tokens came.
        """
        token = self._compare(request.form.get("token", "").strip())
        self._sessions.end(request.cookies.get(_COOKIE, ""))
        secure = _find_scheme(request) == "https"
        response.set_cookie(_COOKIE, self._sessions.begin(token), max_age=SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="Strict")

    def end_session(self, request: Request, response: Response) -> None:
        """End the session of the request, and delete its cookie."""
        self._sessions.end(request.cookies.get(_COOKIE, ""))
        response.delete_cookie(_COOKIE, path="/")

    def _compare(self, given: str) -> Secret:
        token = self._parts.get_settings().token
        if token is not None and is_token(given, token):
            return token
        if self._wrong_tokens.add():
            raise TooManyRequests("too many wrong tokens; check the token in registries.yaml")
        raise Unauthorized("the token is wrong")


def _find_scheme(request: Request) -> str:
    """Return "https" if the browser's connection is encrypted, up to a proxy."""
    return "https" if request.scheme == "https" or request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https" else "http"


def _read_host(text: str) -> str:
    """Return the host of HOST[:PORT] in lower case, without brackets."""
    try:
        return (urlsplit(f"//{text}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _read_origin(text: str) -> str:
    # Without the scheme: a proxy may have ended TLS.
    scheme, _, rest = text.partition("://")
    return _strip_port(rest) if scheme in {"http", "https"} else ""


def _strip_port(host: str) -> str:
    return _DEFAULT_PORT.sub("", host.lower())
