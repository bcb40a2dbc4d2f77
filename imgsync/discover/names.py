"""
Decide whether a text names an image.

A field that only holds images is read as Docker reads it. Elsewhere a text counts only if it has a registry, and a tag or digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from imgsync.discover.model import Certainty, FoundImage
from imgsync.discover.variables import UnknownVariableError, fill_in
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Reference, parse_reference
from imgsync.system.dataclass import dataclass

NO_TAG = "it has no tag and no digest"
_LONGEST = 1024
# How runtimes and workflows write that a name is an image.
_TRANSPORTS = ("docker://", "docker-pullable://", "docker-image://")
_TEMPLATES = (
    ("{{", "a template that is not rendered"),
    ("<%", "a template that is not rendered"),
    ("$[[", "an input that is not filled in"),
    ("$", "a variable that has no value here"),
)
_REGISTRY = re.compile(r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:)|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?/", re.ASCII)
# What labels, taints and source code are named by.
_NOT_REGISTRIES = re.compile(r"(?:.*\.)?(?:kubernetes\.io|x-k8s\.io|github\.com)", re.ASCII)
_TAINTS = frozenset({"NoSchedule", "NoExecute", "PreferNoSchedule"})
_TOKEN = re.compile(r"[^\s\"'`,;()<>|&=\\{}]+")
_IMAGE_KEY = re.compile(r"(?:.*[a-z0-9_.-])?image(?:s)?(?:[-_]?(?:name|ref|reference|uri|url))?", re.IGNORECASE | re.ASCII)
_IMAGE_VARIABLE = re.compile(r"(?:.*_)?IMAGES?(?:_.*)?", re.ASCII)
_NOT_A_NAME = re.compile(r".*_(?:TAG|VERSION|REGISTRY|REPO|REPOSITORY|POLICY|SECRETS?|DIGEST|SIZE|ARCH|PREFIX|TIMEOUT|TYPE|FORMAT|DIR|PATH)", re.ASCII)
# With limits, or a long text would take the square of its length.
_FLAG = re.compile(
    r"(?:^|(?<=[\s\"']))-{0,2}(?P<flag>[A-Za-z0-9_.-]{0,100}image[a-z-]{0,40})(?:\s{0,20}=\s{0,20}|\s{1,20})[\"']?(?P<value>[^\s\"';|&()]+)",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ImageName:
    """A text that names an image, and what is known of it."""

    text: str
    reference: Reference | None
    certainty: Certainty
    reason: str = ""

    def place(self, file: str, line: int, field: str) -> FoundImage:
        """Return the name with the place that has it."""
        return FoundImage(self.text, self.reference, self.certainty, file, line, field, self.reason)


def make_unresolved(text: str, reason: str) -> ImageName:
    """Return the name of an image that *reason* keeps from being complete."""
    return ImageName(shorten_name(text), None, Certainty.UNRESOLVED, reason)


def read_name(text: str, *, certainty: Certainty = Certainty.SURE, written: str | None = None) -> ImageName:
    """
    Return what *text* names, which stands where only images do.

    *written* is what the file has, if *text* is that with its variables filled in.
    """
    shown = shorten_name(text if written is None else written)
    name = _fill_in_defaults(strip_transport(text.strip()))
    template = next((reason for marker, reason in _TEMPLATES if marker in name), "")
    if template:
        return ImageName(shown, None, Certainty.UNRESOLVED, template)
    if not name or len(name) > _LONGEST:
        return ImageName(shown, None, Certainty.UNRESOLVED, "it is empty" if not name else "it is too long for an image name")
    if is_digest(name):
        return ImageName(shown, None, Certainty.UNRESOLVED, "it is the ID of an image, not a name")
    try:
        reference = parse_reference(name)
    except InvalidReferenceError as error:
        return ImageName(shown, None, Certainty.UNRESOLVED, str(error))
    if not reference.name:
        return ImageName(shown, reference, Certainty.UNRESOLVED, NO_TAG)
    return ImageName(shown, reference, certainty)


def shorten_name(text: str) -> str:
    """Return as much of *text* as is worth showing."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _fill_in_defaults(name: str) -> str:
    """Return *name* with the defaults of its variables, as Flux does."""
    try:
        return fill_in(name, {}) if "${" in name and "${{" not in name else name
    except UnknownVariableError:
        return name


def strip_transport(text: str) -> str:
    """Return *text* without `docker://` and the like."""
    for transport in _TRANSPORTS:
        if text.startswith(transport):
            return text[len(transport) :]
    return text


def has_template(text: str) -> bool:
    """Return whether *text* has a part that a program fills in."""
    return any(marker in text for marker, _ in _TEMPLATES)


def has_registry(text: str) -> bool:
    """Return whether *text* begins with what looks like a registry."""
    return _REGISTRY.match(text) is not None


@lru_cache(maxsize=4096)
def is_image_key(key: str) -> bool:
    """Return whether a field or flag of this name holds images."""
    return len(key) <= _LONGEST and _IMAGE_KEY.fullmatch(key) is not None


@lru_cache(maxsize=4096)
def is_image_variable(name: str) -> bool:
    """Return whether an environment variable of this name holds an image."""
    return len(name) <= _LONGEST and _IMAGE_VARIABLE.fullmatch(name.upper()) is not None and _NOT_A_NAME.fullmatch(name.upper()) is None


@lru_cache(maxsize=4096)
def is_named_after_images(key: str) -> bool:
    """Return whether a field or variable of this name holds images."""
    return is_image_key(key) or is_image_variable(key)


def read_likely(text: str) -> ImageName | None:
    """Return the image that *text* names, None unless it looks like one."""
    name = strip_transport(text)
    if "/" not in name or len(name) > _LONGEST or not has_registry(name):
        return None
    found = read_name(name, certainty=Certainty.LIKELY)
    if found.certainty is not Certainty.LIKELY or found.reference is None or found.reference.tag in _TAINTS:
        return None
    return None if _NOT_REGISTRIES.fullmatch(found.reference.repository.registry) else found


def read_named(text: str) -> ImageName | None:
    """Return the image of a flag or variable named after images."""
    found = read_name(text, certainty=Certainty.LIKELY)
    if found.certainty is Certainty.LIKELY:
        return found if found.reference is not None and found.reference.tag not in _TAINTS else None
    name = strip_transport(text)
    return found if has_template(name) or (found.reference is not None and has_registry(name)) else None


def find_in_text(text: str) -> Iterator[tuple[ImageName, int]]:
    """
    Yield the images that an argument or a script names.

    Each with its line, from 1; 0 if the text has one line. Lines that are comments are left out.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines, 1 if len(lines) > 1 else 0):
        if not line.lstrip().startswith("#"):
            yield from ((name, number) for name in _find_in_line(line))


def _find_in_line(text: str) -> Iterator[ImageName]:
    taken: set[str] = set()
    if "image" in text or "IMAGE" in text:
        for found in _FLAG.finditer(text):
            value = found["value"].rstrip(",.")
            name = read_named(value) if is_image_key(found["flag"]) else None
            if name is not None and value not in taken:
                taken.add(value)
                yield name
    if "/" not in text or ":" not in text:
        return
    for token in _TOKEN.finditer(text):
        value = token[0].rstrip(".:]").lstrip("[")
        name = read_likely(value) if "/" in value else None
        if name is not None and value not in taken:
            taken.add(value)
            yield name
