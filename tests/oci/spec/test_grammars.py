"""Every grammar of the client matches whole ASCII text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import imgsync
from imgsync.errors import ImgsyncError
from imgsync.filters.versions import parse_version
from imgsync.oci.errors import parse_retry_after
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag, parse_reference, parse_registry
from imgsync.text.units import parse_duration, parse_integer, parse_rate, parse_size
from tests import switches
from tests.support.images import digest_of, image

# Each grammar with what it takes, where its neighbours begin: a line break behind, other scripts' digits and letters, the width of a character more.
GRAMMARS: dict[str, tuple[Callable[[str], object], str]] = {
    "digest": (is_digest, digest_of(b"")),
    "tag": (is_tag, "v1.2_3-x"),
    "repository": (is_repository_path, "library/app1"),
    "registry": (parse_registry, "registry.internal:5000"),
    "reference": (parse_reference, f"registry.internal:5000/app:1@{digest_of(b'')}"),
    "integer": (parse_integer, "1205"),
    "duration": (parse_duration, "15m"),
    "size": (parse_size, "64MiB"),
    "rate": (parse_rate, "10/s"),
    "Retry-After": (lambda text: parse_retry_after(text, now=0.0), "120"),
    "version": (parse_version, "1.2.3"),
}


def takes(parse: Callable[[str], object], text: str) -> bool:
    try:
        return bool(parse(text))
    except (ValueError, ImgsyncError):
        return False


@pytest.mark.row("DIG-10")
@pytest.mark.parametrize("grammar", GRAMMARS)
def test_grammars_match_whole_ascii_text(grammar):
    """Neither a trailing line break nor a digit of another script passes."""
    parse, good = GRAMMARS[grammar]
    assert takes(parse, good)
    # Arabic and full-width digits, the superscript two; a Kelvin sign, a long s, a Cyrillic a.
    stand_ins = {
        "0": "\u0660\uff10",
        "1": "\u0661\uff11",
        "2": "\u00b2",
        "3": "\u0663",
        "5": "\u0665",
        "k": "\u212a",
        "s": "\u017f",
        "a": "\u0430",
        "e": "\uff45",
    }
    wrong = [good + "\n", "\n" + good, good + "\r", good + "\0", good + "\u2028", good + "\u0663", good + "\u00b2"]
    wrong += [good.replace(one, other) for one, others in stand_ins.items() if one in good for other in others]
    if grammar == "Retry-After":
        wrong = [text for text in wrong if text.strip() != good]

    assert [text for text in wrong if takes(parse, text)] == []


@pytest.mark.row("DIG-10")
def test_patterns_of_the_client_are_ascii():
    r"""No `\d` or `\w` over untrusted text, no match of a beginning, one place that reads digits."""
    traps = re.compile(r"\\[dDwW]|re\.match\(|\.is(?:digit|decimal|numeric)\(")
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted((Path(imgsync.__file__).parent / "oci").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if traps.search(line) and not line.lstrip().startswith("#")
    ]

    # The first looks whether a name is an address, the second compares bytes.
    assert [line.partition(":")[0] for line in found] == ["trusted_hosts.py", "response_parser.py"], found


@pytest.mark.row("DIG-10")
def test_unicode_digit_is_ignored(lab):
    """A superscript digit passes `isdigit` but not `int`."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=100_000))
    lab.declare("app")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false, chunk_size: 64KiB}}\n")
    lab.destination.add(switches.headers(Range="0-\u00b2", OCI_Chunk_Min_Length="\u00b2"))

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert lab.destination.requests("PATCH")
    lab.assert_served("app", "1", content)
