"""Start the command line: streams, signals and sockets before other imports."""

from __future__ import annotations

import sys
import types

from imgsync.system.collector import collect_rarely
from imgsync.system.early_signals import end_at_signal
from imgsync.system.lazy_import import leave_out, replace_modules
from imgsync.system.lazy_pattern import compile_patterns_later

_WITHOUT_NETWORK = {"completion", "convert", "fmt", "help", "init", "man", "schema", "show", "validate", "version", "-h", "--help", "-V", "--version"}


def _patch_sockets() -> None:
    # gevent searches all installed packages for plugins about twenty times, a third of a short run. We use none of them.
    without_plugins = types.ModuleType("importlib.metadata")
    without_plugins.entry_points = lambda **_: ()  # type: ignore[attr-defined]
    # It declares interfaces of its classes too, which we never ask for.
    with replace_modules({without_plugins.__name__: without_plugins}), leave_out("zope.interface"):
        from gevent import config, monkey

        # For debugging: each greenlet would keep the stack of the one that started it, which costs as much as to start it.
        config.track_greenlet_tree = False
        monkey.patch_all()


def main() -> None:
    """Run the command line and exit with its code."""
    end_at_signal()
    collect_rarely()
    compile_patterns_later()
    from imgsync.system.stdio import protect_streams

    protect_streams()
    if sys.argv[1:] and sys.argv[1] not in _WITHOUT_NETWORK:
        _patch_sockets()
    from imgsync.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
