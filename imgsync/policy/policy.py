"""
Check images against `require` of mirror and operator.

The plan checks, and each copy checks again. Results are kept by digest, so that the verified image is the one copied, and only for this run,
so that the state cannot vouch for an image. An image that cannot be verified is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.config.allowlist import is_required_below
from imgsync.config.model import Mirror, RegistriesConfig, Requirements
from imgsync.errors import ImgsyncError, StoppedError
from imgsync.images.image import ManifestCache
from imgsync.images.referrers import ReferrerReader
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.reference import Repository

_Key = tuple[str, Repository, str]


class ImagePolicy:
    """Checks images; without requirements it sends no request."""

    def __init__(self, config: RegistriesConfig, manifests: ManifestCache, referrers: ReferrerReader) -> None:
        """Share *manifests* and *referrers* with the copier."""
        self._config = config
        self._cache = manifests
        self._referrers = referrers
        self._problems: dict[_Key, str] = {}
        self._settings: dict[tuple[str, Repository], str] = {}
        self._flights: SingleFlight[_Key] = SingleFlight()

    def list_requirements(self, mirror: Mirror, repository: Repository) -> tuple[Requirements, ...]:
        """Return all requirements for images of *mirror* from *repository*."""
        from_operator = (require for prefix, require in self._config.require.items() if is_required_below(prefix, str(repository)))
        return tuple(filter(None, dict.fromkeys((mirror.require, *from_operator))))

    def describe_settings(self, mirror: Mirror, repository: Repository) -> str:
        """Return the settings that decide about an image, for records."""
        # With other keys or requirements, a recorded image is checked again.
        key = (mirror.name, repository)
        if key not in self._settings:
            required = self.list_requirements(mirror, repository)
            self._settings[key] = f"{mirror.selection};require={self._hash(required)}" if required else mirror.selection
        return self._settings[key]

    def find_problem(self, mirror: Mirror, client: ImageStore, repository: Repository, digest: str) -> str:
        """
        Return why the image *digest* may not be copied, or "".

        Raises:
            StoppedError: No time or no pulls are left to verify it.
        """
        required = self.list_requirements(mirror, repository)
        if not required:
            return ""
        key = (mirror.name, repository, digest)

        def check() -> None:
            self._problems[key] = self._check(mirror, required, client, repository, digest)

        while key not in self._problems:
            self._flights.run(key, check)
        return self._problems[key]

    def has_passed(self, mirror: Mirror, repository: Repository, digest: str) -> bool:
        """
        Return whether this run found the image acceptable.

        Sends no request: an image with requirements that was not checked has not passed.
        """
        return self._problems.get((mirror.name, repository, digest)) == "" or not self.list_requirements(mirror, repository)

    def _check(self, mirror: Mirror, required: tuple[Requirements, ...], client: ImageStore, repository: Repository, digest: str) -> str:
        # Imported now: few runs have requirements.
        from imgsync.policy.checks import Checks

        checks = Checks(mirror, client, repository, digest, config=self._config, cache=self._cache, referrers=self._referrers)
        try:
            found = dict.fromkeys(problem for require in required for problem in checks.find_problems(require))
        except StoppedError:
            raise
        except ImgsyncError as error:
            return f"cannot be verified now: {error.message}"
        return "; ".join(found)

    def _hash(self, required: tuple[Requirements, ...]) -> str:
        """
        Return a hash of the requirements.

        It covers keys and identities, not their names.
        """
        config = self._config
        resolved = [
            asdict(require)
            | {"keys": [(config.keys[name].public.fingerprint, config.keys[name].signed_as) for name in require.keys]}
            | {"identities": [asdict(config.identities[name]) for name in require.identities]}
            for require in required
        ]
        return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:16]
