"""
Find the images that a Helm chart lists and renders.

Each find names the template that has it. The line is that of the template if it has the whole name there, else 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from imgsync.discover.chart_files import Chart, ChartError, read_chart
from imgsync.discover.chart_metadata import find_in_metadata, is_library
from imgsync.discover.helm import HelmOptions, Rendered, explain_failure, render_chart
from imgsync.discover.kubernetes import find_in_documents
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.run_tool import ToolError, find_tool

_TEMPLATE_BYTES = 1 << 20


def find_in_chart(path: str, options: HelmOptions, *, root: str, program_path: str) -> Iterator[FoundImage | SkippedInput]:
    """
    Yield the images of a chart, and why it is not read.

    Args:
        path: The chart.
        options: How it is rendered.
        root: The folder that its links must not leave.
        program_path: Folders where helm may be, as in PATH.
    """
    try:
        chart = read_chart(path, root=root)
    except ChartError as error:
        yield SkippedInput(path, 0, error.message, error.hint)
        return
    yield from find_in_metadata(chart)
    if is_library(chart):
        return
    try:
        helm = find_tool("helm", path=program_path, needed_for="render charts")
        rendered = render_chart(helm, path, options)
    except ToolError as error:
        failure = explain_failure(error, path)
        yield SkippedInput(_name_template(chart, f"/{failure.template}") if failure.template else path, failure.line, failure.message, failure.hint)
        return
    yield from _find_in_rendered(chart, rendered)


def _find_in_rendered(chart: Chart, rendered: Rendered) -> Iterator[FoundImage | SkippedInput]:
    for found in find_in_documents(rendered.text, file=chart.path):
        template = rendered.find_template(found.line)
        file = _name_template(chart, template) if template else chart.path
        if isinstance(found, FoundImage):
            yield replace(found, file=file, line=_find_line(file, found.text))
        else:
            # Its line is one of helm's output, which is not shown.
            yield replace(found, file=file, line=0, message=f"rendered: {found.message}")


def _name_template(chart: Chart, template: str) -> str:
    """Return the file of *template*, which begins with the chart's name."""
    return str(Path(chart.path, template.partition("/")[2]))


def _find_line(file: str, text: str) -> int:
    """Return the only line of *file* that has *text*, else 0."""
    lines = [number for number, line in enumerate(_read_lines(file), 1) if text in line]
    return lines[0] if len(lines) == 1 else 0


@lru_cache(maxsize=64)
def _read_lines(file: str) -> tuple[str, ...]:
    """Return the lines of a template, none of a packed chart."""
    try:
        with Path(file).open("rb") as opened:
            return tuple(opened.read(_TEMPLATE_BYTES).decode("utf-8", "replace").splitlines())
    except OSError:
        return ()
