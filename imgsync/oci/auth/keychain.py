"""
Who we are where registries.yaml does not say: auth files and their helpers, asked only when a registry wants to know.

Order: containers' files, docker's files; in each the registry's own helper, the file's login, the helper for all. Then nobody.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from imgsync.errors import CredentialsError
from imgsync.oci.auth.auth_files import AuthFile
from imgsync.oci.endpoint import Credentials

# Helpers say nothing of how long their answer holds; cloud tokens live fifteen minutes and more.
_HELPER_ANSWER_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class _Answer:
    credentials: Credentials | None
    ends: float


class Keychain:
    """The logins of one run. Each helper is asked once per registry and ten minutes, however many need its answer."""

    def __init__(
        self,
        files: Sequence[AuthFile],
        *,
        ask: Callable[[str, str], Credentials | None],
        last: Callable[[str], Credentials | None] = lambda _: None,
        on_secret: Callable[[Iterable[str]], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """
        Look into *files*, ask helpers by *ask* (name, registry), and where nobody knows a registry, *last*.

        *on_secret* hears of every secret before anybody uses it.
        """
        self._files = tuple(files)
        self._ask = ask
        self._last = last
        self._on_secret = on_secret
        self._on_warning = on_warning
        self._answers: dict[tuple[str, str], _Answer] = {}
        self._locks: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._warned: set[str] = set()

    def find(self, registry: str, path: str, *, renew: bool = False) -> Credentials | None:
        """
        Return the login for the repository *path* of *registry*, None for nobody; *renew* asks helpers anew.

        Raises:
            CredentialsError: The helper that is named for this very registry fails.
        """
        found = None
        for file in self._files:
            if helper := file.helper(registry):
                found = self._helped(helper, registry, renew=renew)
            else:
                found = file.login(registry, path) or self._stored(file, registry, renew=renew)
            if found is not None:
                break
        else:
            found = self._remembered("", registry, lambda: self._last(registry), renew=renew)
        if found is not None:
            self._on_secret([found.password, f"{found.username}:{found.password}"])
        return found

    @property
    def looked_in(self) -> tuple[str, ...]:
        """Return every place that is looked into, in order."""
        return tuple(place for file in self._files for place in (file.path, *({f"docker-credential-{file.store}"} if file.store else ())))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what could not be read."""
        return tuple(file.warning for file in self._files if file.warning)

    @property
    def exposed(self) -> tuple[str, ...]:
        """Return the files of logins that everybody on this machine may read or change."""
        return tuple(file.path for file in self._files if file.exposed)

    def _stored(self, file: AuthFile, registry: str, *, renew: bool) -> Credentials | None:
        """Ask the helper for every registry. Its failure is told once and means nobody: most registries let nobody in to read."""
        if not file.store:
            return None
        try:
            return self._helped(file.store, registry, renew=renew)
        except CredentialsError as error:
            if error.message not in self._warned:
                self._warned.add(error.message)
                self._on_warning(f"{error.message} ({file.path} names it for every registry); going on without a login")
            return None

    def _helped(self, helper: str, registry: str, *, renew: bool) -> Credentials | None:
        return self._remembered(helper, registry, lambda: self._ask(helper, registry), renew=renew)

    def _remembered(self, helper: str, registry: str, ask: Callable[[], Credentials | None], *, renew: bool) -> Credentials | None:
        key = (helper, registry)
        with self._locks[key]:
            known = self._answers.get(key)
            if known is None or renew or known.ends < time.monotonic():
                known = self._answers[key] = _Answer(ask(), time.monotonic() + _HELPER_ANSWER_SECONDS)
            return known.credentials
