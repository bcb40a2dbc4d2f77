"""`imgsync completion`: print the completion script of a shell."""

from __future__ import annotations

import click

from imgsync.cli.output import print_line

# The character \b keeps the lines of a paragraph.
_HELP = """Print a completion script: commands, options, values, mirrors, files.

\b
bash: mkdir -p ~/.local/share/bash-completion/completions
      imgsync completion bash \\
        > ~/.local/share/bash-completion/completions/imgsync
zsh:  imgsync completion zsh > "${fpath[1]}/_imgsync"
fish: mkdir -p ~/.config/fish/completions
      imgsync completion fish \\
        > ~/.config/fish/completions/imgsync.fish
"""
_VARIABLE = "_IMGSYNC_COMPLETE"


@click.command("completion", help=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script of *shell*, which click makes."""
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click has all three
    script = found(click.get_current_context().find_root().command, {}, "imgsync", _VARIABLE)
    # Not its own `source`, which runs bash to see its version: the script may be for another machine.
    print_line(ShellComplete.source(script).strip("\n"))
    return 0
