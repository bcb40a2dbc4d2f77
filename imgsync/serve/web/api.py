"""The API: documents in JSON, and a run on request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from werkzeug.exceptions import BadRequest, NotFound, ServiceUnavailable, UnsupportedMediaType
from werkzeug.wrappers import Request, Response

from imgsync.concurrency.greenlets import breathe
from imgsync.documents.json_stream import Rows, iter_json
from imgsync.documents.plan import encode_plan
from imgsync.plan.model import KeptView
from imgsync.serve.documents import encode_mirror, encode_mirrors, encode_runs, encode_status
from imgsync.serve.metrics import KIND, ServeMetrics
from imgsync.serve.views import TagState
from imgsync.serve.web.access import Access
from imgsync.serve.web.actions import ask_run
from imgsync.serve.web.answers import answer_bytes, answer_json, answer_stream
from imgsync.serve.web.parts import WebParts

_KEYS = {"mirror", "apply"}


class Api:
    """Answers programs."""

    def __init__(self, parts: WebParts, access: Access) -> None:
        """Show what the board of *parts* has."""
        self._parts = parts
        self._board = parts.board
        self._access = access
        self._metrics = ServeMetrics(parts.board)

    def show_status(self, _: Request) -> Response:
        """Show how everything stands."""
        return self._answer(encode_status(self._board, self._parts.clock.now()))

    def show_mirrors(self, _: Request) -> Response:
        """Show every mirror."""
        return self._answer(encode_mirrors(self._board.list_mirrors()))

    def show_mirror(self, request: Request, name: str) -> Response:
        """
        Show one mirror and its tags.

        Only those of `state` if the query names one.

        Raises:
            NotFound: There is no such mirror.
            BadRequest: There is no such state.
        """
        mirror = self._board.find_mirror(name)
        if mirror is None:
            raise NotFound("no mirror of this name is declared")
        state = request.args.get("state", "")
        if state and state not in {one.value for one in TagState}:
            raise BadRequest(f"`state` is one of {', '.join(TagState)}")
        return self._answer(encode_mirror(mirror, self._board.find_tags(name), lambda tag: not state or tag.state == state))

    def show_runs(self, request: Request) -> Response:
        """Show the runs of the history, or of one mirror."""
        return self._answer(encode_runs(self._board.list_runs(request.args.get("mirror", ""))))

    def show_run(self, _: Request, run: str) -> Response:
        """
        Show one run.

        Raises:
            NotFound: The history has no such run.
        """
        document = self._board.read_run(run)
        if document is None:
            raise NotFound("the history does not have this run; only the newest are kept")
        return self._answer(document)

    def show_plan(self, _: Request) -> Response:
        """
        Show the plan as it stands.

        Raises:
            ServiceUnavailable: No configuration is loaded.
        """
        config = self._parts.get_config()
        if config is None:
            raise ServiceUnavailable("no configuration is loaded")
        plan = self._board.make_plan()
        plan = replace(plan, kept=tuple(KeptView(kept, breathe) for kept in plan.kept))
        return self._answer(encode_plan(plan, config, explain=False, clean=self._clean))

    def reconcile(self, request: Request) -> Response:
        """
        Ask for a run.

        Raises:
            BadRequest: The body is not `{"mirror": NAME, "apply": true}`, both optional.
            UnsupportedMediaType: The body is not JSON.
        """
        self._access.check_bearer(request)
        mirror, applies = _read_request(request)
        ask_run(self._parts, mirror, applies=applies)
        return answer_json({"accepted": True, "mirror": mirror or None, "apply": applies}, 202)

    def show_metrics(self, _: Request) -> Response:
        """Show the metrics for Prometheus."""
        return answer_bytes(self._metrics.render(), kind=KIND)

    def _answer(self, document: Mapping[str, Any]) -> Response:
        """Return *document* in pieces, so that other requests go on."""
        cleaned = {name: self._clean_rows(value) if isinstance(value, Rows) else self._clean(value) for name, value in document.items()}
        return answer_stream(iter_json(cleaned, indented=False, end="\n"), kind="application/json")

    def _clean_rows(self, rows: Rows) -> Rows:
        return Rows(lambda: map(self._clean, breathe(rows)))

    def _clean(self, value: Any) -> Any:
        """Return *value* with secrets hidden in each text."""
        if isinstance(value, str):
            return self._parts.clean(value)
        if isinstance(value, Mapping):
            return {name: self._clean(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(one) for one in value]
        return value


def _read_request(request: Request) -> tuple[str, bool]:
    data = request.get_data(cache=False)
    if data and request.mimetype != "application/json":
        raise UnsupportedMediaType("send JSON, with `Content-Type: application/json`")
    try:
        body = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(body, dict) or body.keys() - _KEYS:
        raise BadRequest('send `{"mirror": "NAME", "apply": true}`; both are optional')
    mirror, applies = body.get("mirror") or "", body.get("apply", True)
    if not isinstance(mirror, str) or not isinstance(applies, bool):
        raise BadRequest("`mirror` is a name, `apply` is true or false")
    return mirror, applies
