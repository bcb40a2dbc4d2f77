"""Run `inventory`: read what registries hold, and write it to a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime
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
from imgsync.oci.spec.reference import Repository
from imgsync.plan.list_names import parse_place
from imgsync.system.atomic_write import write_atomically
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count, format_timestamp


@dataclass(slots=True)
class _Counts:
    repositories: int = 0
    tags: int = 0
    blobs: int = 0
    found: set[Place] = field(default_factory=set)

    def count(self, found: Iterator[HeldRepository]) -> Iterator[HeldRepository]:
        for one in found:
            self.repositories += 1
            self.tags += len(one.tags)
            self.blobs += len(one.blobs)
            self.found.update(_list_places(one.repository))
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
    # What is pushed while it is read may be missing.
    began = format_timestamp(datetime.now(UTC))
    with open_session(settings, common, read_only=True) as session, show_requests(session, verb="Reading"):
        taker = InventoryTaker(session.registries, session.state, log=session.log, check=session.stop.raise_if_requested, clean=get_redaction().clean)
        pieces = encode_inventory(sorted(map(str, places)), counts.count(taker.iter_repositories(places)), taker.errors, created_at=began)
        session.finish(lambda: _write(out, pieces))
    for place in places:
        if place not in counts.found and not taker.errors:
            print_note(f"Nothing is at {sanitize_short(str(place))}: if that is not because it is new, check the name.")
    missing = f"; {format_count(len(taker.errors), 'error')}, so it is not complete" if taker.errors else ""
    what = f"{format_count(counts.repositories, 'repository', 'repositories')}, {format_count(counts.tags, 'tag')}, {format_count(counts.blobs, 'blob')}"
    print_note(f"Wrote {what} to {sanitize_short(out)}{missing}.")
    return 1 if taker.errors else 0


def _list_places(repository: Repository) -> Iterator[Place]:
    """Yield the registry, namespaces and path of *repository*."""
    parts = repository.path.split("/")
    return (Place(repository.registry, "/".join(parts[:count])) for count in range(len(parts) + 1))


def _write(path: str, pieces: Iterator[bytes]) -> None:
    try:
        # Resolved: the final rename would replace a symlink by a file.
        write_atomically(Path(path).resolve(), pieces, private=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
