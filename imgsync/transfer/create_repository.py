"""Create destination repositories that a registry requires beforehand."""

from __future__ import annotations

from collections.abc import Callable

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import NotFoundError, RegistryError
from imgsync.oci.auth.aws import is_ecr
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.reference import Repository
from imgsync.transfer.model import Task


class RepositoryCreator:
    """Creates missing repositories, each once per run."""

    def __init__(self, create: Callable[[ImageStore, str], bool]) -> None:
        """Create with *create*, which returns False where that is not allowed."""
        self._create = create
        self._created: dict[Repository, bool] = {}
        self._flights: SingleFlight[Repository] = SingleFlight()

    def create(self, task: Task, error: RegistryError) -> None:
        """
        Create the destination repository, after *error* said that it may be missing.

        Raises:
            RegistryError: *error*, where creating is not allowed; else why creating failed.
        """
        repository = task.repository
        while repository not in self._created:
            self._flights.run(repository, lambda: self._created.update({repository: self._create(task.destination, repository.path)}))
        if not self._created[repository]:
            if isinstance(error, NotFoundError):
                error.hint = _hint(repository)
            raise error


def _hint(repository: Repository) -> str:
    """Return how to create *repository*."""
    how = f"aws ecr create-repository --repository-name {repository.path}" if is_ecr(repository.registry) else "in Harbor: its project"
    return f"create it first ({how}), or set `create_repositories: true` for {repository.registry} in registries.yaml"
