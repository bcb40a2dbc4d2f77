"""What helm renders of our chart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.chart_tools import HELM

CHART = Path(__file__).parents[2] / "charts" / "imgsync"
EXAMPLES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
"""The files of values in ci/, each a use of the chart."""

Document = Mapping[str, Any]
_RELEASE = ("mirrors", "--namespace", "imgsync", "--kube-version", "1.31.0")


class ChartError(Exception):
    """Helm refused values."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The documents of a release."""

    documents: tuple[Document, ...]

    def find(self, kind: str, name: str = "") -> Document:
        """Return the only document of *kind*, or the one with *name*."""
        (found,) = [one for one in self.documents if one["kind"] == kind and name in {"", one["metadata"]["name"]}]
        return found

    def kinds(self) -> set[str]:
        """Return the kinds of documents that are there."""
        return {document["kind"] for document in self.documents}

    def pods(self) -> Iterator[Document]:
        """Yield the spec of each pod."""
        for document in self.documents:
            spec = document.get("spec", {})
            match document["kind"]:
                case "Pod":
                    yield spec
                case "Deployment" | "Job":
                    yield spec["template"]["spec"]
                case "CronJob":
                    yield spec["jobTemplate"]["spec"]["template"]["spec"]

    @property
    def pod(self) -> Document:
        """Return the spec of the pod that does the work."""
        return next(pod for pod in self.pods() if pod["containers"][0]["name"] == "imgsync")

    @property
    def container(self) -> Document:
        """Return its container."""
        return self.pod["containers"][0]


def render(example: str, *settings: str, values: Mapping[str, Any] | None = None) -> Rendered:
    """
    Return what helm renders of an example, with more *settings* as for `--set`, and more *values*.

    Raises:
        ChartError: Helm refused it.
    """
    return Rendered(tuple(one for one in yaml.safe_load_all(run_helm("template", example, *settings, values=values)) if one))


def show_notes(example: str, *settings: str) -> str:
    """Return what a user reads after the installation."""
    return run_helm("install", example, *settings, options=("--dry-run=client",)).partition("\nNOTES:\n")[2]


def run_helm(command: str, example: str, *settings: str, values: Mapping[str, Any] | None = None, options: tuple[str, ...] = ()) -> str:
    """Return what `helm template` or `helm install` prints."""
    words = [
        HELM,
        command,
        *(_RELEASE if command == "template" else _RELEASE[:3]),
        *options,
        str(CHART),
        "--values",
        str(CHART / "ci" / f"{example}-values.yaml"),
    ]
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--values", "-"] if values else []
    done = subprocess.run(
        words, input=yaml.safe_dump(values) if values else "", capture_output=True, text=True, check=False, timeout=60, env={"HOME": "/nonexistent"}
    )
    if done.returncode:
        raise ChartError(done.stderr)
    return done.stdout
