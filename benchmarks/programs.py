"""Say which version a program is, and how it was built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_GO = re.compile(rb"\xff Go buildinf:.{2,64}?(go1\.\d+(?:\.\d+)?)", re.DOTALL)
_CGO = re.compile(rb"build\tCGO_ENABLED=([01])")


def find_version(text: str) -> str:
    """Return the first version in *text*, or "?"."""
    # regclient's programs and zot name other versions too, and a build that is not a release has a tag without a number.
    found = re.search(r"VCSTag:[ \t]+(\S+)", text) or re.search(r'"commit":"([^"]+)"', text) or re.search(r"(v?\d+\.\d+\S*)", text)
    return found[1] if found else "?"


def version(program: str) -> str:
    """Return the version that *program* reports, or "?"."""
    for arguments in (["--version"], ["version"]):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=30)
        found = find_version(done.stdout + done.stderr)
        if done.returncode == 0 and found != "?":
            return found
    return "?"


def find_build(program: str) -> str:
    """Return the package or the compiler that *program* comes from."""
    path = shutil.which(program)
    if path is None:
        return ""
    go = _read_go_build(Path(path).read_bytes())
    return ", ".join(filter(None, (_find_package(path), go)))


def _read_go_build(content: bytes) -> str:
    """Return the Go version and whether cgo was on, "" for other programs."""
    compiler, cgo = _GO.search(content), _CGO.search(content)
    if compiler is None:
        return ""
    return compiler[1].decode() + (f" {'with' if cgo[1] == b'1' else 'without'} cgo" if cgo else "")


def _find_package(path: str) -> str:
    """Return Debian's package of the file at *path* with its version."""
    if shutil.which("dpkg-query") is None:
        return ""
    owner = subprocess.run(["dpkg-query", "--search", path], capture_output=True, text=True, check=False)
    name = owner.stdout.partition(":")[0]
    if owner.returncode or not name:
        return ""
    shown = subprocess.run(["dpkg-query", "--show", "--showformat", "${Version}", name], capture_output=True, text=True, check=False)
    return f"Debian package {shown.stdout}"
