"""
Remember refused logins, so that they are not sent again.

Registries lock accounts after a few refused logins.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Hashable, Iterator

from imgsync.errors import RegistryError
from imgsync.oci.errors import Operation


class RefusedLogins:
    """The refused logins of one registry, shared by all callers."""

    def __init__(self) -> None:
        """Start without any."""
        self._accepted: set[Hashable] = set()
        self._accepted_once: set[Hashable] = set()
        self._doubted: set[Hashable] = set()
        self._refused: dict[Hashable, RegistryError] = {}
        self._refused_scopes: dict[Hashable, RegistryError] = {}
        self._trials: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)

    @contextlib.contextmanager
    def trial(self, login: Hashable, operation: Operation) -> Iterator[None]:
        """
        Send *login* alone until it was accepted once.

        Raises:
            RegistryError: It was refused in this run.
        """
        if login in self._accepted:
            yield
            return
        with self._trials[login]:
            self._raise_again(self._refused.get(login), operation)
            if login not in self._accepted:
                yield
                return
        # Accepted while we waited: no need to be alone.
        yield

    def accept(self, login: Hashable) -> None:
        """Note that *login* was accepted."""
        self._accepted.add(login)
        self._accepted_once.add(login)

    def was_accepted(self, *logins: Hashable) -> bool:
        """Return whether one of *logins* was ever accepted in this run."""
        return not self._accepted_once.isdisjoint(logins)

    def is_accepted(self, login: Hashable) -> bool:
        """Return whether *login* was accepted, and not refused since."""
        return login in self._accepted or login in self._doubted

    def doubt(self, login: Hashable) -> None:
        """Note that *login* may have expired: the next caller sends it alone."""
        if login in self._accepted:
            self._accepted.discard(login)
            self._doubted.add(login)

    def refuse(self, login: Hashable, error: RegistryError) -> None:
        """Note that *login* was refused with *error*."""
        self._accepted.discard(login)
        self._doubted.discard(login)
        self._refused.setdefault(login, error)

    def note_refusal(self, login: Hashable, error: RegistryError) -> None:
        """Note a 401 of one repository; others may have other users."""
        if login in self._accepted:
            self.doubt(login)
        else:
            self.refuse(login, error)

    def refuse_scopes(self, scopes: Hashable, error: RegistryError) -> None:
        """Note that *scopes*, of one login, were refused with *error*."""
        self._refused_scopes.setdefault(scopes, error)

    def check_scopes(self, scopes: Hashable, operation: Operation) -> None:
        """
        Raise the error with which *scopes* were refused, if they were.

        Raises:
            RegistryError: They were refused in this run.
        """
        self._raise_again(self._refused_scopes.get(scopes), operation)

    def forget_scopes(self) -> None:
        """Forget refused scopes, as after a repository was created."""
        self._refused_scopes.clear()

    def _raise_again(self, error: RegistryError | None, operation: Operation) -> None:
        if error is not None:
            detail = "; ".join(part for part in (error.detail, "not sent again in this run") if part)
            raise operation.make_error(type(error), detail, status=error.status, code=error.code, hint=error.hint)
