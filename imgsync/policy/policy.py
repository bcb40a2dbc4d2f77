"""
Whether an image satisfies what its mirror and the operator require: one per run, asked in the plan and again before each copy.

Verdicts are of this run alone: by digest, so that what was verified is what is copied, and never written down, so that no state can vouch for
an image. What cannot be verified is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.config.allowlist import is_allowed
from imgsync.config.model import Mirror, RegistriesConfig, Requirements
from imgsync.errors import ImgsyncError, StoppedError
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.reference import Repository

_DOCKER_HUB = "docker.io/"
_OFFICIAL = "docker.io/library/"
_Key = tuple[str, Repository, str]


class ImagePolicy:
    """Checks images against `require`. Where nothing is required it asks nobody."""

    def __init__(self, config: RegistriesConfig, manifests: ManifestCache, referrers: ReferrerReader) -> None:
        """Believe the signers of *config*, and ask what its operator asks; share *manifests* and *referrers* with whoever copies."""
        self._config = config
        self._cache = manifests
        self._referrers = referrers
        self._problems: dict[_Key, str] = {}
        self._selections: dict[tuple[str, Repository], str] = {}
        self._flights: SingleFlight[_Key] = SingleFlight()

    def list_requirements(self, mirror: Mirror, repository: Repository) -> tuple[Requirements, ...]:
        """Return what images of *mirror* from the source *repository* have to satisfy, all of it; empty where that is nothing."""
        by_operator = (require for prefix, require in self._config.require.items() if _is_below(repository, prefix))
        return tuple(filter(None, dict.fromkeys((mirror.require, *by_operator))))

    def describe_settings(self, mirror: Mirror, repository: Repository) -> str:
        """Return the settings that shape or admit an image, as the state remembers them: other keys or demands, and it is looked at anew."""
        key = (mirror.name, repository)
        if key not in self._selections:
            required = self.list_requirements(mirror, repository)
            self._selections[key] = f"{mirror.selection};require={self._digest(required)}" if required else mirror.selection
        return self._selections[key]

    def find_problem(self, mirror: Mirror, client: RegistryClient, repository: Repository, digest: str) -> str:
        """
        Return why the image of *digest* may not be copied from *repository*, in words; "" when it may. Asked for once in a run.

        Raises:
            StoppedError: There is no time, or no pull, left to find out.
        """
        required = self.list_requirements(mirror, repository)
        if not required:
            return ""
        key = (mirror.name, repository, digest)

        def look() -> None:
            self._problems[key] = self._found(mirror, required, client, repository, digest)

        while key not in self._problems:
            self._flights.run(key, look)
        return self._problems[key]

    def has_passed(self, mirror: Mirror, repository: Repository, digest: str) -> bool:
        """Return whether nothing is required of the image of *digest*, or this run found that it satisfies all of it. Asks nobody."""
        return self._problems.get((mirror.name, repository, digest)) == "" or not self.list_requirements(mirror, repository)

    def _found(self, mirror: Mirror, required: tuple[Requirements, ...], client: RegistryClient, repository: Repository, digest: str) -> str:
        # Imported now: few runs require anything.
        from imgsync.policy.checks import Checks

        checks = Checks(mirror, client, repository, digest, config=self._config, cache=self._cache, referrers=self._referrers)
        try:
            found = dict.fromkeys(problem for require in required for problem in checks.problems(require))
        except StoppedError:
            raise
        except ImgsyncError as error:
            # Whatever cannot be asked vouches for nothing.
            return f"cannot be verified now: {error.message}"
        return "; ".join(found)

    def _digest(self, required: tuple[Requirements, ...]) -> str:
        """Return what tells these demands from others: names stand for who they mean, so that another key of the same name counts as another."""
        config = self._config
        said = [
            asdict(require)
            | {"keys": [(config.keys[name].public.fingerprint, config.keys[name].signed_as) for name in require.keys]}
            | {"identities": [asdict(config.identities[name]) for name in require.identities]}
            for require in required
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _is_below(repository: Repository, prefix: str) -> bool:
    """Return whether the operator means *repository* by *prefix*; Docker Hub's `docker.io/nginx` is docker.io/library/nginx too."""
    path = str(repository)
    short = _DOCKER_HUB + path.removeprefix(_OFFICIAL) if path.startswith(_OFFICIAL) else path
    return is_allowed((prefix,), path) or is_allowed((prefix,), short)
