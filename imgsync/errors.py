"""
Every error a user can meet, in one family.

ImgsyncError                    .hint: what to do next     .exit_code
├── ConfigError                 .errors: each with file, line, path        exit 3
├── InvalidReferenceError                                                        exit 3
├── UnsafePlanError             the plan went past a brake                       exit 1
├── RegistryError               .operation .reference .origin .status .code .retry_after_seconds
│   ├── UnreachableError        transient
│   ├── RateLimitedError        transient
│   ├── AuthenticationError     401: who we are was not believed, or not said
│   │   └── TokenRefusedError   transient: a new token may do
│   ├── AccessDeniedError       403: who we are may not do this
│   ├── NotFoundError           404
│   ├── RejectedError           the registry said no in its own words
│   │   ├── ImmutableTagError   a tag that the registry does not let move
│   │   ├── QuotaSpentError     no room left for more blobs
│   │   └── TooLargeError       smaller pieces may do
│   ├── UnexpectedResponseError an answer that the protocol does not know
│   └── InsecureError           TLS that cannot be trusted, or a lead we do not follow
├── CredentialsError            a credential helper is missing, hangs or fails
├── ContentMismatchError        bytes do not fit their digest or size
├── UnsupportedContentError     content imgsync does not copy (schema 1, bombs)
├── UntrustedError              an image that lacks what `require` asks for       refused
├── NotOursError                a tag serves something else than imgsync pushed  refused
├── StoppedError                a deadline or a signal cut the work short        exit 75
│   └── BudgetSpentError        a registry's declared rate, or the pulls it allows, are used up
├── RequeueError                the next run could not be started
└── StateError                  the state directory; `LockedError` exits 75

Errors carry strings and numbers only; this module imports nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class ImgsyncError(Exception):
    """An error with a message for the user, a hint and an exit code."""

    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        # Set by whoever has tried again as often as allowed, so that nobody above starts over.
        self.tried_out = False


@dataclass(frozen=True, slots=True, order=True)
class FileError:
    """One error in a configuration file, with its 1-based line and column."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """`FILE:LINE:COLUMN: PATH: what is wrong (hint)`, as design.md §2 wants it."""
        where = f"{self.file}:{self.line}:{self.column}"
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: {what} ({self.hint})" if self.hint else f"{where}: {what}"


class ConfigError(ImgsyncError):
    """The configuration is invalid; `errors` holds each one, sorted by place."""

    exit_code = 3

    def __init__(self, errors: tuple[FileError, ...]) -> None:
        self.errors = tuple(sorted(errors))
        super().__init__("\n".join(str(error) for error in self.errors))


class UsageError(ImgsyncError):
    """What was asked on the command line makes no sense."""

    exit_code = 3


class InvalidReferenceError(ImgsyncError):
    """Text that is not an image reference."""

    exit_code = 3


class UnsafePlanError(ImgsyncError):
    """The plan exceeds a safety limit; nothing was done."""


class RegistryError(ImgsyncError):
    """
    A registry answered with an error, or not at all.

    `origin` is "source" or "destination"; `status` the HTTP status, None when there was no answer;
    `code` and `detail` are the registry's own, made safe to print; `retry_after_seconds` is what it asked for, None when it did not.
    """

    retry_after_seconds: float | None = None

    def __init__(
        self,
        operation: str,
        reference: str,
        *,
        origin: str,
        detail: str = "",
        status: int | None = None,
        code: str = "",
        hint: str = "",
    ) -> None:
        self.operation = operation
        self.reference = reference
        self.origin = origin
        self.status = status
        self.code = code
        self.detail = detail
        said = " ".join(part for part in (str(status or ""), f"{code}:" if code and detail else code, detail) if part)
        super().__init__(f"{operation} {reference} ({origin}): {said or 'no answer'}", hint=hint)


class UnreachableError(RegistryError):
    """No answer, or one that says try later (5xx)."""

    transient = True


class RateLimitedError(RegistryError):
    """429; `in_turn` says that the registry serves others meanwhile, so that who comes again will have a turn."""

    transient = True
    in_turn = False


class AuthenticationError(RegistryError):
    """401 after everything we have was tried."""


class TokenRefusedError(AuthenticationError):
    """401 to a body that cannot be sent twice; begun anew with another token it may do."""

    transient = True


class AccessDeniedError(RegistryError):
    """403."""


class NotFoundError(RegistryError):
    """404 where the thing must exist."""


class RejectedError(RegistryError):
    """Any other 4xx: the registry's own code and message say why."""


class ImmutableTagError(RejectedError):
    """The registry lets nobody move this tag; refused rather than failed."""


class QuotaSpentError(RejectedError):
    """The registry has no room left for what is pushed there."""


class TooLargeError(RejectedError):
    """413: begun anew in smaller pieces it may do."""


class UnexpectedResponseError(RegistryError):
    """An answer outside the protocol: HTML instead of JSON, a redirect where none may be, a missing Location."""


class InsecureError(RegistryError):
    """TLS that cannot be trusted, a redirect or token server that must not be followed."""


class ContentMismatchError(ImgsyncError):
    """Bytes that do not fit the digest or size they were promised under."""

    def __init__(self, what: str, *, expected: str, actual: str, origin: str = "source") -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(f"{what} ({origin}): expected {expected}, got {actual}", hint="the registry serves damaged or altered content; nothing was committed")


class CredentialsError(ImgsyncError):
    """A login that is configured cannot be had: a helper that is missing, hangs or fails."""


class UnsupportedContentError(ImgsyncError):
    """Content that imgsync refuses to copy, with the reason."""


class UntrustedError(ImgsyncError):
    """An image that does not satisfy what is required of it, or of which that cannot be found out; it is not copied."""


class NotOursError(ImgsyncError):
    """A tag that was to be deleted is not, or not only, what imgsync pushed."""


class StoppedError(ImgsyncError):
    """The work was cut short by a deadline or a stop signal; running again continues."""

    exit_code = 75


class BudgetSpentError(StoppedError):
    """The rate declared for a registry, or the pulls it allows, are used up for longer than is worth waiting; the rest is for the next run."""


class RequeueError(ImgsyncError):
    """
    The next run could not be started, or nobody can say whether it was.

    `status` is the HTTP status, None when there was no answer (or no HTTP); `detail` is what came back, made safe to print.
    """

    def __init__(self, operation: str, where: str, *, detail: str = "", status: int | None = None, hint: str = "") -> None:
        self.operation = operation
        self.where = where
        self.status = status
        self.detail = detail
        said = " ".join(part for part in (str(status or ""), detail) if part)
        super().__init__(f"{operation} {where}: {said or 'no answer'}", hint=hint)


class StateError(ImgsyncError):
    """The state directory cannot be used."""


class LockedError(StateError):
    """Another run holds the state."""

    exit_code = 75
