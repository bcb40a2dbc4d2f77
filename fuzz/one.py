"""
Run one law under atheris.

    python -m fuzz.one LAW [libFuzzer options] [input folders]
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["imgsync", "fuzz"]):
    from fuzz.laws import LAWS


def main() -> None:
    """Fuzz until a limit is reached or the law is broken."""
    law = LAWS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, law)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
