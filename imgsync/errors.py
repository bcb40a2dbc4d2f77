"""
Every error that a user can see, in one class tree.

ImgsyncError                      .message  .hint  .advice (what to do next)  .exit_code  .transient
├── ConfigError                   .errors: one FileError each                      exit 3
├── UsageError                    a command line that makes no sense               exit 3
├── InvalidReferenceError         text that is not an image reference              exit 3
├── UnsafePlanError               the plan exceeds a safety limit
├── NotApprovedError               the user did not approve the plan
├── OutputError                   a file that was asked for cannot be written
├── OutcomeError                  outcomes of shards that do not fit together
├── SelectionError                the filters do not determine which tags to select
├── RegistryError                 .operation .reference .origin .status .code .codes .detail .retry_after_seconds
│   ├── UnreachableError          no answer, or 5xx                                transient
│   │   └── UnknownHostError      no such host, says the name server
│   ├── RateLimitedError          429                                              transient
│   ├── AuthenticationError       401: no credentials, or the wrong ones
│   │   └── TokenRefusedError     401 to a body that cannot be repeated            transient
│   ├── AccessDeniedError         403
│   ├── NotFoundError             404
│   ├── RejectedError             any other 4xx
│   │   ├── ImmutableTagError     the registry does not let the tag change         refused
│   │   ├── QuotaExceededError    no space left at the registry
│   │   └── TooLargeError         413
│   ├── UnexpectedResponseError   an answer outside the protocol
│   └── InsecureError             untrusted TLS, or an untrusted redirect
├── CredentialsError              a credential helper is missing, hangs or fails
├── ContentMismatchError          bytes that do not match their digest or size
├── UnsupportedContentError       content that imgsync does not copy
├── ReferrersError                the image was copied, but not all of its referrers
├── PolicyViolationError          an image that does not satisfy `require`         refused
├── UnmanagedTagError             a tag that imgsync did not push                  refused
├── StoppedError                  a time limit or a signal stopped the run         exit 75
│   └── LimitReachedError         a rate or pull limit stopped it                  exit 75
├── LayoutError                   a layout, or an archive, that cannot be used
├── BundleError                   a bundle that is damaged, incomplete or not signed as required
├── RequeueError                  .operation .target .status .detail
└── StateError                    the state cannot be used
    └── LockedError               another run holds the state                      exit 75

The exit code is 1 unless the tree says otherwise. "refused" means that the result is counted as refused, not as failed.
Errors carry strings and numbers only. This module imports nothing from the package.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class ImgsyncError(Exception):
    """An error with a message, a hint and an exit code."""

    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False
    # What to do about an error of this class that has no hint of its own.
    remedy: ClassVar[str] = "run it again with `--log-level debug` to see each request"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        # Set after the last retry, so that no caller retries again.
        self.retries_exhausted = False

    @property
    def advice(self) -> str:
        """Return what to do next; never empty."""
        return self.hint or self.remedy


# Not a dataclass: ours is in another room, and the standard one takes longer to make than the rest of this module.
class FileError(NamedTuple):
    """One error in a file; its line and column count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return `FILE:LINE:COLUMN: PATH: MESSAGE (HINT)`."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: {what} ({self.hint})" if self.hint else f"{where}: {what}"


class ConfigError(ImgsyncError):
    """The configuration is invalid; `errors` holds each one, sorted by place."""

    exit_code = 3

    def __init__(self, errors: tuple[FileError, ...]) -> None:
        self.errors = tuple(sorted(errors))
        super().__init__("\n".join(str(error) for error in self.errors))


class UsageError(ImgsyncError):
    """A command line that makes no sense."""

    exit_code = 3


class InvalidReferenceError(ImgsyncError):
    """Text that is not an image reference."""

    exit_code = 3


class UnsafePlanError(ImgsyncError):
    """The plan exceeds a safety limit; nothing was done."""

    remedy = "review the plan, then raise the safety limit"


class NotApprovedError(ImgsyncError):
    """The user did not approve the plan; nothing was done."""

    remedy = "answer y, or use --yes"


class OutputError(ImgsyncError):
    """A file that a command was asked for cannot be written."""

    remedy = "write it to a folder that exists and that this user can write"


class OutcomeError(ImgsyncError):
    """Outcomes of shards that do not fit their plan, or each other."""

    remedy = "give the outcome of each shard of this plan once, as the last run of the shard wrote it"


class SelectionError(ImgsyncError):
    """The filters do not determine which tags of a repository to select."""

    remedy = "set `order`, or change the filters, so that the tags can be sorted"


class RegistryError(ImgsyncError):
    """
    A registry answered with an error, or not at all.

    `origin` is "source" or "destination". `status` is the HTTP status, None without an answer. `code` and `detail` come from the
    registry, sanitized; `codes` are all codes that it named, `code` first, and `digests` all digests. `retry_after_seconds` is the registry's
    Retry-After, None without one.
    """

    codes: tuple[str, ...] = ()
    retry_after_seconds: float | None = None
    digests: frozenset[str] = frozenset()

    def __init__(self, operation: str, reference: str, *, origin: str, detail: str = "", status: int | None = None, code: str = "", hint: str = "") -> None:
        self.operation = operation
        self.reference = reference
        self.origin = origin
        self.status = status
        self.code = code
        self.detail = detail
        answer = " ".join(part for part in (str(status or ""), f"{code}:" if code and detail else code, detail) if part)
        super().__init__(f"{operation} {reference} ({origin}): {answer or 'no answer'}", hint=hint)


class UnreachableError(RegistryError):
    """No answer from the registry, or a 5xx."""

    remedy = "run it again: finished images are not copied again; if it stays so, check that the registry is up and can be reached from here"
    transient = True


class UnknownHostError(UnreachableError):
    """There is no such host, so that trying again does not help."""

    transient = False


class RateLimitedError(RegistryError):
    """
    The registry answered 429.

    `serves_other_requests` says that it still serves some requests, so waiting for a turn is worth it.
    """

    remedy = "lower `rate` or `concurrency` for this registry, or log in for a higher limit"
    transient = True
    serves_other_requests = False


class AuthenticationError(RegistryError):
    """The registry answered 401 to every available credential."""

    remedy = "log in to the registry again, or set its credentials in registries.yaml; `imgsync login-check` tries them"


class TokenRefusedError(AuthenticationError):
    """
    A 401 to a body that cannot be repeated.

    A new upload with a new token may succeed.
    """

    remedy = "run it again; if it stays so, raise the lifetime of the registry's tokens"
    transient = True


class AccessDeniedError(RegistryError):
    """The registry answered 403."""

    remedy = "the credentials are valid but do not allow this; check the permissions of the account on this repository"


class NotFoundError(RegistryError):
    """The registry answered 404."""

    remedy = "check the name; it may have been deleted at the registry, or this account cannot see it"


class RejectedError(RegistryError):
    """Any other 4xx, with the registry's code and message."""

    remedy = "read the registry's message; the registry does not accept the image or the request as it is"


class ImmutableTagError(RejectedError):
    """The registry does not let this tag change."""

    remedy = "the registry does not allow this tag to be changed; exclude the tag, or allow changes in the registry"


class QuotaExceededError(RejectedError):
    """The registry has no space left for the image."""

    remedy = "the destination's quota is used up; raise it, or mirror less"


class TooLargeError(RejectedError):
    """The registry answered 413; smaller chunks may succeed."""

    remedy = "raise the size limit of the registry and of the proxies before it, or set a smaller `chunk_size` in registries.yaml"


class UnexpectedResponseError(RegistryError):
    """An answer outside the protocol, such as HTML or a missing Location."""

    remedy = "check the registry's name and whether a proxy, a firewall or a login page answers in its place"


class InsecureError(RegistryError):
    """Untrusted TLS, or an untrusted redirect or token server."""

    remedy = "nothing was sent there; ask the registry's operator to correct its address and TLS, or correct its settings in registries.yaml"


class ContentMismatchError(ImgsyncError):
    """Bytes that do not match their digest or size."""

    remedy = "the registry serves damaged or changed content; nothing was pushed; ask its operator to check its storage and its proxies, then run it again"

    def __init__(self, what: str, *, expected: str, actual: str, origin: str = "source", hint: str = "") -> None:
        self.expected = expected
        self.actual = actual
        self.origin = origin
        super().__init__(f"{what} ({origin}): expected {expected}, got {actual}", hint=hint)


class CredentialsError(ImgsyncError):
    """A configured credential helper is missing, hangs or fails."""

    remedy = "run the credential helper by hand, or remove it from the configuration"


class UnsupportedContentError(ImgsyncError):
    """Content that imgsync does not copy."""

    remedy = "ask the image's publisher to push it in a current format, or exclude the tag"


class ReferrersError(ImgsyncError):
    """The image was copied, but not all of its referrers."""

    remedy = "run it again to copy the rest of the referrers, or set `referrers: false`"


class PolicyViolationError(ImgsyncError):
    """An image that does not satisfy `require`, or cannot be verified."""

    remedy = "have the image signed or changed as `require` says, or change `require` of the mirror"


class UnmanagedTagError(ImgsyncError):
    """A tag to delete that does not serve only what imgsync pushed."""

    remedy = "delete the tag yourself, or `protect` it"


class StoppedError(ImgsyncError):
    """A time limit or a signal stopped the run."""

    remedy = "run it again to continue"
    exit_code = 75


class LimitReachedError(StoppedError):
    """Waiting for a rate or pull limit would take too long."""

    remedy = "run it again when the limit resets; finished images are not copied again"


class LayoutError(ImgsyncError):
    """A layout, or an archive, that cannot be used."""

    remedy = "check what wrote it, and write it again"


class BundleError(ImgsyncError):
    """A bundle that is damaged, incomplete or not signed as required."""

    remedy = "check it with `imgsync bundle verify`; a damaged or missing volume can be made again alone"


class RequeueError(ImgsyncError):
    """The next run could not be started, or the outcome is unknown."""

    def __init__(self, operation: str, target: str, *, detail: str = "", status: int | None = None, hint: str = "") -> None:
        self.operation = operation
        self.target = target
        self.status = status
        self.detail = detail
        answer = " ".join(part for part in (str(status or ""), detail) if part)
        super().__init__(f"{operation} {target}: {answer or 'no answer'}", hint=hint)


class StateError(ImgsyncError):
    """The state cannot be used."""

    remedy = "see what is wrong with `imgsync state list`"


class LockedError(StateError):
    """Another run holds the state."""

    remedy = "wait until the other run ends, or stop it"
    exit_code = 75
