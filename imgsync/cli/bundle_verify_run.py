"""Run `bundle verify`: check, and print what was found."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imgsync.bundle.model import DOCUMENT_NAME
from imgsync.bundle.signature import read_signed_bundle
from imgsync.bundle.verify import verify_bundle
from imgsync.bundle.verify_alone import verify_volume
from imgsync.cli.bundle_folders import find_folders
from imgsync.cli.options import CommonOptions
from imgsync.cli.output import choose_layout, print_json, print_table
from imgsync.cli.progress_display import open_volume_display
from imgsync.cli.session import open_log
from imgsync.config.load import load_registries
from imgsync.progress.counts import Counts


def run_verify_bundle(path: str, volumes: Sequence[str], common: CommonOptions, *, output: str, heartbeat_seconds: float) -> int:
    """
    Verify a bundle or a volume; return the exit code.

    *path* is the folder of a bundle, with volumes in it and in the folders *volumes*, or the file of a volume.

    Raises:
        BundleError: There is none, it is not signed as required, or its document is damaged.
        ConfigError: The registry settings are invalid.
        UsageError: There is no *path*, or one of *volumes* is not a folder.
    """
    if volumes or not Path(path).exists() or Path(path).is_dir() or Path(path).name == DOCUMENT_NAME:
        return _verify_bundle(find_folders(path, volumes), common, output=output, heartbeat_seconds=heartbeat_seconds)
    return _verify_volume(Path(path), common, output=output, heartbeat_seconds=heartbeat_seconds)


@contextmanager
def _open_counts(common: CommonOptions, heartbeat_seconds: float) -> Iterator[Counts]:
    with open_log(common) as opened, open_volume_display(opened, progress=common.progress, heartbeat_seconds=heartbeat_seconds) as counts:
        yield counts


def _verify_bundle(folders: tuple[Path, ...], common: CommonOptions, *, output: str, heartbeat_seconds: float) -> int:
    bundle, signature = read_signed_bundle(folders, load_registries(common.registries, os.environ))
    with _open_counts(common, heartbeat_seconds) as counts:
        counts.on_volumes(len(bundle.volumes), sum(volume.size_bytes for volume in bundle.volumes))
        found = verify_bundle(folders, bundle, on_bytes=counts.on_volume_bytes, on_volume=counts.on_volume_read)
    if output == "json":
        from imgsync.documents.bundle_verification import encode_bundle_verification

        print_json(encode_bundle_verification(found, signature))
    else:
        from imgsync.render.bundle_verification import render_bundle_verification

        print_table(render_bundle_verification(found, signature, layout=choose_layout(sys.stdout)))
    return 0 if found.is_intact else 1


def _verify_volume(path: Path, common: CommonOptions, *, output: str, heartbeat_seconds: float) -> int:
    with _open_counts(common, heartbeat_seconds) as counts:
        counts.on_volumes(1, path.lstat().st_size)
        found = verify_volume(path, on_bytes=counts.on_volume_bytes)
    if output == "json":
        from imgsync.documents.bundle_verification import encode_volume_verification

        print_json(encode_volume_verification(found, path.name))
    else:
        from imgsync.render.bundle_verification import render_volume_verification

        print_table(render_volume_verification(found, path.name, layout=choose_layout(sys.stdout)))
    return 0 if found.is_intact else 1
