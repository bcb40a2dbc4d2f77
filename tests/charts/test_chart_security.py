"""The pods of the chart have no rights that they do not need."""

from __future__ import annotations

import pytest

from tests.support.chart_tools import needs_tools
from tests.support.rendered_chart import EXAMPLES, render

pytestmark = needs_tools


@pytest.mark.row("K8S-01")
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_pod_is_restricted(example):
    """As the restricted level of Pod Security asks, with a read-only root besides."""
    pods = list(render(example).pods())

    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "shareProcessNamespace"} & set(pod)
        assert not [volume for volume in pod.get("volumes", []) if "hostPath" in volume]
        for container in pod["containers"]:
            assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.row("K8S-01")
def test_pods_run_as_the_user_of_the_image():
    """Unless the platform chooses one, which is not root."""
    assert render("serve").pod["securityContext"].items() >= {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}.items()
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(render("serve-secrets-store").pod["securityContext"])


@pytest.mark.row("K8S-01")
@pytest.mark.parametrize("example", EXAMPLES)
def test_only_what_must_be_written_can_be_written(example):
    """/tmp and the state, each with a limit or a claim of its own."""
    pod = render(example).pod
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    written = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if not mount.get("readOnly")}

    assert set(written.values()) <= {"/tmp", "/mirrors/.imgsync", "/shards"}
    for name in written:
        assert volumes[name].get("emptyDir", {}).get("sizeLimit") or volumes[name].get("persistentVolumeClaim", {}).get("claimName")


@pytest.mark.row("K8S-02")
def test_one_replica_writes():
    """The old pod ends before the new one begins, and runs of a CronJob never overlap."""
    serve = render("serve").find("Deployment")["spec"]

    assert (serve["replicas"], serve["strategy"]) == (1, {"type": "Recreate"})
    assert render("cronjob").find("CronJob")["spec"]["concurrencyPolicy"] == "Forbid"
    assert render("job").find("Job")["spec"].get("parallelism", 1) == 1


@pytest.mark.row("K8S-02")
def test_two_replicas_have_a_lease():
    """One by one replaced, and one stays when a node is drained."""
    rendered = render("serve-two-replicas")
    deployment = rendered.find("Deployment")["spec"]
    arguments = rendered.container["args"]

    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert arguments[arguments.index("--lease") + 1] == "kubernetes"
    assert arguments[arguments.index("--lease-name") + 1] == "mirrors"
    assert {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in rendered.container["env"]
    assert rendered.find("PodDisruptionBudget")["spec"]["minAvailable"] == 1
    assert "PodDisruptionBudget" not in render("serve").kinds()


@pytest.mark.row("K8S-03")
def test_token_of_the_cluster_is_there_only_for_a_lease():
    """No other mode gets one, and no account mounts it by itself."""
    for example in EXAMPLES:
        rendered = render(example)
        assert rendered.pod["automountServiceAccountToken"] is (example == "serve-two-replicas")
        if "ServiceAccount" in rendered.kinds():
            assert rendered.find("ServiceAccount")["automountServiceAccountToken"] is False
        assert ("Role" in rendered.kinds()) is (example == "serve-two-replicas")
    assert "Role" not in render("worker", "lease.enabled=true").kinds()


@pytest.mark.row("K8S-03")
def test_role_allows_one_lease_and_nothing_else():
    """To make one, and to read and renew the one of this release."""
    rendered = render("serve-two-replicas")

    assert rendered.find("Role")["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["mirrors"], "verbs": ["get", "update"]},
    ]
    (subject,) = rendered.find("RoleBinding")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": rendered.pod["serviceAccountName"], "namespace": "imgsync"}
    assert rendered.find("RoleBinding")["roleRef"]["name"] == rendered.find("Role")["metadata"]["name"]


@pytest.mark.row("K8S-04")
def test_network_is_open_where_it_must_be():
    """DNS and HTTPS out; in from this namespace, to the port of the page."""
    policy = render("serve").find("NetworkPolicy")["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": "http"}]}]
    dns = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
    assert policy["egress"] == [dns, {"ports": [{"protocol": "TCP", "port": 443}]}]


@pytest.mark.row("K8S-04")
def test_network_of_chosen_namespaces_and_ports():
    """With the API server for the Lease."""
    policy = render("serve-two-replicas").find("NetworkPolicy")["spec"]

    (ingress,) = policy["ingress"]
    assert [peer.get("namespaceSelector", {}).get("matchLabels") for peer in ingress["from"]] == [
        None,
        {"kubernetes.io/metadata.name": "ingress-nginx"},
        {"kubernetes.io/metadata.name": "monitoring"},
    ]
    assert [port["port"] for port in ingress["ports"]] == ["http", "events"]
    _, registries, api = policy["egress"]
    assert [port["port"] for port in registries["ports"]] == [443, 5000]
    assert registries["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]
    assert [port["port"] for port in api["ports"]] == [443, 6443]


@pytest.mark.row("K8S-04")
@pytest.mark.parametrize("example", ["cronjob", "job", "job-shards", "worker"])
def test_pods_without_a_port_can_not_be_reached(example):
    """Nothing listens there."""
    rendered = render(example)

    assert rendered.find("NetworkPolicy")["spec"]["ingress"] == []
    assert "Service" not in rendered.kinds()
    assert "ports" not in rendered.container


@pytest.mark.row("K8S-04")
def test_policy_and_service_select_the_pods_of_this_release():
    """And not the pod of `helm test`."""
    rendered = render("serve")
    selector = rendered.find("Service")["spec"]["selector"]
    labels = rendered.find("Deployment")["spec"]["template"]["metadata"]["labels"]

    assert selector.items() <= labels.items()
    assert rendered.find("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == selector
    assert not selector.items() <= rendered.find("Pod")["metadata"]["labels"].items()


@pytest.mark.row("K8S-05")
@pytest.mark.parametrize("example", EXAMPLES)
def test_secrets_are_files_of_their_own(example):
    """Readable by owner and group, and no Secret is rendered."""
    rendered = render(example)

    assert "Secret" not in rendered.kinds()
    for volume in rendered.pod["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] == 0o440


@pytest.mark.row("K8S-06")
@pytest.mark.parametrize("example", EXAMPLES)
def test_services_set_no_variables(example):
    """A Service named imgsync would set IMGSYNC_PORT, and one named imgsync-state IMGSYNC_STATE_PORT."""
    for pod in render(example).pods():
        assert pod["enableServiceLinks"] is False


@pytest.mark.row("K8S-07")
def test_volume_of_the_state_stays():
    """It survives the release, and Kubernetes does not make it writable for a group at each start."""
    rendered = render("serve")
    claim = rendered.find("PersistentVolumeClaim")

    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert rendered.pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    assert {"name": "state", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in rendered.pod["volumes"]


@pytest.mark.row("K8S-07")
@pytest.mark.parametrize("example", EXAMPLES)
def test_pod_has_time_to_stop_in_good_order(example):
    """More than `--grace`."""
    pod = render(example).pod
    arguments = pod["containers"][0]["args"]

    assert pod["terminationGracePeriodSeconds"] == int(arguments[arguments.index("--grace") + 1].removesuffix("s")) + 15
