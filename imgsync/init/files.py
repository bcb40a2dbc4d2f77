"""What `imgsync init` writes: templates filled in, and the schemas as this version ships them. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import imgsync
from imgsync.config.schema_check import read_schema
from imgsync.oci.spec.reference import parse_repository

_TEMPLATES = Path(__file__).parent / "templates"
_ALWAYS = ("mirrors.d/example.yaml", "registries.yaml", "requirements.txt", ".pre-commit-config.yaml", ".gitignore", "README.md")
_SCHEMAS = ("mirror", "registries")
CI = {
    "github": (".github/workflows/mirror.yml", ".github/workflows/mirror-comment.yml"),
    "gitlab": (".gitlab-ci.yml",),
}


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file of the new repository: its path below the repository's folder, and its text."""

    path: str
    text: str


def new_files(destination: str, *, ci: Iterable[str]) -> tuple[NewFile, ...]:
    """
    Return the files of a new mirror repository, in the order in which a reader wants to meet them.

    *destination* is where the example mirrors to, as REGISTRY/NAMESPACE; *ci* names systems of `CI`.

    Raises:
        InvalidReferenceError: *destination* names no registry or no namespace.
    """
    systems = tuple(ci)
    words = {
        "version": imgsync.__version__,
        "registry": parse_repository(destination).registry,
        # As written: a lone word on Docker Hub is a namespace here, and no repository of `library`.
        "destination": destination,
        "github": "github" in systems,
        "gitlab": "gitlab" in systems,
    }
    environment = _environment()
    paths = (*_ALWAYS, *(path for system in systems for path in CI[system]))
    filled = [NewFile(path, environment.get_template(_template(path)).render(words)) for path in paths]
    return (*filled, *(NewFile(f"schema/{name}.schema.json", read_schema(name)) for name in _SCHEMAS))


def _template(path: str) -> str:
    # Without leading dots, which packagers and checkouts like to pass over.
    return "/".join(part.removeprefix(".") for part in path.split("/")) + ".jinja"


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        # Braces belong to GitHub's expressions and brackets to bash.
        variable_start_string="«",
        variable_end_string="»",
        block_start_string="«%",
        block_end_string="%»",
        comment_start_string="«#",
        comment_end_string="#»",
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - none of these files is HTML; `destination`, the one value from outside, keeps to the grammar of references
    )
