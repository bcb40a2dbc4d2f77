"""
Send requests through an HTTP proxy.

For https the proxy opens a tunnel (CONNECT), and its login never enters it. For http it gets requests with the whole URL.
"""

from __future__ import annotations

import base64
from dataclasses import field, replace
from urllib.parse import unquote, urlsplit

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.connection import Connection
from imgsync.oci.http.errors import ProxyRefusedError, ProxyUnreachableError
from imgsync.oci.http.request import Request
from imgsync.oci.http.stream import Stream
from imgsync.oci.http.timed_socket import TimedSocket
from imgsync.oci.http.url import Origin, origin_of
from imgsync.oci.http.wait_limit import WaitLimit
from imgsync.system.dataclass import dataclass

_LOGIN_REQUIRED = 407
_HEADER = "Proxy-Authorization"


@dataclass(slots=True)
class Proxy:
    """
    A proxy and its login.

    Attributes:
        origin: Scheme, host and port.
        authorization: The value of `Proxy-Authorization`, None without a login.
        refusal: Why it refused the login. It is not sent again, since that locks accounts.
    """

    origin: Origin
    authorization: str | None = field(default=None, repr=False)
    refusal: str = ""

    @property
    def name(self) -> str:
        """Return host and port."""
        return f"{_bracket(self.origin[1])}:{self.origin[2]}"

    def make_absolute(self, request: Request) -> Request:
        """Return the plain http *request* as the proxy expects it."""
        self._raise_if_refused()
        login = () if self.authorization is None else ((_HEADER, self.authorization),)
        return replace(request, target=f"http://{request.host}{request.target}", headers=(*request.headers, *login))

    def check_response(self, response: httpx.Response) -> httpx.Response:
        """
        Return the response to an absolute request, unless the proxy refuses.

        Raises:
            ProxyRefusedError: The proxy requires another login.
        """
        if response.status_code == _LOGIN_REQUIRED:
            response.close()
            self._refuse_login()
        return response

    def open_tunnel(self, stream: Stream, origin: Origin, limit: WaitLimit) -> Stream:
        """
        Return a tunnel to *origin* through the proxy at *stream*.

        Raises:
            ProxyRefusedError: The proxy forbids it, or requires another login.
            ProxyUnreachableError: The proxy cannot reach *origin*, or did not answer in time.
        """
        self._raise_if_refused()
        target = f"{_bracket(origin[1])}:{origin[2]}"
        login = () if self.authorization is None else ((_HEADER, self.authorization),)
        seconds = limit.left_seconds
        request = Request("CONNECT", origin, target, target, login, timeout_seconds=seconds, check=limit.check)
        connection = Connection(TimedSocket(stream))
        try:
            response = connection.exchange(request)
        except httpx.TransportError as error:
            raise ProxyUnreachableError(f"{self.name} did not open a tunnel to {target}: {error}") from error
        if response.is_success:
            return connection.detach()
        connection.close()
        status = response.status_code
        if status == _LOGIN_REQUIRED:
            self._refuse_login()
        if status >= 500:
            raise ProxyUnreachableError(f"{self.name} cannot reach {target} ({status})")
        raise ProxyRefusedError(f"{self.name} does not allow connections to {target} ({status})")

    def _refuse_login(self) -> None:
        self.refusal = f"{self.name} {'requires a login' if self.authorization is None else 'refuses the login in its URL'} ({_LOGIN_REQUIRED})"
        self._raise_if_refused()

    def _raise_if_refused(self) -> None:
        if self.refusal:
            raise ProxyRefusedError(self.refusal)


def parse_proxy(url: str) -> Proxy:
    """Return the proxy at *url*, which may hold a login."""
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return Proxy(origin_of(url))
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return Proxy(origin_of(url), f"Basic {base64.b64encode(login.encode()).decode()}")


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
