"""Run `inventory`: read what registries hold, and write it to a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgsync.bundle.inventory import HeldRepository, encode_inventory
from imgsync.bundle.take_inventory import InventoryTaker, Place
from imgsync.cli.options import CommonOptions
from imgsync.cli.output import get_redaction, print_note
from imgsync.cli.results import check_writable
from imgsync.cli.session import open_session
from imgsync.cli.waiting import show_requests
from imgsync.config.load import load_registries
from imgsync.errors import OutputError
from imgsync.plan.list_names import parse_place
from imgsync.system.atomic_write import write_atomically
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count


@dataclass(slots=True)
class _Counts:
    repositories: int = 0
    tags: int = 0
    blobs: int = 0

    def count(self, found: Iterator[HeldRepository]) -> Iterator[HeldRepository]:
        for one in found:
            self.repositories += 1
            self.tags += len(one.tags)
            self.blobs += len(one.blobs)
            yield one


def run_inventory(names: Sequence[str], out: str, common: CommonOptions) -> int:
    """
    Write the inventory of *names* to *out*; return the exit code.

    Raises:
        InvalidReferenceError: A name is malformed.
        OutputError: The file cannot be written.
        StoppedError: The run was stopped; nothing was written.
    """
    check_writable(out)
    settings = load_registries(common.registries, os.environ)
    places = tuple(dict.fromkeys(Place(settings.find_name(registry), path) for registry, path in map(parse_place, names)))
    counts = _Counts()
    with open_session(settings, common, read_only=True) as session, show_requests(session, verb="Reading"):
        taker = InventoryTaker(session.registries, session.state, log=session.log, check=session.stop.raise_if_requested, clean=get_redaction().clean)
        pieces = encode_inventory(sorted(map(str, places)), counts.count(taker.iter_repositories(places)), taker.errors)
        session.finish(lambda: _write(out, pieces))
    missing = f"; {format_count(len(taker.errors), 'error')}, so it is not complete" if taker.errors else ""
    what = f"{format_count(counts.repositories, 'repository', 'repositories')}, {format_count(counts.tags, 'tag')}, {format_count(counts.blobs, 'blob')}"
    print_note(f"Wrote {what} to {sanitize_short(out)}{missing}.")
    return 1 if taker.errors else 0


def _write(path: str, pieces: Iterator[bytes]) -> None:
    try:
        # Resolved: the final rename would replace a symlink by a file.
        write_atomically(Path(path).resolve(), pieces, private=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
