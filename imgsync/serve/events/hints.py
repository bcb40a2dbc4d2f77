"""Take hints from what events say."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import is_tag, parse_registry, parse_repository_path
from imgsync.serve.events.model import Change
from imgsync.serve.model import Hint

_HINT_LIMIT = 200


def take_hints(changes: Iterable[Change], registry: str) -> list[Hint]:
    """
    Return hints for *registry*, which our own settings name.

    Changes with an invalid repository or tag, or of another registry, are left out. Of more than 200 changes only the repositories count, and of
    more repositories only the registry.
    """
    hints = dict.fromkeys(hint for change in changes if (hint := _take_hint(change, registry)) is not None)
    if len(hints) > _HINT_LIMIT:
        hints = dict.fromkeys(Hint(hint.registry, hint.repository) for hint in hints)
    return [Hint(registry, "")] if len(hints) > _HINT_LIMIT else list(hints)


def _take_hint(change: Change, registry: str) -> Hint | None:
    try:
        if change.registry and parse_registry(change.registry) != registry:
            return None
        path = parse_repository_path(change.repository, registry=registry)
    except InvalidReferenceError:
        return None
    return Hint(registry, path, change.tag) if not change.tag or is_tag(change.tag) else None
