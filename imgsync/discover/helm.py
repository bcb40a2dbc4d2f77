"""
Render a chart with helm, and say what a failure means.

Helm gets local paths only. Nothing is downloaded, no plugin runs, and no cluster is asked.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from imgsync.discover.paths import is_file
from imgsync.discover.run_tool import DEFAULT_LIMITS, ToolError, ToolLimits, clean_stderr, run_tool
from imgsync.errors import UsageError
from imgsync.system.dataclass import dataclass

_RELEASE = "release"
_SOURCE = re.compile(rb"^---\n# Source: (.{1,500})$", re.MULTILINE)
_KUBE_VERSION = re.compile(r"v?[0-9]{1,3}\.[0-9]{1,4}(\.[0-9]{1,4})?([-+][0-9A-Za-z.+-]{1,60})?")
# What helm prints of a template: (demo/templates/web.yaml:7:16)
_PLACE = re.compile(r"(?:(?:execution|parse) error )?(?:at )?\(?\b[\w.-]+/((?:charts/[\w.-]+/)*templates/[^:()\s]{1,200}):(\d{1,7})(?::\d+)?\)?:? ?")
_INCLUDED = "error calling include: "
_EXECUTING = re.compile(r'^(?:template: )?(?:executing "[^"]*" at )?')
_MISSING = re.compile(r"found in Chart\.yaml, but missing in charts/ directory: (.+)")


@dataclass(frozen=True, slots=True)
class HelmOptions:
    """
    How charts are rendered.

    Attributes:
        values: Files of values, later ones first in effect.
        settings: `NAME=VALUE` for `helm template --set`.
        kube_version: The version of Kubernetes; "" for helm's own.
        limits: What one run may use.
    """

    values: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    kube_version: str = ""
    limits: ToolLimits = field(default_factory=lambda: DEFAULT_LIMITS)

    def check(self) -> None:
        """
        Return if helm can use these options.

        Raises:
            UsageError: It cannot: helm would load a URL, or read an option.
        """
        for file in self.values:
            if not is_file(file):
                raise UsageError(f"the file of values {file} does not exist", hint="--values names a local file, such as values-prod.yaml")
        for setting in self.settings:
            if not setting.partition("=")[0] or "=" not in setting:
                raise UsageError("--set needs NAME=VALUE", hint="for example --set image.tag=1.2.3")
        if self.kube_version and _KUBE_VERSION.fullmatch(self.kube_version) is None:
            raise UsageError(f"{self.kube_version!r} is not a version of Kubernetes", hint="for example --kube-version 1.31")


@dataclass(frozen=True, slots=True)
class Rendered:
    """
    The documents of a chart.

    Attributes:
        text: What helm printed.
        lines: Lines of `text` where a template's documents begin.
        templates: The template of each, such as `web/templates/deployment.yaml`.
    """

    text: bytes
    lines: tuple[int, ...]
    templates: tuple[str, ...]

    def find_template(self, line: int) -> str:
        """Return the template that printed *line* of the text, "" if unknown."""
        place = bisect.bisect_right(self.lines, line) - 1
        return self.templates[place] if place >= 0 else ""


@dataclass(frozen=True, slots=True)
class RenderFailure:
    """Why a chart cannot be rendered, and where if helm says it."""

    message: str
    hint: str
    template: str = ""
    line: int = 0


def render_chart(helm: str, path: str, options: HelmOptions) -> Rendered:
    """
    Return the documents of the chart at *path*, CRDs included.

    Raises:
        ToolError: Helm fails, or exceeds a limit.
    """
    text = run_tool(helm, _make_arguments(str(Path(path).absolute()), options), limits=options.limits)
    found = list(_SOURCE.finditer(text))
    starts, line, end = [], 1, 0
    for one in found:
        line += text.count(b"\n", end, one.start())
        end = one.start()
        starts.append(line)
    return Rendered(text, tuple(starts), tuple(one[1].decode("utf-8", "replace") for one in found))


def _make_arguments(path: str, options: HelmOptions) -> Sequence[str]:
    # A schema of values may name another schema by URL, which helm would load.
    arguments = ["template", _RELEASE, path, "--include-crds", "--skip-schema-validation"]
    # Helm reads the value as a line of CSV.
    quoted = (str(Path(file).absolute()).replace('"', '""') for file in options.values)
    arguments += [f'--values="{file}"' for file in quoted]
    arguments += [f"--set={setting}" for setting in options.settings]
    return [*arguments, *([f"--kube-version={options.kube_version}"] if options.kube_version else [])]


def explain_failure(error: ToolError, path: str) -> RenderFailure:
    """Return why the chart at *path* cannot be rendered, in clean words."""
    if not error.stderr:
        return RenderFailure(error.message, error.hint)
    said = clean_stderr(error.stderr)
    missing = _MISSING.search(said)
    if missing is not None:
        return RenderFailure(f"dependencies are missing in charts/: {missing[1]}", f"run `helm dependency build {path}`, which downloads them")
    place = _PLACE.search(said)
    message = f"helm: {_find_cause(said)}"
    return RenderFailure(message, _find_hint(said), place[1] if place is not None else "", int(place[2]) if place is not None else 0)


def _find_cause(said: str) -> str:
    """Return the cause, which is at the end of an error."""
    cause = said.rpartition(_INCLUDED)[2]
    return _EXECUTING.sub("", _PLACE.sub("", cause, count=1), count=1)


def _find_hint(said: str) -> str:
    if "kubeVersion" in said:
        return "give the version of your clusters: --kube-version 1.31"
    if "unknown flag" in said:
        return "install helm 3.16 or newer"
    return "the chart may need values: -f values.yaml, or --set NAME=VALUE" if "execution error" in said or "nil pointer" in said else ""
