"""A git repository of a test, without the developer's settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SETTINGS = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false")


class GitRepository:
    """A repository with a work tree; `url` is its file:// address."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main", ".")
        self.git("config", "uploadpack.allowFilter", "true")

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def git(self, *arguments: str | Path, data: bytes | None = None, env: dict[str, str] | None = None) -> str:
        whole = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **(env or {})}
        done = subprocess.run(["git", *_SETTINGS, *map(str, arguments)], cwd=self.folder, env=whole, input=data, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def declare(self, *names: str, file: str = "mirrors.d/a.yaml") -> None:
        """Write *file* with suspended mirrors, which cost no request."""
        mirrors = "".join(f"  - {{name: {name}, suspend: true, source: s.example/{name}, destinations: [r.example/m]}}\n" for name in names)
        self.write(file, f"version: 1\nmirrors:\n{mirrors}")

    def commit(self, message: str = "x") -> str:
        """Commit everything; return the commit."""
        self.git("add", "--all", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, entries: dict[str, tuple[str, str]]) -> str:
        """
        Commit a tree of our making, which git itself would refuse; return the commit.

        *entries* has mode and object by name, all in the folder mirrors.d.
        """
        raw = b"".join(f"{mode} {name}".encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(one) for name, (mode, one) in entries.items())
        tree = self.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", data=raw)
        whole = self.git("mktree", data=f"040000 tree {tree}\tmirrors.d\n".encode())
        commit = self.git("commit-tree", whole, "-m", "x")
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    def blob(self, content: bytes) -> str:
        """Store a file; return its object."""
        return self.git("hash-object", "-w", "--stdin", data=content)
