"""Check the files for nodes."""

from __future__ import annotations

from imgsync.config.load import load_mirrors
from imgsync.errors import ConfigError
from imgsync.runtime_config.model import RuntimeOptions
from imgsync.runtime_config.runtimes import RUNTIMES
from tests.support.runtime_law import check_runtimes


def nodes(data: bytes) -> None:
    """
    Check what `runtime-config` makes of a file of mirrors.d.

    Each runtime asks for the image that a plan copies to, or the mirror is named as one that it cannot express.
    """
    try:
        found = load_mirrors({"mirrors.d/a.yaml": data})
    except ConfigError:
        return
    # One runtime for each input: together they take long.
    name = tuple(RUNTIMES)[len(data) % len(RUNTIMES)]
    options = RuntimeOptions(has_fallback=b"suspend" in data, digest_only=b"immutable" in data)
    check_runtimes(found[:4], "a/b-c", options, names=(name,))
