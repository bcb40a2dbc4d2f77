"""Read the fields of `registries.yaml`: fill in variables, parse, collect errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from imgsync.config.allowlist import parse_prefix
from imgsync.config.document import Document
from imgsync.config.document import Path as Parts
from imgsync.errors import FileError, InvalidReferenceError
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import has_credentials, parse_url
from imgsync.text.near import find_near

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\{")
# As a shell and other tools write one.
_SHELL_VARIABLE = re.compile(r"\$[A-Z_][A-Z0-9_]*|env[:.][A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%|\{\{.*\}\}|\$\(.*\)|var\.[a-z_][a-z0-9_]*")


class FieldReader:
    """
    Reads fields of one document and collects the errors in `errors`.

    `unset` holds the error of each variable without a value, with the path of its field: only who uses the field is concerned.
    `warnings` are about texts that are probably variables. `files` are those that were read besides the document.
    """

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        """Read fields of *document*, with variables from *environ*."""
        self.document = document
        self._environ = environ
        self.errors: list[FileError] = []
        self.unset: list[tuple[Parts, FileError]] = []
        self.warnings: list[FileError] = []
        self.files: list[str] = []

    def add_error(self, path: Parts, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Add an error about the part at *path*."""
        self.errors.append(self.document.error(path, message, hint=hint, at_key=at_key))

    def read_text(self, path: Parts, text: str | None) -> str | None:
        """Fill in the variables of *text*; report an unset one."""
        if text is None:
            return None
        if _SHELL_VARIABLE.fullmatch(text):
            self.warnings.append(self.document.error(path, "this is used as written; a variable has braces", hint="write ${NAME} for the variable NAME"))
        missing: list[str] = []

        def fill(found: re.Match[str]) -> str:
            if found.group(0) == "$${":
                return "${"
            name, default = found.group(1), found.group(3)
            if name is None:
                missing.append("")
                return ""
            value = self._environ.get(name, "")
            if value or (found.group(2) is None and name in self._environ):
                return value
            if found.group(2) is None:
                missing.append(name)
            return default or ""

        filled = _VARIABLE.sub(fill, text)
        for name in missing:
            self._add_unset_error(path, name)
        return None if missing else filled

    def read_url(self, path: Parts, text: str | None, *, may_have_login: bool = False) -> str | None:
        """Return *text* with variables filled in, if it is a valid URL."""
        url = self.read_text(path, text)
        if url is None:
            return None
        try:
            parse_url(url)
        except httpx.InvalidURL:
            self.add_error(path, "invalid URL", "such as https://host.internal:8443")
            return None
        if has_credentials(url) and not may_have_login:
            self.add_error(path, "this URL must not contain a user or password", "use `credentials`")
            return None
        return url

    def read_prefix(self, path: Parts, text: str, *, at_key: bool = False) -> str | None:
        """Return the normal form of the prefix *text*, or report its error."""
        return self.parse_reference(path, partial(parse_prefix, text), at_key=at_key)

    def read_prefixes(self, path: Parts, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the valid prefixes in the list at *path*; report the others."""
        found = (self.read_prefix((*path, index), text) for index, text in enumerate(texts))
        return tuple(prefix for prefix in found if prefix is not None)

    def parse_reference(self, path: Parts, parse: Callable[[], str], *, at_key: bool = False) -> str | None:
        """Return the result of *parse*, or report its error."""
        try:
            return parse()
        except InvalidReferenceError as error:
            self.add_error(path, error.message, error.hint, at_key=at_key)
            return None

    def _add_unset_error(self, path: Parts, name: str) -> None:
        if not name:
            self.add_error(path, "'${' without a variable name", "write ${NAME}, ${NAME:-default}, or $${ for a literal '${'")
            return
        near = find_near(name, self._environ)
        hint = f"did you mean {near}?" if near else f"set it, or write ${{{name}:-default}}"
        self.unset.append((path, self.document.error(path, f"the environment variable {name} is not set", hint=hint)))


def read_file(file: str, *, limit: int) -> bytes:
    """
    Read at most *limit* bytes of *file*.

    Raises:
        OSError: It cannot be read.
        ValueError: The name contains a null byte.
    """
    with Path(file).open("rb") as opened:
        return opened.read(limit)
