"""`imgsync bundle create`: write what the other side lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from imgsync.cli.options import (
    Size,
    apply_options,
    config_options,
    lock_options,
    option,
    output_option,
    parse_apply_options,
    parse_common_options,
    parse_lock_use,
    paths_argument,
    run_options,
)
from imgsync.cli.other_side_options import other_side_options


@click.command("create", short_help="Write the images that the other side lacks.")
@paths_argument
@option("--out", metavar="DIR", required=True, help="The folder to write to, such as a disk. An interrupted bundle there is continued.")
@other_side_options
@option("--plan", "plan_file", metavar="FILE", default=None, help="Carry exactly this plan, which `plan --out` saved, with the same --have or --since.")
@option("--volume-size", type=Size(), default=None, help="The most bytes of a volume, such as 4GiB. Default: one volume.")
@option("--name", metavar="NAME", default="imgsync-bundle", show_default=True, help="How the names of the volumes begin.")
@option("--volume", type=click.IntRange(min=1), default=None, help="Make only this volume of the bundle in DIR again.")
@option("--dry-run", is_flag=True, help="Only plan, as `imgsync plan` does with --have or --since. Nothing is written.")
@output_option("table", "json")
@lock_options
@apply_options
@config_options
@run_options
def create_bundle(paths: tuple[str, ...], only: tuple[str, ...], output: str, **options: Any) -> int:
    """
    Write a bundle of the images that the other side lacks.

    A bundle is imgsync-bundle.json and volumes, to be loaded there by `imgsync bundle
    load`. The destinations are not contacted: what they have is what --have or
    --since says, and nothing without them. The record of pushed images is neither
    read nor written, except for when a digest was first seen, for min_age.

    The same command continues after an interruption, and makes the same bytes again.
    """
    common, lock = parse_common_options(options), parse_lock_use(options)
    apply = parse_apply_options(output, {**options, "refresh": False})
    if options["dry_run"]:
        from imgsync.cli.bundle_create_dry import run_create_dry

        return run_create_dry(paths, only, options, apply, common, lock=lock)
    from imgsync.bundle.lay_out import LayoutOptions
    from imgsync.cli.bundle_create_run import CreateOptions, run_create

    create = CreateOptions(
        folder=Path(options["out"]),
        have=options["have"],
        since=options["since"],
        plan_file=options["plan_file"],
        layout=LayoutOptions(options["volume_size"], options["name"]),
        only_volume=options["volume"],
    )
    return run_create(paths, only, create, apply, common, lock=lock)
