"""
Check which external layers the sources have.

A registry may lack a layer whose descriptor has URLs, such as those of Windows. It is copied if its source registry has it, and left out
otherwise; its URLs are never followed.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.concurrency.workers import map_unordered
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository


class ExternalLayers:
    """Checks external layers, each once per run."""

    def __init__(self) -> None:
        """Start with nothing checked."""
        self._is_served: dict[tuple[Repository, str], bool] = {}
        self._flights: SingleFlight[tuple[Repository, str]] = SingleFlight()

    def is_served(self, client: ImageStore, repository: Repository, layer: Descriptor) -> bool:
        """
        Return whether the source *repository* has *layer*.

        Raises:
            RegistryError: The source fails.
        """
        key = (repository, layer.digest)
        while key not in self._is_served:
            self._flights.run(key, lambda: self._is_served.update({key: client.has_blob(repository, layer)}))
        return self._is_served[key]

    def list_absent(self, client: ImageStore, repository: Repository, blobs: Iterable[Descriptor], *, limit: int) -> tuple[Descriptor, ...]:
        """
        Return the external ones of *blobs* that the source lacks.

        Sends one request for each external one, *limit* at once.

        Raises:
            RegistryError: The source fails.
        """
        external = [blob for blob in blobs if blob.is_external]
        served = dict(map_unordered(lambda blob: (blob.digest, self.is_served(client, repository, blob)), external, limit=limit))
        return tuple(blob for blob in external if not served[blob.digest])
