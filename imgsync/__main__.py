"""The entry point: patch sockets for gevent first, if the command uses the network."""

from __future__ import annotations

import sys
import types

from imgsync.system.lazy_import import replace_modules

_WITHOUT_NETWORK = {"convert", "init", "schema", "show", "validate", "-h", "--help", "--version"}


def _patch() -> None:
    # gevent searches all installed distributions for plugins, about twenty times. That took a third of a short run, and we need none.
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
