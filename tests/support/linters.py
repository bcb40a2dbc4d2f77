"""Linters and schemas of other ecosystems, as checks of a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.workflow_scripts import Script, github_scripts, gitlab_scripts

Check = Callable[[Path], None]

# Widths and blanks are a matter of taste; what is wrong is not.
_YAMLLINT = """
extends: default
rules:
  line-length: {max: 160}
  document-start: disable
  comments: {min-spaces-from-content: 1}
  comments-indentation: disable
  truthy: {check-keys: false}
"""


def tool(name: str, *arguments: str | Path, cwd: Path | None = None, input: str | None = None) -> str:  # noqa: A002 - as subprocess names it
    """Run a tool of the developers' environment; it has to be content."""
    own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
    command = [str(Path(sys.executable).with_name(name)), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=own, input=input, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{name} {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def yaml_is_tidy(file: Path) -> None:
    """Yamllint has nothing to say."""
    tool("yamllint", "--strict", "-d", _YAMLLINT, file)


def fits(schema: str, *options: str) -> Check:
    """Return the check that a file fits a schema that check-jsonschema ships."""

    def check(file: Path) -> None:
        tool("check-jsonschema", "--builtin-schema", schema, *options, file)

    return check


def is_a_schema(file: Path) -> None:
    """The file is a JSON schema by its own metaschema."""
    tool("check-jsonschema", "--check-metaschema", file)


def is_secure(file: Path) -> None:
    """Zizmor finds nothing, code smells included."""
    tool("zizmor", "--offline", "--no-progress", "--pedantic", "--strict-collection", file)


def markdown_is_tidy(file: Path) -> None:
    """PyMarkdown has nothing to say, but for the width of lines."""
    tool("pymarkdown", "--disable-rules", "md013", "scan", file)


def dockerfile_is_sound(file: Path) -> None:
    """Hadolint has nothing to say."""
    tool("hadolint", file)


def shell_is_sound(file: Path) -> None:
    """Assert that scripts pass ShellCheck and contain no injectable expression."""
    scripts = list(gitlab_scripts(file) if file.name == ".gitlab-ci.yml" else github_scripts(file))
    assert scripts
    for script in scripts:
        _script_is_sound(script)


def _script_is_sound(script: Script) -> None:
    assert "${{" not in script.text, script.name
    tool("shellcheck", "--shell", "bash", "-", input=script.text)
