"""The converted file plans what `skopeo sync --dry-run` lists."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.support.images import image


@pytest.mark.parametrize("scoped", [False, True])
def test_plan_equals_skopeo_s_dry_run(lab, scoped):
    """Exact tags, all tags and a search, with source and destination."""
    for repository, tags in {"all": ("1", "2", "latest"), "some": ("1.0", "2.0", "3.0"), "deep/er/found": ("v1", "v1-alpine", "v2", "av1")}.items():
        for tag in tags:
            lab.push(repository, tag, image((repository, tag)))
    lab.write(
        "sync.yml",
        f"""
{lab.source_registry.host}:
  tls-verify: false
  images:
    {lab.name}/all: []
    {lab.name}/some: ["1.0", 3.0]
  images-by-tag-regex:
    {lab.name}/deep/er/found: v1
""",
    )
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source_registry.host}: {{tls: false}}\n  {lab.destination_registry.host}: {{tls: false}}\n")
    target = f"{lab.destination_registry.host}/{lab.name}"

    converted = lab.run("convert", "sync.yml", "--destination", target, *(["--scoped"] if scoped else []))
    lab.write("mirrors.d/sync.yaml", converted.stdout)
    plan = lab.run("plan", "-o", "json")

    assert converted.code == 0, converted.stderr
    assert plan.code == 0, plan.stderr
    planned = {(change["source"], change["destination"]) for change in plan.json["changes"]}
    # skopeo makes no valid name of a scope with a port in it, hence its plain paths are what both can be asked for.
    expected = _skopeo(lab.workplace, target)
    if scoped:
        scope = lab.source_registry.host.replace(":", "_")
        expected = {(source, f"{target}/{scope}/{source.removeprefix(f'{lab.source_registry.host}/')}") for source, _ in expected}
    assert planned == expected


def _skopeo(workplace, target: str) -> set[tuple[str, str]]:
    command = ["skopeo", "sync", "--dry-run", "--src", "yaml", "--dest", "docker", "--dest-tls-verify=false", "sync.yml", target]
    done = subprocess.run(command, cwd=workplace.folder, env=workplace.environment(), capture_output=True, text=True, timeout=60, check=True)
    found = re.findall(r'from="docker://([^"]+)" to="docker://([^"]+)"', done.stderr)
    assert found, done.stderr
    return set(found)
