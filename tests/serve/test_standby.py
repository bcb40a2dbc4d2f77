"""A replica that does not hold the lease: what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.images import image
from tests.support.serving import Serving

_SECRET = "hook-SECRET-0123456789abcdef0123456789"
_LOGIN = {"Authorization": f"Bearer {_SECRET}"}


@pytest.fixture
def replicas(lab, authority, tmp_path) -> Iterator[tuple[Serving, Serving]]:
    """Return the one that holds the lease, and the one that stands by."""
    lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    registries: dict[str, object] = {"version": 1, "registries": {host: {"tls": False} for host in (lab.source.host, lab.destination.host)}}
    registries["serve"] = {"token": _SECRET, "events": {"inside": {"type": "generic", "registry": lab.source.host, "secret": _SECRET}}}
    lab.write("registries.yaml", json.dumps(registries))
    with FakeKubernetes(authority) as kubernetes:

        def serve(name: str) -> Serving:
            account = kubernetes.write_account(tmp_path / name, "imgsync")
            settings = {"POD_NAME": name, "IMGSYNC_LEASE_SECONDS": "3", "IMGSYNC_STATE": str(tmp_path / f"state-{name}")}
            return Serving(lab.workplace, "--lease", "kubernetes", env=account | settings)

        with serve("first") as holder:
            holder.wait_for("lease.acquired")
            holder.wait_for("run.ended")
            with serve("second") as other:
                other.wait_until(lambda: other.get("/api/v1/status").json()["lease"]["holder"])
                yield holder, other


def test_standby_is_ready_and_acts_on_nothing(lab, replicas):
    """503 to an event, so that the sender tries again over another connection; a request gets the name of the holder."""
    holder, other = replicas
    pushed = lab.push("app", "2.0", image("second"))
    event = {"image": f"{lab.source.host}/{lab.name}/app:2.0"}

    refused = other.post("/events/inside", json=event, headers=_LOGIN)
    taken = holder.post("/events/inside", json=event, headers=_LOGIN)
    request = other.post("/api/v1/reconcile", headers=_LOGIN)

    assert (other.get("/readyz").status_code, other.get("/").status_code) == (200, 200)
    assert (refused.status_code, refused.headers["connection"], "Retry-After" in refused.headers) == (503, "close", True)
    assert "another replica" in refused.text
    assert other.events("event.accepted") == []
    assert (request.status_code, "first_" in request.json()["error"]) == (503, True)
    assert taken.status_code == 202
    holder.wait_for("run.ended", trigger="event")
    lab.assert_served("app", "2.0", pushed)
