"""
Find the images that a Dockerfile builds from.

A small reader of our own, since only a few instructions name images: FROM, `COPY --from`, `RUN --mount=from` and the `# syntax` line.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator

from imgsync.discover.model import FoundImage
from imgsync.discover.names import make_unresolved, read_name
from imgsync.discover.variables import UnknownVariableError, fill_in
from imgsync.system.dataclass import dataclass

_DIRECTIVE = re.compile(r"#\s*(?P<name>[A-Za-z]+)\s*=\s*(?P<value>\S+)\s*$", re.ASCII)
_INSTRUCTION = re.compile(r"\s*(?P<name>[A-Za-z]+)(?:\s+(?P<rest>.*))?$", re.ASCII | re.DOTALL)
_FLAG = re.compile(r"--(?P<name>[a-z-]+)(?:=(?P<value>\S+))?\s*")
_HEREDOC = re.compile(r"<<(?P<strip>-)?(?P<quote>[\"']?)(?P<word>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)", re.ASCII)
_WITH_HEREDOC = frozenset({"RUN", "COPY", "ADD"})
_ARGUMENT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:=(?P<value>\"[^\"]*\"|'[^']*'|\S*))?", re.ASCII)
_BUILT_IN = {
    "TARGETPLATFORM": "linux/amd64",
    "BUILDPLATFORM": "linux/amd64",
    "TARGETOS": "linux",
    "TARGETARCH": "amd64",
    "BUILDOS": "linux",
    "BUILDARCH": "amd64",
}


@dataclass(frozen=True, slots=True)
class _Instruction:
    """An instruction with its flags, its other text, and its first line."""

    name: str
    rest: str
    line: int


def find_in_dockerfile(data: bytes, *, file: str, first_line: int = 1) -> Iterator[FoundImage]:
    """Yield the images that a Dockerfile builds from, without its stages."""
    lines = data.decode("utf-8-sig", "replace").splitlines()
    directives = _read_directives(lines)
    if "syntax" in directives:
        text, line = directives["syntax"]
        yield read_name(text).place(file, first_line + line - 1, "# syntax")
    yield from _Stages(file, first_line).find(_read_instructions(lines, escape=directives.get("escape", ("\\", 0))[0]))


class _Stages:
    """The stages and build arguments that were read so far."""

    def __init__(self, file: str, first_line: int) -> None:
        self._file, self._first_line = file, first_line
        self._stages: set[str] = set()
        self._count = 0
        self._before_from: dict[str, str] = {}
        self._arguments: dict[str, str] = {}

    def find(self, instructions: Iterator[_Instruction]) -> Iterator[FoundImage]:
        for one in instructions:
            flags, rest = _split_flags(one.rest)
            if one.name == "FROM":
                yield from self._find_base(one, rest)
            elif one.name == "ARG":
                self._read_arguments(one.rest)
            elif one.name in {"COPY", "ADD"}:
                yield from (found for flag, value in flags if flag == "from" for found in self._describe(value, one, "--from", self._arguments))
            elif one.name == "RUN":
                mounts = (part.removeprefix("from=") for flag, value in flags if flag == "mount" for part in value.split(",") if part.startswith("from="))
                yield from (found for value in mounts for found in self._describe(value, one, "--mount from", self._arguments))

    def _find_base(self, one: _Instruction, rest: str) -> Iterator[FoundImage]:
        words = rest.split()
        if not words:
            return
        yield from self._describe(words[0], one, "", self._before_from)
        if len(words) == 3 and words[1].lower() == "as":
            self._stages.add(words[2].lower())
        self._count += 1
        self._arguments = {}

    def _read_arguments(self, rest: str) -> None:
        """
        Remember the defaults of ARG.

        Those before FROM hold in FROM alone, until a stage names them again.
        """
        known = self._arguments if self._count else self._before_from
        for found in _ARGUMENT.finditer(rest):
            name, value = found["name"], found["value"]
            if value is not None:
                try:
                    known[name] = fill_in(value.strip("\"'"), ChainMap(known, _BUILT_IN))
                except UnknownVariableError:
                    known.pop(name, None)
            elif self._count and name in self._before_from:
                known[name] = self._before_from[name]

    def _describe(self, text: str, one: _Instruction, flag: str, arguments: dict[str, str]) -> Iterator[FoundImage]:
        text = text.strip("\"'")
        line = self._first_line + one.line - 1
        field = f"{one.name} {flag}".strip()
        try:
            name = fill_in(text, ChainMap(arguments, _BUILT_IN))
        except UnknownVariableError as error:
            yield make_unresolved(text, f"{error} has no default").place(self._file, line, field)
            return
        is_stage = name.lower() in self._stages or (bool(flag) and name.isdigit())
        if not is_stage and name and name != "scratch":
            yield read_name(name, written=text).place(self._file, line, field)


def _read_directives(lines: list[str]) -> dict[str, tuple[str, int]]:
    """Return the parser directives at the top, with their lines."""
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines, 1):
        directive = _DIRECTIVE.match(line)
        if directive is None or directive["name"].lower() in found:
            break
        found[directive["name"].lower()] = (directive["value"], number)
    return found


def _read_instructions(lines: list[str], *, escape: str) -> Iterator[_Instruction]:
    """Yield the instructions, with continued lines joined and heredocs left out."""
    at = 0
    while at < len(lines):
        first = at
        parts: list[str] = []
        while at < len(lines):
            line = lines[at]
            at += 1
            if line.lstrip().startswith("#") or (parts and not line.strip()):
                continue
            stripped = line.rstrip()
            if not parts:
                first = at - 1
            if not stripped.endswith(escape):
                parts.append(stripped)
                break
            parts.append(stripped[: -len(escape)])
        found = _INSTRUCTION.match("".join(parts))
        if found is None:
            continue
        name, rest = found["name"].upper(), found["rest"] or ""
        if name == "ONBUILD" and (triggered := _INSTRUCTION.match(rest)) is not None:
            name, rest = triggered["name"].upper(), triggered["rest"] or ""
        yield _Instruction(name, rest, first + 1)
        if name in _WITH_HEREDOC:
            at = _skip_heredocs(lines, at, rest)


def _skip_heredocs(lines: list[str], at: int, rest: str) -> int:
    """Return the line after the heredocs that *rest* begins."""
    for heredoc in _HEREDOC.finditer(rest):
        while at < len(lines):
            line = lines[at].lstrip("\t") if heredoc["strip"] else lines[at]
            at += 1
            if line == heredoc["word"]:
                break
    return at


def _split_flags(rest: str) -> tuple[list[tuple[str, str]], str]:
    """Return the flags of an instruction, and the text after them."""
    flags: list[tuple[str, str]] = []
    at = 0
    while (found := _FLAG.match(rest, at)) is not None and found.end() > at:
        flags.append((found["name"], found["value"] or ""))
        at = found.end()
    return flags, rest[at:]
