"""Read secrets: written, from a variable, or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsync.config.document import Path
from imgsync.config.fields import FieldReader, read_file
from imgsync.config.secrets import Secret

_LIMIT_BYTES = 64 << 10
# As many as 16 random bytes have in hex.
_LEAST_CHARACTERS = 32


def read_secret(fields: FieldReader, path: Path, entry: str | Mapping[str, Any]) -> str | None:
    """Return the secret that is written, or that is in a file."""
    if isinstance(entry, str):
        return fields.read_text(path, entry)
    file_path = (*path, "file")
    return _read_file(fields, file_path, fields.read_text(file_path, entry["file"]) or "")


def read_long_secret(fields: FieldReader, path: Path, entry: str | Mapping[str, Any] | None) -> Secret | None:
    """Return a secret that cannot be guessed; report a short one."""
    secret = None if entry is None else read_secret(fields, path, entry)
    if secret is None:
        return None
    if len(secret) < _LEAST_CHARACTERS:
        # An empty variable must not turn the check off.
        fields.add_error(path, f"the {path[-1]} has {len(secret)} characters, fewer than {_LEAST_CHARACTERS}", "make one: openssl rand -hex 32")
        return None
    return Secret(secret)


def _read_file(fields: FieldReader, path: Path, file: str) -> str | None:
    fields.files.append(file)
    try:
        text = read_file(file, limit=_LIMIT_BYTES).decode()
    except OSError as error:
        fields.add_error(path, f"cannot read the {path[-2]} file: {error.strerror}")
        return None
    except ValueError as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "invalid file name"
        fields.add_error(path, f"cannot read the {path[-2]} file: {reason}")
        return None
    return text.removesuffix("\n").removesuffix("\r")
