"""Versions and builds are read from what the programs say and contain."""

from __future__ import annotations

import pytest

from benchmarks.programs import find_build, find_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("skopeo version 1.9.3", "1.9.3"),
        ("VCSTag:     main-725072f\nGoVer:      go1.27.3\n", "main-725072f"),
        ("VCSTag:     \nVCSRef: v0.11.5\n", "v0.11.5"),
        ("registry github.com/distribution/distribution/v3 v3.1.1+unknown", "v3.1.1+unknown"),
        ('{"distribution-spec":"1.1.1","commit":"v2.1.20-0-g6d19b44","go version":"go1.26.0"}', "v2.1.20-0-g6d19b44"),
        ("no number here", "?"),
    ],
)
def test_version_is_found_in_what_programs_print(text, version):
    """Each program has a form of its own."""
    assert find_version(text) == version


def test_build_names_package_compiler_and_cgo(tmp_path, monkeypatch):
    """skopeo keeps its blob cache only if it was built with cgo."""
    program = tmp_path / "peer"
    program.write_bytes(b"\x7fELF\x00\xff Go buildinf:\x08\x02" + bytes(16) + b"\x08go1.27.3\x00build\tCGO_ENABLED=0\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert find_build("peer") == "go1.27.3 without cgo"
    assert find_build("not-there") == ""


def test_build_of_an_installed_package_names_it(tmp_path, monkeypatch):
    """Distributions build with settings of their own."""
    _write_program(tmp_path / "dpkg-query", 'case $1 in --search) echo "peer: $2" ;; *) printf 1.9.3-1 ;; esac')
    _write_program(tmp_path / "peer", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert find_build("peer") == "Debian package 1.9.3-1"


def _write_program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
