"""
What users of other tools write in their first hour, and the exact answer.

`mistakes.txt` holds each mistake and, below it, what `validate` says.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgsync.config.load import load_config
from imgsync.errors import ConfigError

BLOCK = re.compile(r"^=== (\S+)\n(.*?)^---\n(.*?)(?=^===|\Z)", re.MULTILINE | re.DOTALL)
MISTAKES = BLOCK.findall(Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8"))
HEAD = "version: 1\nmirrors:\n  - name: a\n"
GOOD = HEAD + "    source: registry.k8s.io/pause\n    destinations: [r.example.com/m]\n"


def write(kind: str, text: str) -> tuple[str, str]:
    """Return a file of mirrors.d and registries.yaml, one of them with the mistake *text*."""
    plain = "version: 1\n"
    if kind == "registries.yaml":
        return GOOD, text
    if kind == "file":
        return text, plain
    if kind == "setting":
        return GOOD + "".join(f"    {line}\n" for line in text.splitlines()), plain
    wrong = {"source": "registry.k8s.io/pause", "destination": "r.example.com/m"} | {kind: text.strip()}
    return f"{HEAD}    source: {wrong['source']}\n    destinations: [{wrong['destination']}]\n", plain


@pytest.mark.parametrize(("kind", "text", "answer"), [pytest.param(*one, id=f"{number}-{one[0]}") for number, one in enumerate(MISTAKES)])
def test_mistake_has_one_answer_at_its_place(kind, text, answer, tmp_path):
    """The hint says what to write, and nothing is said twice."""
    mirrors, settings = write(kind, text)
    (tmp_path / "a.yaml").write_bytes(mirrors.encode())
    (tmp_path / "registries.yaml").write_text(settings)
    try:
        config = load_config([str(tmp_path / "a.yaml")], registries=str(tmp_path / "registries.yaml"), environ={}, needs_variables=False)
        said = [f"warning: {warning}" for warning in sorted(config.warnings)]
    except ConfigError as error:
        said = [str(one) for one in error.errors]

    assert "\n".join(said).replace(f"{tmp_path}/", "") == answer.strip()
    assert len(MISTAKES) > 200
