"""Two pods of the chart share a Lease, with the rights of its Role alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.chart_tools import needs_tools
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.images import image
from tests.support.rendered_chart import render
from tests.support.serving import Serving

pytestmark = needs_tools

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/imgsync/leases"
_VERBS = {"GET": "get", "POST": "create", "PUT": "update"}
_FORBIDDEN = b'{"kind": "Status", "reason": "Forbidden", "message": "leases.coordination.k8s.io is forbidden"}'


def obey(rules: list[Mapping[str, Any]]) -> Callable[[str, str], tuple[int, bytes] | None]:
    """Return what refuses a request that *rules* do not allow, as an API server does."""

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        name = path.removeprefix(_LEASES).removeprefix("/")
        allowed = path.startswith(_LEASES) and any(
            _VERBS.get(method) in rule["verbs"] and rule["resources"] == ["leases"] and ("resourceNames" not in rule or name in rule["resourceNames"])
            for rule in rules
        )
        return None if allowed else (403, _FORBIDDEN)

    return answer


@pytest.mark.row("K8S-03")
def test_role_is_enough_for_two_pods(lab, authority, tmp_path):
    """The first makes the Lease and renews it; the second takes it over; every request is allowed."""
    rendered = render("serve-two-replicas")
    arguments = rendered.container["args"]
    name = arguments[arguments.index("--lease-name") + 1]
    lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    with FakeKubernetes(authority) as kubernetes:
        kubernetes.answer = obey(rendered.find("Role")["rules"])

        def serve(pod: str) -> Serving:
            account = kubernetes.write_account(tmp_path / pod, "imgsync")
            settings = {"POD_NAME": pod, "IMGSYNC_LEASE_SECONDS": "3", "IMGSYNC_STATE": str(tmp_path / f"state-{pod}")}
            return Serving(lab.workplace, "--lease", "kubernetes", "--lease-name", name, env=account | settings)

        with serve("first") as first:
            first.wait_for("lease.acquired")
            with serve("second") as second:
                first.end()
                second.wait_for("lease.acquired")
                second.wait_for("run.ended")
        held = [one.holder.partition("_")[0] for one in kubernetes.history[f"imgsync/{name}"]]

    assert {_VERBS[method] for method, _ in kubernetes.requests} == {"get", "create", "update"}
    assert list(dict.fromkeys(holder for holder in held if holder)) == ["first", "second"]


def test_another_lease_is_not_allowed():
    """Nor any other resource, or deleting."""
    allows = obey(render("serve-two-replicas").find("Role")["rules"])

    assert allows("PUT", f"{_LEASES}/mirrors") is None
    assert allows("PUT", f"{_LEASES}/other") == (403, _FORBIDDEN)
    assert allows("GET", _LEASES) == (403, _FORBIDDEN)
    assert allows("DELETE", f"{_LEASES}/mirrors") == (403, _FORBIDDEN)
    assert allows("GET", "/api/v1/namespaces/imgsync/secrets/registries") == (403, _FORBIDDEN)
