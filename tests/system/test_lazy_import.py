"""What is hidden during an import, and what a short run leaves unimported."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from imgsync.system.lazy_import import hide_modules
from tests.support.images import image


def test_hidden_module_is_not_found_and_can_be_had_afterwards():
    """Within the block the import fails as if it were not installed; behind it, it works."""
    sys.modules.pop("colorsys", None)

    with hide_modules("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0.0)


def test_module_that_is_loaded_already_stays():
    """Who has it keeps it."""
    with hide_modules("json"):
        import json

    assert json.loads("1") == 1


def test_run_that_has_nothing_to_copy_imports_no_more_than_it_needs(lab):
    """An unchanged tag: no copy engine, no colours, no command line of httpx, no AWS, no ranges of versions, no proxies."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0

    command = [sys.executable, "-X", "importtime", "-m", "imgsync", "apply"]
    done = subprocess.run(command, cwd=lab.folder, env=lab.workplace.environment(), capture_output=True, text=True, timeout=60, check=True)

    imported = set(re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)$", done.stderr, re.MULTILINE))
    assert {"imgsync.apply.run", "httpx", "gevent"} <= imported
    needless = {
        "imgsync.apply.copy_change",
        "imgsync.transfer",
        "imgsync.demo",
        "rich.console",
        "pygments",
        "h11",
        "httpcore",
        "tenacity",
        "semantic_version",
        "boto3",
        "certifi",
        "cryptography",
        "sigstore",
        "imgsync.policy.checks",
    }
    assert imported & needless == set()
