"""What discovery finds: image references, each with its place."""

from __future__ import annotations

from enum import StrEnum

from imgsync.oci.spec.reference import Reference
from imgsync.system.dataclass import dataclass


class Certainty(StrEnum):
    """How certain it is that a text names an image."""

    SURE = "sure"
    """It is in a field that only holds images."""

    LIKELY = "likely"
    """It has the form of an image name, in a field that may hold anything."""

    UNRESOLVED = "unresolved"
    """It is an image, but its name is not complete: a template, a variable, or no tag."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """
    One place that names an image.

    Attributes:
        text: The name as the file has it.
        reference: The image, with its registry; None if `text` does not have one, such as a template.
        certainty: How certain it is.
        file: The file, as given; "-" for standard input.
        line: The line in that file, from 1; 0 if a program made the document, such as a rendered chart.
        field: Where in the document, such as `Deployment web: spec.template.spec.containers[0].image`.
        reason: Why it is unresolved, "" otherwise.
    """

    text: str
    reference: Reference | None
    certainty: Certainty
    file: str
    line: int
    field: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SkippedInput:
    """
    An input that could not be read, or only in part.

    Attributes:
        file: The file or folder.
        line: The line of the error, 0 for the whole.
        message: What is wrong.
        hint: What to do about it.
    """

    file: str
    line: int
    message: str
    hint: str = ""
