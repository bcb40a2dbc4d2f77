"""Write JSON in one form, and read it only in this form."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from imgsync.errors import BundleError
from imgsync.oci.spec.bounded_json import count_values
from imgsync.text.json_objects import build_object

# Each parsed value takes about a hundred bytes.
VALUE_LIMIT = 2_000_000


def dump_canonical(document: object) -> bytes:
    """Return *document* with sorted keys, without spaces, in ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def parse_canonical(raw: bytes, *, name: str) -> dict[str, Any]:
    """
    Return the JSON object *raw* of strings and whole numbers.

    Raises:
        BundleError: It is not JSON, not an object, has too many values or a key twice. Errors call it *name*.
    """
    if count_values(raw) > VALUE_LIMIT:
        raise BundleError(f"{name} has more than {VALUE_LIMIT:,} values")
    try:
        document = json.loads(raw, object_pairs_hook=build_object, parse_constant=_refuse, parse_float=_refuse)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} is damaged: it is not valid JSON") from error
    if not isinstance(document, dict):
        raise BundleError(f"{name} is damaged: it is not a JSON object")
    return document


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not a whole number")
