"""
Parse JSON only if all parsers read it alike.

What we check must be what a container runtime runs (CVE-2021-41190).
"""

from __future__ import annotations

import json
import math
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.bounded_json import count_values
from imgsync.text.json_objects import RepeatedKeyError, build_object

# Each parsed value takes about a hundred bytes. A manifest with more values than this is an attack on memory, not an image.
_VALUE_LIMIT = 100_000


def parse_object(raw: bytes, *, what: str = "manifest", limit: int = _VALUE_LIMIT) -> dict[str, Any]:
    """
    Parse a JSON object that all parsers read alike.

    Errors call it *what*. It has at most *limit* values.

    Raises:
        UnsupportedContentError: Not UTF-8, not an object, a repeated key, NaN or infinity.
    """
    document = _parse(raw, what, limit)
    if not isinstance(document, dict):
        raise UnsupportedContentError(f"the {what} is not a JSON object")
    return document


def parse_array(raw: bytes, *, what: str) -> list[Any]:
    """
    Parse a JSON array that all parsers read alike.

    Errors call it *what*.

    Raises:
        UnsupportedContentError: Not UTF-8, not an array, a repeated key, NaN or infinity.
    """
    document = _parse(raw, what)
    if not isinstance(document, list):
        raise UnsupportedContentError(f"the {what} is not a JSON array")
    return document


def check_keys(entry: dict[str, Any], known: frozenset[str]) -> None:
    """
    Refuse keys that differ from *known* ones only by case.

    Raises:
        UnsupportedContentError: There is such a key.
    """
    # Go's JSON parser ignores the case of keys (golang/go#14750), ours does not.
    if entry.keys() <= known:
        return
    folded = {key.casefold(): key for key in known}
    for key in entry:
        if folded.get(key.casefold(), key) != key:
            raise UnsupportedContentError(f"the manifest has ambiguous keys: {key[:40]!a} for {folded[key.casefold()]!r}")


def dump_json(document: object) -> bytes:
    """
    Return *document* as compact JSON, always the same bytes.

    Half of a surrogate pair stays an escape, since UTF-8 cannot encode it.
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")


def _parse(raw: bytes, what: str, limit: int = _VALUE_LIMIT) -> Any:
    if count_values(raw) > limit:
        raise UnsupportedContentError(f"the {what} has more than {limit:,} values")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=build_object, parse_constant=_refuse_constant, parse_float=_parse_float)
    except RepeatedKeyError as error:
        raise UnsupportedContentError(f"the {what} has ambiguous keys: one occurs twice") from error
    except (ValueError, RecursionError) as error:
        raise UnsupportedContentError(f"the {what} is not valid JSON") from error


def _refuse_constant(constant: str) -> None:
    raise UnsupportedContentError(f"the manifest contains {constant}")


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse_constant(text[:40])
    return number
