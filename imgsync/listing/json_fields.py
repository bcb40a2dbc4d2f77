"""Read fields of JSON of any shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.errors import Operation, parse_http_date

_OLDEST_PLAUSIBLE = datetime(1980, 1, 2, tzinfo=UTC)
_MOST_MILLISECONDS = 10**14


def read_rows(document: Any, field_name: str | None, operation: Operation) -> list[dict[str, Any]]:
    """
    Return the objects in the list *field_name*.

    If it is None, the document itself is the list, or null for an empty one.

    Raises:
        UnexpectedResponseError: The list is missing.
    """
    found = document if field_name is None else document.get(field_name) if isinstance(document, dict) else None
    if document is None and field_name is None:
        # Go writes an empty list as null.
        return []
    if not isinstance(found, list):
        expected = "a list" if field_name is None else f"an object with a list of {field_name}"
        raise operation.make_error(UnexpectedResponseError, f"the response is not a listing: expected {expected}; is this the registry's API?", status=200)
    return [row for row in found if isinstance(row, dict)]


def read_text(row: Mapping[str, Any], name: str) -> str:
    """Return a text field, "" for anything else."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def read_cursor(document: Mapping[str, Any], name: str, operation: Operation) -> str:
    """
    Return the cursor of the next page, "" after the last.

    Raises:
        UnexpectedResponseError: The field is something else, so that pages would be lost.
    """
    value = document.get(name)
    if value in (None, "", False):
        return ""
    if not isinstance(value, str):
        raise operation.make_error(UnexpectedResponseError, f"the listing's {name} is not a text", status=200)
    return value


def read_count(value: object) -> int | None:
    """Return *value* if it is a count, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_timestamp(text: object) -> datetime | None:
    """Return an RFC 3339 or RFC 2822 time; None before 1980."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        found = parse_http_date(text)
        if found is None:
            return None
        moment = found
    return _keep_plausible(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def convert_milliseconds(count: int) -> datetime | None:
    """Return the time *count* milliseconds after 1970; None before 1980."""
    return _keep_plausible(datetime.fromtimestamp(count / 1000, UTC)) if 0 < count < _MOST_MILLISECONDS else None


def _keep_plausible(moment: datetime) -> datetime | None:
    # Reproducible builds claim 1970 or 1980.
    return moment if moment > _OLDEST_PLAUSIBLE else None
