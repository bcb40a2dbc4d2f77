"""Long errors, warnings and hints on narrow terminals."""

from __future__ import annotations

import pytest

from tests.support.run_imgsync import Workplace
from tests.support.terminal import record

WIDTHS = [60, 80]
LINES = {
    "usage": ("apply", "--auto-aprove", "--state", "s"),
    "reference": ("copy", "docker-daemon:nginx:1.27", "registry.example.com/mirror/nginx:1.27"),
    "only": ("validate", "--only", "kubernetes-images/kube-apiserver-with-a-long-name:v1.31.0"),
    "configuration": ("validate", "wrong.d"),
    "warning": ("validate", "--registries", "unset.yaml"),
}
MIRROR = "name: kubernetes-images, source: registry.k8s.io/kube-apiserver, destinations: [registry.example.com/mirror]"


@pytest.fixture
def place(workplace) -> Workplace:
    """Declare mirrors without an error, with errors, and with a warning."""
    workplace.mirror_file(f"version: 1\nmirrors:\n  - {{{MIRROR}}}\n", "mirrors.d/a.yaml")
    workplace.mirror_file(
        f"version: 1\nmirrors:\n  - {{{MIRROR}, platforms: [amd64], timeouts: {{imag: 3}}}}\n  - {{name: b, source: x, destinations: []}}\n", "wrong.d/a.yaml"
    )
    workplace.mirror_file(
        "version: 1\nregistries:\n  registry.example.com: {credentials: {username: '${MIRROR_USER}', password: '${MIRROR_PASSWORD}'}}\n", "unset.yaml"
    )
    return workplace


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_long_message_is_wrapped_between_words(line, place):
    """The words are those of the message in a pipe, where it is one line; no word is cut."""
    piped = place.run(*line)
    whole = (piped.stderr + piped.stdout).splitlines()
    assert any(len(one) > min(WIDTHS) for one in whole), whole

    for columns in WIDTHS:
        seen = record(place, *line, columns=columns, rows=50)

        assert seen.code == piped.code
        assert seen.raw_escapes == []
        # What is wider is one word, such as a file with its line, or a reference.
        assert [text for text in seen.too_wide if len(text.split()) > 1] == [], seen.text
        assert sorted(seen.text.split()) == sorted(" ".join(whole).split())
        begun = tuple(one.split()[0] for one in whole)
        assert all(text.startswith((*begun, "  ")) for text in seen.text.splitlines() if text)
