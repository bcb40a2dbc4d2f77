"""The expression for Renovate finds each line of a lock: under RE2, and in Renovate itself at night."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import re2
from hypothesis import given, settings

from imgsync.oci.spec.reference import parse_reference
from tests.lock.test_read_lock import IMAGES
from tests.support.effort import effort
from tests.support.locks import digest, lock_text, read_images

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "imgsync/init/templates/renovate.json.jinja"
PAGE = ROOT / "docs/how-to/pin-digests.md"
EXAMPLES = (
    "docker.io/library/alpine:3.22.1",
    "ghcr.io/company/tools/app:v1.2.3-rc.1",
    "quay.io/a/b_c--d.e:_x",
    "registry.internal:5000/team/app:2025-01-01_x",
    "registry.k8s.io/coredns/coredns:v1.12.0",
    "registry.k8s.io/pause:3.10",
)


def read_manager() -> dict[str, list[str]]:
    """Return the custom manager that `imgsync init` writes."""
    (manager,) = json.loads(CONFIG.read_text())["customManagers"]
    return manager


def find(text: str) -> list[tuple[str, str, str]]:
    """Return dependency, version and digest of each match, as Renovate's engine finds them."""
    (expression,) = read_manager()["matchStrings"]
    return [(one["depName"], one["currentValue"], one["currentDigest"]) for one in re2.compile(expression).finditer(text)]


def test_expression_finds_every_line():
    """Of registries with a port, of Docker Hub and of others."""
    images = {image: digest(image) for image in EXAMPLES}

    assert find(lock_text(images)) == [(*image.rsplit(":", 1), images[image]) for image in sorted(EXAMPLES)]


@settings(max_examples=effort(20, 2000), deadline=None)
@given(IMAGES.filter(lambda image: not image.startswith("[")))
def test_expression_finds_what_the_lock_has(image):
    """Whatever imgsync writes, apart from IPv6 addresses, which Renovate does not know."""
    reference = parse_reference(image)

    assert find(lock_text({image: digest(1)})) == [(str(reference.repository), reference.tag, digest(1))]


def test_expression_is_for_files_of_the_folder():
    """Not for other YAML."""
    (pattern,) = read_manager()["fileMatch"]

    assert re2.search(pattern, "mirrors.lock/base-images.yaml")
    assert not any(re2.search(pattern, path) for path in ("mirrors.d/a.yaml", "x/mirrors.lock/a.yaml", "mirrors.lock/a.yaml.bak", "mirrors.lock/a/b.yaml"))


def test_page_shows_what_init_writes():
    """The configuration, for repositories that exist already."""
    block = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)

    assert block is not None
    assert block[1] == CONFIG.read_text()


def test_replaced_digest_is_read():
    """A bot replaces the digest within the match, and the rest of the file stays."""
    images = {image: digest(image) for image in EXAMPLES}
    text = lock_text(images)

    changed = text.replace(images[EXAMPLES[0]], digest("new"))

    assert read_images(changed) == images | {EXAMPLES[0]: digest("new")}


@pytest.mark.only_nightly
@pytest.mark.timeout(3000)
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_renovate_finds_every_line(tmp_path):
    """Renovate 39, with the configuration that `imgsync init` writes."""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(tmp_path))}
    program = tmp_path / "renovate"
    program.mkdir()
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(program), "renovate@39.264.0"]
    subprocess.run(command, cwd=program, env=environ, check=True, capture_output=True)
    folder = tmp_path / "mirrors"
    (folder / "mirrors.lock").mkdir(parents=True)
    images = {image: digest(image) for image in EXAMPLES}
    (folder / "mirrors.lock/a.yaml").write_text(lock_text(images))
    shutil.copy(CONFIG, folder / "renovate.json")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, env=environ, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, env=environ, check=True)

    # `--ignore-scripts` leaves out the compiled RE2, and Renovate then uses JavaScript's expressions.
    own = {"LOG_LEVEL": "debug", "LOG_FORMAT": "json", "RENOVATE_X_IGNORE_RE2": "true"}
    renovate = [str(program / "node_modules/.bin/renovate"), "--platform=local", "--dry-run=extract"]
    ran = subprocess.run(renovate, cwd=folder, env=environ | own, check=True, capture_output=True, text=True)

    files = [file for line in ran.stdout.splitlines() for file in (json.loads(line).get("packageFiles") or {}).get("regex", ())]
    found = {(one["depName"], one["currentValue"], one["currentDigest"]) for file in files for one in file["deps"]}
    assert found == {(*image.rsplit(":", 1), images[image]) for image in EXAMPLES}
