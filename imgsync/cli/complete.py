"""Complete options and arguments in a shell, without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, split_arg_string

from imgsync.cli.options import DEFAULT_PATH

# As the schema has it. Anything else, such as `$(…)`, must not come into a command line.
_PATH = re.compile("[a-z0-9][a-z0-9._/-]*")
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def complete_file(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a file."""
    return [CompletionItem(incomplete, type="file")]


def complete_folder(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a folder."""
    return [CompletionItem(incomplete, type="dir")]


def complete_command(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return commands, or the commands of the group that the line names."""
    found = context.find_root()
    for name in context.params.get("names") or ():
        command = found.command.get_command(found, name) if isinstance(found.command, click.Group) else None
        if command is None:
            return []
        found = click.Context(command, info_name=name, parent=found)
    return found.command.shell_complete(found, incomplete) if isinstance(found.command, click.Group) else []


def complete_mirror(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return mirrors with their descriptions; after `NAME/`, the repositories of that mirror."""
    from imgsync.text.sanitize import sanitize_short

    found: dict[str, str] = {}
    for mirror in _read_mirrors(_find_paths() or (DEFAULT_PATH,)):
        names = [f"{mirror['name']}/{path}" for path in _list_repositories(mirror)] if "/" in incomplete else [mirror["name"]]
        found |= dict.fromkeys(names, sanitize_short(str(mirror.get("description", ""))))
    return [CompletionItem(name, help=text or None) for name, text in found.items() if name.startswith(incomplete)]


def _list_repositories(mirror: dict[str, Any]) -> list[str]:
    """Return the repositories that *mirror* names, without those of namespaces."""
    source = mirror.get("source")
    paths = [source.partition("/")[2]] if isinstance(source, str) else source.get("repositories") if isinstance(source, dict) else ()
    return [path for path in paths or () if isinstance(path, str) and _PATH.fullmatch(path)]


def _find_paths() -> tuple[str, ...]:
    """Return the files and folders on the command line."""
    # click does not parse a line whose last option has no value yet.
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))[2:]
    return tuple(word for word in words if not word.startswith("-") and Path(word).exists())


def _read_mirrors(paths: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the mirrors of all readable files, without reporting errors."""
    from imgsync.config.files import list_files
    from imgsync.config.yaml_reader import parse_documents, read_limited

    for file in list_files(paths, []):
        try:
            documents, _ = parse_documents(read_limited(file), file=file)
        except OSError:
            continue
        for document in documents:
            mirrors = document.value.get("mirrors") if isinstance(document.value, dict) else None
            yield from (one for one in mirrors or () if isinstance(one, dict) and _NAME.fullmatch(str(one.get("name"))))
