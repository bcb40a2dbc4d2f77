"""The door: sockets are patched before anything else is imported, and only for commands that use them."""

from __future__ import annotations

import sys

_WITHOUT_NETWORK = {"validate", "schema", "--help", "--version"}


def main() -> None:
    """Run the command line and exit with its code."""
    if not _WITHOUT_NETWORK & set(sys.argv[1:]) and len(sys.argv) > 1:
        from gevent import monkey

        monkey.patch_all()
    from imgsync.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
