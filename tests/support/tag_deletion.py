"""A registry that deletes by tag, unlike docker-registry."""

from __future__ import annotations

import re

from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Switch


class TagDeletion(Switch):
    """
    Answer tag deletions, and hide the tag until it is pushed again.

    Use it with `proxy.add(TagDeletion())`. Listings still contain the tag.
    """

    def __init__(self) -> None:
        """Begin with nothing deleted."""
        self._gone: set[str] = set()

    def request(self, request: Request) -> Request | Answer:
        """Delete, or answer 404 for what was deleted; let everything else through."""
        if re.search(r"/manifests/[^:]+$", request.path) is None:
            return request
        if request.method == "PUT":
            self._gone.discard(request.path)
        elif request.path in self._gone:
            return plain_answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        elif request.method == "DELETE":
            self._gone.add(request.path)
            return plain_answer(202)
        return request
