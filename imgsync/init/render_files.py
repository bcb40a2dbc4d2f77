"""Render the files of `imgsync init`; write nothing."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from imgsync.config.schema_files import read_schema
from imgsync.init.origin import find_origin
from imgsync.oci.spec.reference import parse_repository
from imgsync.system.dataclass import dataclass

_TEMPLATES = Path(__file__).parent / "templates"
_ALWAYS = ("mirrors.d/example.yaml", "registries.yaml", "requirements.txt", ".pre-commit-config.yaml", ".gitignore", "CODEOWNERS", "README.md")
# What Renovate needs to find the digests of locks.
_RENOVATE = "renovate.json"
_SCHEMAS = ("mirror", "registries")
# A very small image, whose index has large Windows images too.
EXAMPLE_SOURCE = "registry.k8s.io/pause"
CI = {
    "github": (".github/workflows/mirror.yml", ".github/workflows/mirror-comment.yml", ".github/workflows/mirror-lock.yml"),
    "gitlab": (".gitlab-ci.yml",),
}


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file; `path` is relative to the new repository."""

    path: str
    text: str


def render_files(destination: str, *, ci: Iterable[str], source: str = EXAMPLE_SOURCE) -> tuple[NewFile, ...]:
    """
    Return the files of a new repository, most important first.

    Args:
        destination: Where the example mirrors to, as REGISTRY/NAMESPACE.
        ci: Keys of `CI`.
        source: What the example mirrors, as REGISTRY/REPOSITORY.

    Raises:
        InvalidReferenceError: *source* or *destination* lacks a registry or a path.
    """
    systems = tuple(ci)
    origin = find_origin()
    registry = parse_repository(destination).registry
    image = parse_repository(source)
    variables = {
        "requirement": origin.requirement,
        "action": origin.action,
        "is_from_git": origin.is_git,
        "registry": registry,
        "is_loopback": _is_loopback(registry),
        "source": image,
        # Its registry, and the namespace if it has one.
        "allowed_source": str(image).rpartition("/")[0],
        "is_example": str(image) == EXAMPLE_SOURCE,
        "is_source_loopback": _is_loopback(image.registry),
        # As written: `docker.io/example` is a namespace here, not the repository `library/example`.
        "destination": destination,
        "github": "github" in systems,
        "gitlab": "gitlab" in systems,
    }
    environment = _create_environment()
    paths = (*_ALWAYS, *(path for system in systems for path in CI[system]), *((_RENOVATE,) if systems else ()))
    rendered = [NewFile(path, environment.get_template(_locate_template(path)).render(variables)) for path in paths]
    return (*rendered, *(NewFile(f"schema/{name}.schema.json", read_schema(name)) for name in _SCHEMAS))


def _is_loopback(registry: str) -> bool:
    """Return whether a registry is on this machine; it then speaks http."""
    host = registry.rpartition(":")[0] if not registry.endswith("]") and ":" in registry else registry
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _locate_template(path: str) -> str:
    # Templates have no leading dots, because packaging tools skip hidden files.
    return "/".join(part.removeprefix(".") for part in path.split("/")) + ".jinja"


def _create_environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        # GitHub's expressions use braces, and bash uses brackets.
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
        autoescape=False,  # noqa: S701 - these files are not HTML, and `destination`, the only user input, is a valid reference
    )
