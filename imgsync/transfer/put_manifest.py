"""Push one manifest of a copy."""

from __future__ import annotations

from imgsync.errors import RegistryError
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference
from imgsync.transfer.model import Task


def put_manifest(task: Task, reference: Reference, manifest: Manifest) -> bool:
    """Push *manifest*; note a refusal, which may concern its parts."""
    try:
        return task.destination.push_manifest(reference, manifest)
    except RegistryError as error:
        task.repair.note_refusal(error, manifest.digest)
        raise
