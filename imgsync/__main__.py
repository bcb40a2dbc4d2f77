"""The door: sockets are patched before anything else is imported, and only for commands that use them."""

from __future__ import annotations

import sys

_WITHOUT_NETWORK = {"validate", "schema", "-h", "--help", "--version"}


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] and sys.argv[1] not in _WITHOUT_NETWORK:
        from gevent import monkey

        monkey.patch_all()
    from imgsync.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
