"""The tutorial's commands print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.images import index, push
from tests.test_docs import FENCE, ROOT

# What the reader does beside imgsync, and a test need not.
OF_OTHERS = ("docker ", "python3 ", ". venv", "pip ", "git ")


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def shows(output: str, line: str) -> bool:
    """Return whether *output* has *line*, in which … stands for any text."""
    return re.search(".*".join(map(re.escape, squeezed(line).split("…"))), squeezed(output)) is not None


def test_tutorial_works_step_by_step(lab):
    """Every step in order, with our own registries."""
    for tag in ("3.8", "3.9", "3.10"):
        push(lab.source_registry, "pause", tag, index(f"tutorial {tag}"))

    def ours(text: str) -> str:
        return text.replace("registry.k8s.io", lab.source_registry.host).replace("localhost:5000", lab.destination_registry.host)

    folder, output, ran = lab.folder, "", []
    for kind, block in FENCE.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        if kind == "yaml":
            # The source is spoken to in plain http here, too.
            text = ours(block).replace("registries:\n", f"registries:\n  {lab.source_registry.host}: {{tls: false}}\n")
            (folder / Path(block.partition("\n")[0].removeprefix("# "))).write_text(text, encoding="utf-8")
        elif kind == "text":
            assert [line for line in ours(block).splitlines() if not shows(output, line)] == [], output
        for line in block.splitlines() if kind == "console" else []:
            command = ours(line.removeprefix("$ "))
            if command.startswith("cd "):
                folder /= command.removeprefix("cd ")
            elif not command.startswith(OF_OTHERS):
                program, *arguments = shlex.split(command)
                done = lab.workplace.run(*arguments, cwd=folder)
                assert (program, done.code) == ("imgsync", 0), done.stderr
                output = done.stdout
                ran.append(arguments[0])

    assert ran == ["init", "validate", "login-check", "plan", "apply", "apply", "verify"]
