"""The door: sockets are patched before anything else is imported, and only for commands that use them."""

from __future__ import annotations

import sys
import types

from imgsync.system.lazy_import import replace_modules

_WITHOUT_NETWORK = {"convert", "init", "schema", "show", "validate", "-h", "--help", "--version"}


def _patch() -> None:
    # gevent looks through every installed distribution for plugins, some twenty times. We want none, and that was a third of a short run.
    nothing = types.ModuleType("importlib.metadata")
    nothing.entry_points = lambda **_: ()  # type: ignore[attr-defined]
    with replace_modules({nothing.__name__: nothing}):
        from gevent import monkey

        monkey.patch_all()


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] and sys.argv[1] not in _WITHOUT_NETWORK:
        _patch()
    from imgsync.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
