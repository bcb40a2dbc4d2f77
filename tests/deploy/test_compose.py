"""The compose file: a read-only container that only this machine reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support import linters
from tests.test_docs import check

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


def read_service() -> dict[str, object]:
    """Return the only service."""
    (service,) = yaml.safe_load(COMPOSE.read_text())["services"].values()
    return service


def test_file_fits_the_specification():
    """That of compose."""
    linters.fits("vendor.compose-spec")(COMPOSE)
    linters.yaml_is_tidy(COMPOSE)


@pytest.mark.row("K8S-08")
def test_container_has_no_rights():
    """A read-only root, no capability, a port on loopback, read-only declarations."""
    service = read_service()

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "65532:65532"
    assert service["ports"] == ["127.0.0.1:8080:8080"]
    assert service["volumes"] == ["./mirrors.d:/mirrors/mirrors.d:ro", "./registries.yaml:/mirrors/registries.yaml:ro", "state:/mirrors/.imgsync"]
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service)


def test_stop_and_health_fit_the_program():
    """More time than `--grace`, and the probe of the port that it listens on."""
    service = read_service()
    command = service["command"]

    check(list(command))
    assert command[:3] == ["serve", "--listen", "0.0.0.0:8080"]
    assert int(service["stop_grace_period"].removesuffix("s")) == int(command[command.index("--grace") + 1].removesuffix("s")) + 15
    assert "http://127.0.0.1:8080/healthz" in service["healthcheck"]["test"][-1]
