"""Hold what several laws use."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from imgsync.oci.errors import Operation
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.reference import Repository

OPERATION = Operation("ask", "r.corp.com/app", "source")
REPOSITORY = Repository("r.corp.com", "app")
BLOB = Descriptor("x/y", compute_digest(b"content of a blob"), 17)
MOMENT = "2026-01-01T00:00:00Z"
DATE = datetime(2026, 1, 1, tzinfo=UTC)


@functools.cache
def make_folder() -> Path:
    """
    Return a folder of this process, in memory if possible.

    It is deleted when the process ends.
    """
    shared = Path("/dev/shm")  # noqa: S108 - a folder with a unique name is created in it
    folder = tempfile.mkdtemp(prefix=f"imgsync-laws-{os.getpid()}-", dir=shared if os.access(shared, os.W_OK) else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
