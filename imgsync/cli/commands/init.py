"""`imgsync init`: create a mirror repository."""

from __future__ import annotations

from pathlib import Path

import click

from imgsync.cli.options import complete_by, option
from imgsync.cli.output import print_line


@click.command("init")
@click.argument("directory", metavar="[DIR]", shell_complete=complete_by("complete_folder"), default=".")
@option("--missing", is_flag=True, help="Write only missing files. Without it, an existing file is an error, and nothing is written.")
@option("--source", metavar="REGISTRY/REPOSITORY", default="registry.k8s.io/pause", show_default=True, help="The image in the example.")
@option("--destination", metavar="REGISTRY/NAMESPACE", default="registry.example.com/mirror", show_default=True, help="The destination in the example.")
@option("--ci", type=click.Choice(["all", "github", "gitlab", "none"]), default="all", show_default=True, help="The CI systems to write pipelines for.")
def command(directory: str, ci: str, source: str, destination: str, missing: bool) -> int:
    """
    Create a mirror repository in DIR: mirrors.d, CI workflows, pre-commit.

    Existing files are never overwritten.
    """
    from imgsync.init.origin import find_origin
    from imgsync.init.render_files import CI, render_files
    from imgsync.init.write_files import write_files

    files = render_files(destination, source=source, ci=CI if ci == "all" else [system for system in CI if system == ci])
    written = write_files(Path(directory), files, missing_only=missing)
    if written.created:
        print_line(f"Created in {directory}:")
    for path in written.created:
        print_line(f"  {path}")
    if written.kept:
        print_line(f"Already there, unchanged: {', '.join(written.kept)}")
    print_line("Next:")
    if Path(directory).resolve() != Path.cwd():
        print_line(f"  cd {directory}")
    print_line("  imgsync validate    # checks the configuration without a network")
    print_line("  imgsync plan        # shows what would be mirrored")
    if not find_origin().is_git:
        print_line("Before CI can install imgsync, which is not on PyPI yet:")
        print_line("  fill in requirements.txt and .pre-commit-config.yaml (requirements.txt says how)")
    print_line("README.md explains how to propose mirrors and which secrets CI needs.")
    return 0
