"""`imgsync validate`: check the configuration without a network."""

from __future__ import annotations

import os

import click

from imgsync.cli.options import config_options, ignored_run_options, option, paths_argument
from imgsync.cli.output import print_line, print_text


@click.command("validate")
@paths_argument
@config_options
@ignored_run_options
@option("--show", is_flag=True, help="Print the configuration with its defaults; secrets are hidden.")
def command(paths: tuple[str, ...], registries: str | None, only: tuple[str, ...], show: bool) -> int:
    """Check the configuration, and print every error."""
    from imgsync.config.load import load_config
    from imgsync.text.units import format_count

    config = load_config(paths, registries=registries, environ=os.environ, only=only, needs_variables=False)
    is_part = any(pattern.is_part for pattern in config.only)
    if is_part:
        from imgsync.config.only_check import check_images

        check_images(config.mirrors, config.only)
    if config.warnings:
        from imgsync.cli.config_errors import print_config_warnings

        print_config_warnings(config.warnings)
    if show:
        from imgsync.config.show import show_config

        print_text(show_config(config))
        return 0
    targets = {target for mirror in config.mirrors for target in mirror.destinations}
    counts = (format_count(len(config.files), "file"), format_count(len(config.mirrors), "mirror"), format_count(len(targets), "destination"))
    good, unchecked = ("valid", "; `imgsync plan` checks whether the registry has what --only names") if is_part else ("all good", "")
    result = format_count(len(config.warnings), "warning") if config.warnings else good
    print_line(f"{', '.join(counts)}: {result}{unchecked}.")
    return 0
