"""Find the images that a kustomization renders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from imgsync.discover.kubernetes import find_in_documents
from imgsync.discover.kustomize import find_kustomization, find_remote, render_kustomization
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.run_tool import DEFAULT_LIMITS, ToolError, ToolLimits, clean_stderr, find_tool


def find_in_kustomization(folder: str, *, program_path: str, limits: ToolLimits = DEFAULT_LIMITS) -> Iterator[FoundImage | SkippedInput]:
    """
    Yield the images of the kustomization in *folder*.

    The line is 0: kubectl does not say where a document is from.
    """
    file = find_kustomization(folder)
    error = find_remote(folder)
    if error is not None:
        yield SkippedInput(error.file, error.line, f"{error.path}: {error.message}" if error.path else error.message, error.hint)
        return
    try:
        kubectl = find_tool("kubectl", path=program_path, needed_for="render kustomizations")
        rendered = render_kustomization(kubectl, folder, limits=limits)
    except ToolError as failure:
        yield SkippedInput(file, 0, f"kubectl: {clean_stderr(failure.stderr)}" if failure.stderr else failure.message, failure.hint)
        return
    for found in find_in_documents(rendered, file=file):
        yield replace(found, line=0)
