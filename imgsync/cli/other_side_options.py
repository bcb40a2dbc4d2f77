"""Options that say what the other side of an air gap has."""

from __future__ import annotations

from imgsync.cli.options import Function, complete_by, option


def other_side_options(function: Function) -> Function:
    """Add the options that say what the other side has."""
    for add in (
        option(
            "--since",
            multiple=True,
            metavar="DIR|FILE",
            shell_complete=complete_by("complete_file"),
            help="A bundle that the other side has loaded: its folder or imgsync-bundle.json. Repeatable: all before it are needed too.",
        ),
        option("--have", multiple=True, metavar="FILE", help="What the other side has: from `imgsync inventory` or `imgsync state export`; repeatable."),
    ):
        function = add(function)
    return function
