"""How `imgsync serve` logs in to git."""

from __future__ import annotations

from imgsync.config.secrets import Secret
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class GitSettings:
    """
    What `serve.git` of registries.yaml says.

    `username` and `password` are for https. `password_file` is where the password came from, "" if it is written or in a variable: what is in the file may
    change. `ca` is a file of certificates. `key` and `known_hosts` are files for ssh.
    """

    username: str = ""
    password: Secret | None = None
    password_file: str = ""
    ca: str = ""
    key: str = ""
    known_hosts: str = ""
