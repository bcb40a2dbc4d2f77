"""Run the lines of a console block, without a shell: imgsync, git and openssl run, other programs do not."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from docs.stage.stage import Output, Program, Stage
from imgsync.demo.serve import describe_registries

# "exit code 2", or "exit code 2 if …".
_EXIT_CODE = re.compile(r"#.*\bexit code (\d+)( if)?")

_OFFLINE = {"convert", "init", "runtime-config", "schema", "show", "validate"}


class UnexpectedExitError(Exception):
    """A command ended otherwise than its line says."""


@dataclass
class Shell:
    """
    The folder and variables of a reader who types the lines of a page.

    Attributes:
        ran: The commands of imgsync that ran, without their options.
    """

    stage: Stage
    program: Program
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def run(self, line: str) -> str | None:
        """
        Run one line; return what it printed, None if it ran only other programs.

        Raises:
            UnexpectedExitError: The exit code is not the one in the line's comment, or 0 without one.
        """
        comment = _EXIT_CODE.search(line)
        expected = {0} if comment is None else {int(comment[1]), 0} if comment[2] else {int(comment[1])}
        printed = None
        for words, files in _split(line, {**self.stage.environment, **self.variables}):
            target = files.get(">")
            done = self._run(words, (self.folder / files["<"]).read_text(encoding="utf-8") if "<" in files else "")
            if done is None:
                continue
            if done.code not in expected:
                raise UnexpectedExitError(f"{line}: got exit code {done.code}\n{done.text}")
            if target:
                (self.folder / target).write_text(done.stdout, encoding="utf-8")
            printed = (printed or "") + (done.stderr if target else done.text)
        return printed

    def _run(self, words: list[str], text: str) -> Output | None:
        match words:
            case ["cd", folder]:
                self.folder /= folder
            case ["export", *settings]:
                self.variables.update(setting.split("=", 1) for setting in settings)  # type: ignore[misc] # each has a =
            case ["imgsync", "demo", "--serve", *_]:
                return Output(0, describe_registries("localhost:5001", "localhost:5000"))  # the stage has them
            case ["imgsync", *arguments] if arguments[0] in {"demo", "serve", "worker"} or "--broker" in arguments:
                return None  # each has registries or a broker of its own, and tests
            case ["imgsync", *arguments]:
                self.ran.append(arguments[0])
                arguments = [self._mount(argument) for argument in arguments]
                # Our registries answer under the names in the page. The files of the page stay as they are.
                if arguments[0] in _OFFLINE:
                    return self._unmount(self.program(arguments, self.folder, {**self.stage.environment, **self.variables}, text))
                arguments, file = _take_registries(arguments)
                connected = {"IMGSYNC_REGISTRIES": self.stage.connect(self.folder / file)}
                return self._unmount(self.program(arguments, self.folder, {**self.stage.environment, **self.variables, **connected}, text))
            case ["git", "clone", *_]:
                return None
            case ["git", *_]:
                subprocess.run(words, cwd=self.folder, env=self._git_environment(), capture_output=True, check=True)  # noqa: S603 - a line of our documentation
            case ["openssl", *arguments]:
                words = ["openssl", *map(self._mount, arguments)]
                subprocess.run(words, cwd=self.folder, env=self.stage.environment, capture_output=True, check=True)  # noqa: S603 - a line of our documentation
        return None

    @property
    def _media(self) -> str:
        """Return where disks are, relative: the length of a line must not depend on the folder of the stage."""
        return os.path.relpath(self.stage.folder / "media", self.folder)

    def _mount(self, argument: str) -> str:
        """Return *argument* with a disk below /media as a folder of the stage."""
        return f"{self._media}/{argument.removeprefix('/media/')}" if argument.startswith("/media/") else argument

    def _unmount(self, output: Output) -> Output:
        """Return *output* with the folders of the stage as disks."""
        return Output(output.code, *(text.replace(f"{self._media}/", "/media/") for text in (output.stdout, output.stderr)))

    def _git_environment(self) -> dict[str, str]:
        name = {f"GIT_{who}_{what}": "reader@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {**self.stage.environment, **name}


def _take_registries(arguments: list[str]) -> tuple[list[str], str]:
    """Return the arguments without `--registries FILE`, and the file."""
    if "--registries" not in arguments:
        return arguments, "registries.yaml"
    at = arguments.index("--registries")
    return [*arguments[:at], *arguments[at + 2 :]], arguments[at + 1]


def _split(line: str, variables: dict[str, str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield each command of a line, and the files that `<` and `>` name."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    files: dict[str, str] = {}
    for word in lexer:
        if word in {"&&", ";"}:
            yield words, files
            words, files = [], {}
        elif word in {"<", ">"}:
            files[word] = lexer.get_token() or ""
        else:
            words.append(_expand(word, variables))
    yield words, files


def _expand(word: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda name: variables.get(name[1], ""), word)
