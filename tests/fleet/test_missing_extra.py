"""Without the extra `queue`, coordinator and worker say how to install it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_WITHOUT = "import sys; sys.modules.update(celery=None, kombu=None, amqp=None); from imgsync.__main__ import main; main()"


@pytest.mark.parametrize("command", ["apply", "worker"])
def test_missing_extra_is_a_usage_error(lab, command):
    """With exit code 3 and a hint that can be followed before imgsync is on PyPI."""
    lab.declare("app")

    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, command, "--broker", "amqp://127.0.0.1/"], cwd=lab.folder, capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 3, done.stderr
    assert "a fleet needs Celery, which is not installed" in done.stderr
    assert "pip install '.[queue]'" in done.stderr
    assert "Traceback" not in done.stderr
