"""`imgsync init`: a new mirror repository."""

from __future__ import annotations

from pathlib import Path

import click

from imgsync.cli.options import option


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".")
@option("--missing", is_flag=True, help="Write only the files that are absent; without it, any that is there stops the command before it writes.")
@option(
    "--destination", metavar="REGISTRY/NAMESPACE", default="registry.example.com/mirror", show_default=True, help="Where the example's images are mirrored to."
)
@option("--ci", type=click.Choice(["all", "github", "gitlab", "none"]), default="all", show_default=True, help="Whose pipelines to write.")
def command(directory: str, ci: str, destination: str, missing: bool) -> int:
    """Make a new mirror repository in DIR: mirrors.d, CI workflows, pre-commit. No file is ever written over."""
    from imgsync.init.files import CI, new_files
    from imgsync.init.write import write_files

    files = new_files(destination, ci=CI if ci == "all" else [system for system in CI if system == ci])
    written = write_files(Path(directory), files, missing_only=missing)
    if written.created:
        click.echo(f"Created in {directory}:")
    for path in written.created:
        click.echo(f"  {path}")
    if written.left:
        click.echo(f"Left as {'it is' if len(written.left) == 1 else 'they are'}: {', '.join(written.left)}")
    click.echo("Next:")
    if Path(directory).resolve() != Path.cwd():
        click.echo(f"  cd {directory}")
    click.echo("  imgsync validate    # checks the declaration without a network")
    click.echo("  imgsync plan        # shows what would be mirrored")
    click.echo("README.md tells how mirrors are proposed and which secrets CI needs.")
    return 0
