"""Clients of all registries share connections and TLS settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imgsync.config.model import Tls
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.text.redaction import Redaction
from tests.support.effort import effort
from tests.support.faults import FaultProxy
from tests.support.images import image, pull_raw, push


@pytest.mark.row("DOS-15")
def test_few_file_descriptors_are_enough(lab):
    """Under `ulimit -n 64` many images are copied over fewer connections, without a failed attempt."""
    for number in range(effort(12, 60)):
        lab.push("app", str(number), image(number, layers=4))
    lab.declare("app", "concurrency: {images: 16, blobs: 16, queries: 16}", retry="{attempts: 2, interval: 0s}")

    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); from imgsync.__main__ import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", limited, "apply", "-o", "json"],
        cwd=lab.folder,
        env=lab.workplace.environment({"PYTHONPATH": str(Path(__file__).parents[2])}),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert ran.returncode == 0, ran.stderr
    assert "Too many open files" not in ran.stderr
    assert len(lab.served_tags("app")) == effort(12, 60)
    assert lab.source.most_open <= 8


@pytest.mark.row("RUN-01")
def test_copies_within_one_registry_do_not_deadlock(lab):
    """With one connection per side, 64 images within one registry are copied."""
    with FaultProxy(lab.source_registry) as proxy:
        images = {f"{lab.name}/app{number}": image((lab.name, number), layers=1) for number in range(24)}
        for repository, content in images.items():
            push(lab.source_registry, repository, "1", content)
        lab.write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: '{proxy.host}', repositories: [{', '.join(images)}]}}\n"
            f"    destinations: ['{proxy.host}/copy']\n    concurrency: {{images: 64, blobs: 8, queries: 64}}\n    timeouts: {{request: 20s, image: 40s}}\n",
        )
        lab.write("registries.yaml", f"version: 1\nregistries:\n  {proxy.host}: {{tls: false, connections: 1}}\n")

        ran = lab.run("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        assert ran.json["summary"] == ran.json["summary"] | {"copied": 24, "failed": 0}
        assert all(pull_raw(lab.source_registry, f"copy/{repository}", "1") == content.raw for repository, content in images.items())
        assert ran.events("request.retried") == []


@pytest.mark.row("RUN-14")
def test_equal_tls_settings_share_one_context(monkeypatch):
    """One context for each set of TLS settings."""
    from imgsync.config.model import RegistriesConfig, RegistrySettings
    from imgsync.oci.http.url import origin_of
    from imgsync.registries import tls_contexts as module
    from imgsync.registries.clients import Registries

    made = []
    original = module.make_tls_context
    monkeypatch.setattr(module, "make_tls_context", lambda **settings: made.append(settings) or original(**settings))
    registry_settings = RegistriesConfig(
        by_host={f"r{n}.example": RegistrySettings() for n in range(4)} | {"own.example": RegistrySettings(tls=Tls(verify=False))}
    )
    with Registries(
        registry_settings, environ={}, pushes=True, on_retry=lambda _: None, redaction=Redaction(), on_warning=pytest.fail, on_registry_warning=print
    ) as opened:
        endpoints = [
            opened.make_client(host, side, RetryPolicy()).transport.endpoint for host in registry_settings.by_host for side in ("source", "destination")
        ]
        contexts = {id(endpoint.tls_context(origin_of(endpoint.url))) for endpoint in endpoints for _ in range(64)}

    assert len(contexts) == 2
    assert len(made) == 2
