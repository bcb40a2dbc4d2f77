"""The systemd unit: hardened, and with a command line that imgsync has."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.test_docs import check

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "imgsync.service"
_HARDENED = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectControlGroups": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "StateDirectory": "imgsync",
    "StateDirectoryMode": "0700",
    "UMask": "0077",
}
needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def read_unit() -> dict[str, dict[str, list[str]]]:
    """Return the values of each setting by section."""
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in UNIT.read_text().splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            found[section][name].append(value)
    return {name: dict(settings) for name, settings in found.items()}


@pytest.mark.row("K8S-08")
def test_unit_is_hardened():
    """A user of its own without rights, and one folder that can be written."""
    service = read_unit()["Service"]

    assert {name: service[name][-1] for name in _HARDENED} == _HARDENED
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert not {"User", "Group", "PermissionsStartOnly", "ReadWritePaths"} & set(service)


@pytest.mark.row("K8S-08")
@needs_analyze
def test_systemd_finds_the_exposure_low():
    """At most 2.0 of 10; the network alone is 0.5."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", UNIT], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-600:] + done.stderr


@needs_analyze
def test_systemd_reads_every_setting(tmp_path):
    """Without a warning; the program of the unit is any program here."""
    unit = tmp_path / "imgsync.service"
    unit.write_text(UNIT.read_text().replace("/opt/imgsync/bin/imgsync", "/bin/true"))

    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False, timeout=60)

    assert [line for line in done.stderr.splitlines() if "imgsync.service" in line] == []


def test_stop_is_in_good_order():
    """SIGTERM to imgsync alone, more time than `--grace`, and no new start for a broken configuration."""
    service = read_unit()["Service"]
    (command,) = service["ExecStart"]
    grace = int(command.split("--grace ")[1].removesuffix("s"))

    check(shlex.split(command)[1:])
    assert service["KillMode"] == ["mixed"]
    assert int(service["TimeoutStopSec"][0].removesuffix("s")) == grace + 15
    assert service["RestartPreventExitStatus"] == ["3"]
    assert "--state /var/lib/imgsync/" in command
