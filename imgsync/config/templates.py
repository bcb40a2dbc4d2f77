"""Expand destination templates."""

from __future__ import annotations

from string import Formatter

from imgsync.config.model import Destination
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import is_repository_path, is_tag

_REPOSITORY_FIELDS = ("path", "name", "parent", "flat", "relative", "registry")
_TAG_FIELDS = ("tag",)


def check_repository_template(text: str) -> None:
    """
    Check that *text* is a valid repository template.

    Raises:
        ValueError: It has an unknown field, a brace is not closed, or no result is valid.
    """
    _check(text, _REPOSITORY_FIELDS)
    filled = "/".join(part for part in text.format(**dict.fromkeys(_REPOSITORY_FIELDS, "x")).split("/") if part)
    # Empty is fine below a `namespace`.
    if filled and not is_repository_path(filled):
        raise ValueError(f"invalid template {text!r}: {filled!r} is not a repository path")


def check_tag_template(text: str) -> None:
    """
    Check that *text* is a valid tag template.

    Raises:
        ValueError: It has an unknown field, a brace is not closed, or no result is valid.
    """
    _check(text, _TAG_FIELDS)
    filled = text.format(tag="x")
    if not is_tag(filled):
        raise ValueError(f"invalid template {text!r}: {filled!r} is not a tag")


def expand_repository(destination: Destination, path: str, *, relative: str, registry: str) -> str:
    """
    Return the repository path at *destination* for the source repository *path*.

    `{flat}` joins the path with `_`. `{relative}` is the path below the namespace where it was found. Empty parts are removed.

    Raises:
        InvalidReferenceError: The result is not a valid repository path.
    """
    whole = fill_repository(destination, path, relative=relative, registry=registry)
    if not is_repository_path(whole):
        raise InvalidReferenceError(
            f"{path!r} would become {whole!r}, which is not a valid repository path", hint="check `namespace` and `repository` of the destination"
        )
    return whole


def fill_repository(destination: Destination, path: str, *, relative: str, registry: str) -> str:
    """Return what `expand_repository` does, without a check of the result."""
    parent, _, name = path.rpartition("/")
    fields = {"path": path, "name": name, "parent": parent, "flat": path.replace("/", "_"), "relative": relative, "registry": registry.replace(":", "_")}
    filled = destination.repository.format(**fields)
    return "/".join(part for part in f"{destination.namespace}/{filled}".split("/") if part)


def expand_tag(destination: Destination, tag: str) -> str:
    """
    Return the tag at *destination* for the source *tag*.

    Raises:
        InvalidReferenceError: The result is not a valid tag.
    """
    filled = destination.tag.format(tag=tag)
    if not is_tag(filled):
        raise InvalidReferenceError(f"the tag {tag!r} would become {filled!r}, which is not a valid tag", hint="check `tag` of the destination")
    return filled


def _check(text: str, fields: tuple[str, ...]) -> None:
    known = f"fields: {', '.join(f'{{{field}}}' for field in fields)}"
    if "{{" in text or "}}" in text:
        raise ValueError(f"invalid template {text!r}: a field has single braces; {known}")
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"invalid template {text!r}: unbalanced brace; {known}") from error
    for _, field, spec, conversion in parts:
        if field is not None and (field not in fields or spec or conversion):
            raise ValueError(f"unknown template field {{{field}}}; {known}")
