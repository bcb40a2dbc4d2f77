"""
Find credentials that registries.yaml does not declare, in auth files and helpers.

Order: containers' files, then docker's. In each file: the registry's own helper, else the file's entry, else the helper for every registry. Then the
cloud's login, else anonymous.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from imgsync.errors import CredentialsError
from imgsync.oci.auth.auth_files import AuthFile
from imgsync.oci.endpoint import Credentials
from imgsync.system.dataclass import dataclass

# Helpers do not report an expiry; cloud tokens live at least fifteen minutes.
_ANSWER_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class _Answer:
    credentials: Credentials | None
    ends: float


class Keychain:
    """The credentials of one run; helpers' answers are cached ten minutes."""

    def __init__(
        self,
        files: Sequence[AuthFile],
        *,
        ask: Callable[[str, str], Credentials | None],
        ask_cloud: Callable[[str], Credentials | None] = lambda _: None,
        on_secret: Callable[[Iterable[str]], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """
        Search *files*.

        Args:
            files: The auth files, by precedence.
            ask: Asks a helper (name, registry).
            ask_cloud: Asked for a registry without other credentials.
            on_secret: Called with every secret before it is used.
            on_warning: Called with each warning once.
        """
        self._files = tuple(files)
        self._ask = ask
        self._ask_cloud = ask_cloud
        self._on_secret = on_secret
        self._on_warning = on_warning
        self._answers: dict[tuple[str, str], _Answer] = {}
        self._locks: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._warned: set[str] = set()

    def find(self, registry: str, path: str, *, renew: bool = False) -> Credentials | None:
        """
        Return the credentials for a repository, None for anonymous.

        Args:
            registry: The registry's name.
            path: The repository's path, "" for the registry itself.
            renew: Whether to ask helpers again.

        Raises:
            CredentialsError: The helper for this registry fails.
        """
        found = None
        for file in self._files:
            if helper := file.find_helper(registry):
                found = self._ask_helper(helper, file.find_server(registry), renew=renew)
            else:
                found = file.find_login(registry, path) or self._ask_default_helper(file, registry, renew=renew)
            if found is not None:
                break
        else:
            found = self._ask_once("", registry, lambda: self._ask_cloud(registry), renew=renew)
        if found is not None:
            self._on_secret([found.password, f"{found.username}:{found.password}"])
        return found

    @property
    def places(self) -> tuple[str, ...]:
        """Return every place that is searched, in order."""
        return tuple(place for file in self._files for place in (file.path, *({f"docker-credential-{file.default_helper}"} if file.default_helper else ())))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a warning for each file that could not be read."""
        return tuple(file.warning for file in self._files if file.warning)

    @property
    def exposed_files(self) -> tuple[str, ...]:
        """Return the files with credentials that every user may read or change."""
        return tuple(file.path for file in self._files if file.is_exposed)

    def _ask_default_helper(self, file: AuthFile, registry: str, *, renew: bool) -> Credentials | None:
        """Ask the helper for every registry; a failure is only a warning."""
        # Most registries need no credentials for reading.
        if not file.default_helper:
            return None
        try:
            return self._ask_helper(file.default_helper, file.find_server(registry), renew=renew)
        except CredentialsError as error:
            if error.message not in self._warned:
                self._warned.add(error.message)
                self._on_warning(f"{error.message} ({file.path} names it for every registry); continuing without credentials")
            return None

    def _ask_helper(self, helper: str, registry: str, *, renew: bool) -> Credentials | None:
        return self._ask_once(helper, registry, lambda: self._ask(helper, registry), renew=renew)

    def _ask_once(self, helper: str, registry: str, ask: Callable[[], Credentials | None], *, renew: bool) -> Credentials | None:
        key = (helper, registry)
        with self._locks[key]:
            known = self._answers.get(key)
            if known is None or renew or known.ends < time.monotonic():
                known = self._answers[key] = _Answer(ask(), time.monotonic() + _ANSWER_SECONDS)
            return known.credentials
