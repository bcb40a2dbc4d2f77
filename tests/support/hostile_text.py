"""Text that terminals and CI runners would obey."""

from __future__ import annotations

import re
import unicodedata

# What a registry or a file's name may say: escapes, text that reads backwards, and commands of GitHub, Azure Pipelines and TeamCity.
COMMANDS = ("::add-mask::a", "::set-output name=x::y", "##[add-mask]a", "##vso[task.setvariable variable=PATH]evil", "##teamcity[buildStop]")


EVIL = "\x1b]0;pwned\x07\x1b[2J \u202egnp.exe \x9b31m\r\n" + "\r\n".join(COMMANDS) + "\n  ::stop-commands::x\n"


TEXTS = (EVIL, *COMMANDS, *(f"  {command}" for command in COMMANDS))


def obeyed(text: str) -> list[str]:
    """
    Return what a terminal or a CI runner would obey in *text*.

    Escapes, text directions and commands; GitHub's runner reads `##[` anywhere in a line.
    """
    unseen = {character for character in text if character != "\n" and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}}
    lines = [line for line in text.split("\n") if line.lstrip().startswith("::")]
    return [*map(repr, sorted(unseen)), *lines, *re.findall(r"##\w*\[[^\]]*", text)]
