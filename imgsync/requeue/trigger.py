"""
Start a run with one POST.

This uses httpx as a plain client: one request does not need the HTTP client of registries. It reads no environment, keeps no cookies
and follows no redirects, since they would carry the token along.

A POST that started a run must not be repeated, or two chains of runs would continue. So we retry only if the service certainly did not
accept it: there was no connection, or the response is 429. After any other failure the error says that a run may have been started.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from urllib.parse import urlsplit

from imgsync import __version__
from imgsync.concurrency.capture import Raised, catch_error, unwrap
from imgsync.errors import RequeueError
from imgsync.oci.errors import parse_retry_after
from imgsync.oci.http._httpx import httpx, import_clients
from imgsync.oci.http.tls import make_tls_context
from imgsync.requeue.model import STARTING, NextRun
from imgsync.system.dataclass import dataclass
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_message

# Now, and not in the thread that uses them.
import_clients()

REQUEST_SECONDS = 30.0
_WHOLE_FACTOR = 3
_PAUSES_SECONDS = (2.0, 8.0)
_LONGEST_PAUSE_SECONDS = 30.0
_SHOWN_CHARACTERS = 200
_READ_BYTES = 16 << 10
_UNSURE = "the run may have been started: check before you start it by hand"


@dataclass(frozen=True, slots=True)
class Post:
    """
    A request that starts a run, and how to read the response.

    `accepted` are the statuses of success; `hints` say what to do about others.
    """

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: Callable[[NextRun], bytes] = field(repr=False)
    accepted: frozenset[int]
    hints: Mapping[int, str]
    secrets: tuple[str, ...] = field(repr=False)
    proxy: str | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        """Return the URL without its query, which may contain secrets."""
        return urlsplit(self.url)._replace(query="", fragment="").geturl()


def send(post: Post, next_run: NextRun, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """
    Send *post*; retry where this cannot start two runs.

    Each attempt waits at most 30 seconds for a byte, and 90 seconds in all.

    Raises:
        RequeueError: The service did not accept it, or it is unknown whether it did.
    """
    pauses = list(_PAUSES_SECONDS)
    while True:
        try:
            return _send_in_time(post, next_run)
        except _NotAcceptedError as again:
            if not pauses:
                raise again.error from again.__cause__
            sleep(min(again.retry_after_seconds or pauses[0], _LONGEST_PAUSE_SECONDS))
            del pauses[0]


class _NotAcceptedError(Exception):
    """The service certainly did not accept the request."""

    def __init__(self, error: RequeueError, retry_after_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after_seconds = retry_after_seconds


def _send_in_time(post: Post, next_run: NextRun) -> None:
    # httpx limits each silence only, so a response that trickles in would last for ever.
    ended: list[Raised | None] = []
    sender = threading.Thread(target=lambda: ended.append(catch_error(lambda: _send_once(post, next_run))), daemon=True)
    sender.start()
    sender.join(REQUEST_SECONDS * _WHOLE_FACTOR)
    if not ended:
        detail = f"no complete response within {REQUEST_SECONDS * _WHOLE_FACTOR:g}s"
        raise RequeueError(STARTING, f"by POST {post.where}", detail=detail, hint=_UNSURE)
    unwrap(ended[0])


def _send_once(post: Post, next_run: NextRun) -> None:
    context = make_tls_context()
    proxy = None if post.proxy is None else httpx.Proxy(post.proxy, ssl_context=context if post.proxy.startswith("https:") else None)
    headers = (("User-Agent", f"imgsync/{__version__}"), ("Accept-Encoding", "identity"), *post.headers)
    try:
        with (
            httpx.Client(verify=context, trust_env=False, proxy=proxy, timeout=REQUEST_SECONDS, follow_redirects=False) as client,
            client.stream("POST", post.url, headers=headers, content=post.body(next_run)) as response,
        ):
            if response.status_code in post.accepted:
                return
            error = _make_status_error(post, response)
            if response.status_code == 429:
                raise _NotAcceptedError(error, parse_retry_after(response.headers.get("retry-after", ""), now=time.time()))
            raise error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise _make_network_error(post, error) from error


def _make_status_error(post: Post, response: httpx.Response) -> RequeueError:
    status = response.status_code
    hint = post.hints.get(status, "")
    if 300 <= status < 400:
        hint = "redirects are not followed, since they would carry the token along; name the final address"
    elif status >= 500:
        hint = _UNSURE
    return RequeueError(STARTING, f"by POST {post.where}", status=status, detail=_quote(post, _read_beginning(response)), hint=hint)


def _read_beginning(response: httpx.Response) -> str:
    """Return the beginning of the response."""
    ends = time.monotonic() + REQUEST_SECONDS
    body = bytearray()
    # If the connection breaks, what was received still helps.
    with contextlib.suppress(httpx.HTTPError, OSError):
        for chunk in response.iter_raw():
            body += chunk
            if len(body) >= _READ_BYTES or time.monotonic() > ends:
                break
    return bytes(body[:_READ_BYTES]).decode("utf-8", "replace")


def _quote(post: Post, text: str) -> str:
    """Return untrusted *text* on one short line, without secrets."""
    redaction = Redaction()
    redaction.hide(post.secrets)
    return sanitize_message(redaction.clean(text))[:_SHOWN_CHARACTERS]


def _make_network_error(post: Post, error: Exception) -> Exception:
    """Return the error to raise for one of httpx."""
    text = _quote(post, str(error)) or type(error).__name__
    where = f"by POST {post.where}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        hint = "check the network path, and HTTPS_PROXY"
        if "CERTIFICATE_VERIFY_FAILED" in text:
            hint = "name the certificate authority's file in SSL_CERT_FILE"
        detail = f"cannot connect{' through the proxy' if post.proxy else ''}: {text}"
        return _NotAcceptedError(RequeueError(STARTING, where, detail=detail, hint=hint))
    if isinstance(error, httpx.ProxyError):
        return RequeueError(STARTING, where, detail=f"the proxy refuses: {text}", hint="check HTTPS_PROXY and its login")
    detail = f"no byte within {REQUEST_SECONDS:g}s" if isinstance(error, httpx.TimeoutException) else f"the connection broke: {text}"
    return RequeueError(STARTING, where, detail=detail, hint=_UNSURE)
