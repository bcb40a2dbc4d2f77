"""Hidden modules, and what a short run does not import."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from imgsync.system.lazy_import import hide_modules, leave_out
from tests.support.images import image


def test_hidden_module_is_importable_afterwards():
    """Within the block the import fails."""
    sys.modules.pop("colorsys", None)

    with hide_modules("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0.0)


def test_loaded_module_is_not_hidden():
    """It stays importable."""
    with hide_modules("json"):
        import json

    assert json.loads("1") == 1


def test_left_out_module_does_nothing_and_is_importable_afterwards():
    """Within the block each of its names is a class, a decorator and a base class, but not what Python itself asks for."""
    sys.modules.pop("colorsys", None)

    with leave_out("colorsys", "json"):
        import colorsys as left_out
        import json
        from colorsys import ANY, decorate

    @decorate(ANY, "x")
    class Derived(ANY):
        x = 1

    import colorsys

    assert (Derived.x, Derived(1, y=2).x) == (1, 1)
    assert not hasattr(left_out, "__all__")
    assert json.loads("1") == 1
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0.0)


def test_run_without_changes_imports_little(lab):
    """No copy engine, colours, AWS library, version ranges, clients, proxies or words of errors."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0

    command = [sys.executable, "-X", "importtime", "-m", "imgsync", "apply"]
    done = subprocess.run(command, cwd=lab.folder, env=lab.workplace.environment(), capture_output=True, text=True, timeout=60, check=True)

    imported = set(re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)$", done.stderr, re.MULTILINE))
    assert {"imgsync.apply.run", "httpx._urls", "gevent"} <= imported
    needless = {
        "imgsync.apply.copy_change",
        "imgsync.transfer",
        "imgsync.demo",
        "rich.console",
        "pygments",
        "email.message",
        "email.utils",
        "h11",
        "http.client",
        "http.cookiejar",
        "httpcore",
        "httpx._client",
        "urllib.request",
        "zope.interface",
        "tenacity",
        "imgsync.filters.ranges",
        "imgsync.filters.order",
        "boto3",
        "certifi",
        "cryptography",
        "sigstore",
        "imgsync.policy.checks",
        "imgsync.images.referrer_gaps",
        "imgsync.oci.error_body",
        "imgsync.oci.refused_response",
        "imgsync.oci.auth.token_errors",
        "asyncio",
        "colorama",
        "structlog.dev",
        "structlog.tracebacks",
        "attr",
        "jsonschema",
        "referencing",
        "filelock",
        "imgsync.config.schema_check",
    }
    assert imported & needless == set()
    # 690 were imported once, 574 before stores other than registries.
    assert len(imported) <= 580
