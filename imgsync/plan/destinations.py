"""Find where a source repository and its tags go at a destination."""

from __future__ import annotations

import functools

from imgsync.config.model import Destination
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.oci.spec.reference import Reference, Repository


@functools.lru_cache(maxsize=4096)
def find_repository(destination: Destination, source: Repository, relative: str) -> Repository:
    """
    Return the repository of *source* at *destination*.

    All of its tags share this value.

    Raises:
        InvalidReferenceError: The template results in an invalid path.
    """
    return Repository(destination.registry, expand_repository(destination, source.path, relative=relative, registry=source.registry))


def find_reference(destination: Destination, source: Repository, relative: str, tag: str) -> Reference:
    """
    Return the reference of *tag* of *source* at *destination*.

    Raises:
        InvalidReferenceError: A template results in an invalid path or tag.
    """
    expanded = expand_tag(destination, tag)
    # A plan may hold 100,000 tags: equal names share one string.
    return find_repository(destination, source, relative).with_tag(tag if expanded == tag else expanded)
