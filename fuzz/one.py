"""One law under atheris: `python -m fuzz.one LAW [options of libFuzzer] [folders of inputs]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["imgsync", "fuzz", "semantic_version"]):
    from fuzz.laws import LAWS


def main() -> None:
    """Fuzz until told to end, or until the law is broken."""
    law = LAWS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, law)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
