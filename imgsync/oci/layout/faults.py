"""Translate errors of files into errors of image stores."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from imgsync.errors import AccessDeniedError, QuotaExceededError, RegistryError, RejectedError, UnreachableError
from imgsync.oci.errors import Operation

_KINDS: tuple[tuple[frozenset[int], type[RegistryError], str], ...] = (
    (frozenset({errno.ENOSPC, errno.EDQUOT}), QuotaExceededError, "free space at {path}, or mirror less; what is finished is not copied again"),
    (
        frozenset({errno.EACCES, errno.EPERM, errno.EROFS}),
        AccessDeniedError,
        "check the owner and the mode of {path}, and that the medium is not mounted read only",
    ),
    (
        frozenset({errno.EFBIG}),
        RejectedError,
        "the file system does not hold files of this size, as FAT from 4 GiB on: use exFAT or another one, or `imgsync bundle create --volume-size 4GiB`",
    ),
    (
        frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}),
        RejectedError,
        "the file system at {path} lacks locks (flock) or another call that imgsync needs; mount it with locks, or use another one",
    ),
)
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EBADF})
_GONE_HINT = "check that the medium is plugged in and mounted at {path}, then run it again"
_BROKEN_HINT = "check the medium and its cable (the kernel's log says more), then run it again: what is finished is not copied again"


def translate(operation: Operation, error: OSError, path: str) -> RegistryError:
    """Return the error of *operation* on the layout at *path*."""
    detail = f"{path}: {error.strerror or error}"
    for numbers, kind, hint in _KINDS:
        if error.errno in numbers:
            return operation.make_error(kind, detail, hint=hint.format(path=path))
    hint = _GONE_HINT if error.errno in _GONE else _BROKEN_HINT
    translated = operation.make_error(UnreachableError, detail, hint=hint.format(path=path))
    # What is not there does not come by waiting some seconds.
    translated.retries_exhausted = error.errno in _GONE
    return translated


@contextlib.contextmanager
def explain(operation: Operation, path: str) -> Iterator[None]:
    """Raise errors of files in the block as those of *operation*."""
    try:
        yield
    except OSError as error:
        raise translate(operation, error, path) from error
