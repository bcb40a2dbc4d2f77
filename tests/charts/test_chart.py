"""The Helm chart renders valid manifests for each mode, and refuses values that do not fit."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import certifi
import jsonschema
import kubernetes_validate
import pytest
import yaml

import imgsync
from imgsync.serve.declarations.git_url import parse_git_url
from tests.support import linters
from tests.support.chart_tools import HELM, needs_tools
from tests.support.rendered_chart import CHART, EXAMPLES, ChartError, render, show_notes
from tests.support.run_imgsync import Workplace
from tests.test_docs import FENCE, ROOT, check

pytestmark = needs_tools

# Custom resources, whose schemas kubernetes-validate does not have.
_OF_OPERATORS = {"ExternalSecret", "PrometheusRule", "SecretProviderClass", "ServiceMonitor"}
_ONE_MIRROR = {"version": 1, "mirrors": [{"name": "base", "source": "docker.io/library/alpine", "destinations": ["registry.example.com/mirror"]}]}


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_finds_nothing_to_complain_about(example):
    """`helm lint --strict`, with the values of each example."""
    done = subprocess.run(
        [HELM, "lint", "--strict", "--quiet", CHART, "--values", CHART / "ci" / f"{example}-values.yaml"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": "/nonexistent"},
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.31", "1.35"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_manifest_is_valid(example, version):
    """By the schemas of the oldest and a new Kubernetes, without unknown fields."""
    rendered = render(example)

    for document in rendered.documents:
        if document["kind"] not in _OF_OPERATORS:
            kubernetes_validate.validate(dict(document), version, strict=True)
    names = [(document["kind"], document["metadata"]["name"]) for document in rendered.documents]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("step", ["plan", "combine"])
def test_other_steps_of_shards_are_valid(step):
    """Like the step in the examples."""
    rendered = render("job-shards", f"job.step={step}")

    kubernetes_validate.validate(dict(rendered.find("Job")), "1.31", strict=True)
    assert rendered.container["args"][0] == step


@pytest.mark.parametrize(
    ("example", "kinds"),
    [
        ("serve", {"Deployment", "Service", "PersistentVolumeClaim", "ConfigMap", "ServiceAccount", "NetworkPolicy", "Pod"}),
        (
            "serve-two-replicas",
            {"Deployment", "Service", "ConfigMap", "ServiceAccount", "NetworkPolicy", "Pod", "Role", "RoleBinding", "Ingress", "PodDisruptionBudget"}
            | {"ExternalSecret", "PrometheusRule", "ServiceMonitor"},
        ),
        ("serve-secrets-store", {"Deployment", "Service", "SecretProviderClass", "Pod"}),
        ("cronjob", {"CronJob", "ConfigMap", "ServiceAccount", "NetworkPolicy"}),
        ("job", {"Job", "PersistentVolumeClaim", "ServiceAccount", "NetworkPolicy"}),
        ("job-shards", {"Job", "ServiceAccount", "NetworkPolicy"}),
        ("worker", {"Deployment", "ServiceAccount", "NetworkPolicy"}),
    ],
)
def test_each_mode_has_what_it_needs(example, kinds):
    """And nothing else."""
    assert render(example).kinds() == kinds


def test_version_of_the_app_is_that_of_the_program():
    """So the default tag of the image is right."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == imgsync.__version__
    assert render("serve").container["image"] == f"registry.example.com/ops/imgsync:{imgsync.__version__}"


def test_values_fit_their_own_schema():
    """It is a schema that names each value."""
    linters.is_a_schema(CHART / "values.schema.json")
    schema = json.loads((CHART / "values.schema.json").read_text())

    jsonschema.Draft7Validator(schema).validate(yaml.safe_load((CHART / "values.yaml").read_text()))
    assert set(schema["properties"]) - {"global"} == set(yaml.safe_load((CHART / "values.yaml").read_text()))


@pytest.mark.parametrize("path", [CHART / "values.yaml", CHART / "Chart.yaml", *sorted((CHART / "ci").iterdir())], ids=lambda path: path.name)
def test_files_of_values_are_tidy(path, tmp_path):
    """By yamllint."""
    linters.yaml_is_tidy(path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("serv.every=1h", "additional properties 'serv' not allowed"),
        ("serve.evry=1h", "additional properties 'evry' not allowed"),
        ("mode=daemon", "value must be one of 'serve', 'cronjob', 'job', 'worker'"),
        ("serve.every=hourly", "does not match pattern"),
        ("serve.port=80", "minimum: got 80, want 1"),
        ("networkPolicy.egressPorts[0]=https", "got string, want integer"),
        ("mirrors.git.url=https://user:secret@git.example.com/a.git", "does not match pattern"),
        ("mirrors.git.url=http://git.example.com/a.git", "does not match pattern"),
        ("worker.broker=amqps://user:secret@mq.example.com", "does not match pattern"),
        ("podSecurityContext.runAsUser=0", "minimum: got 0, want 1"),
        ("podSecurityContext.privileged=true", "additional properties 'privileged' not allowed"),
        ("mirrors.files.README=text", "does not match pattern"),
    ],
)
def test_wrong_values_are_refused(setting, message):
    """Unknown names, and what would fail later."""
    with pytest.raises(ChartError, match=message):
        render("serve", setting)


@pytest.mark.parametrize(
    ("example", "settings", "message"),
    [
        ("serve", ["image.repository="], "image.repository is missing"),
        ("serve", ["mirrors.existingConfigMap=mirrors"], "set one of mirrors.files, mirrors.existingConfigMap and mirrors.git.url"),
        ("worker", ["mirrors.existingConfigMap="], "set one of mirrors.files"),
        ("cronjob", ["mirrors.files=null", "mirrors.git.url=https://git.example.com/a.git"], "mirrors.git is only for the mode serve"),
        ("serve-two-replicas", ["lease.enabled=false"], "set lease.enabled, so that only one of them writes"),
        ("serve-two-replicas", ["state.registry="], "set state.registry, so that all of them have the same state"),
        ("serve-two-replicas", ["registries.existingSecret.name=registries"], "set one of registries.config and registries.existingSecret.name"),
        ("serve", ["serve.eventsPort=8080"], "serve.port and serve.eventsPort are the same"),
        ("job-shards", ["job.shardsClaim="], "job.step shards needs job.shardsClaim"),
        ("job-shards", ["state.registry="], "job.step shards needs state.registry"),
        ("serve", ["secretProviderClass.enabled=true"], "secretProviderClass.provider is missing"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(example, settings, message):
    """With what to set."""
    with pytest.raises(ChartError, match=message):
        render(example, *settings)


@pytest.mark.row("K8S-05")
@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"registries": {"r.example.com": {"credentials": {"username": "a", "password": "hunter2"}}}}, "password is a secret"),
        ({"serve": {"token": "0123456789abcdef0123456789abcdef"}}, "registries.config.serve.token is a secret"),
        ({"serve": {"events": {"a": {"type": "quay", "registry": "quay.io", "secret": "x" * 32}}}}, "registries.config.serve.events.a.secret is a secret"),
        ({"broker": {"url": "amqps://user:hunter2@mq.example.com"}}, "registries.config.broker.url has a login"),
        ({"broker": {"key": "0123456789abcdef"}}, "registries.config.broker.key is a secret"),
    ],
)
def test_secrets_in_values_are_refused(config, place):
    """A ConfigMap and the release would show them. Helm's error does not."""
    with pytest.raises(ChartError, match=place) as refused:
        render("serve", values={"registries": {"config": {"version": 1, **config}}})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("example", "settings"),
    [
        *((example, ()) for example in EXAMPLES),
        ("job-shards", ("job.step=plan",)),
        ("job-shards", ("job.step=combine",)),
        ("worker", ("worker.broker=amqps://mq/a",)),
    ],
)
def test_imgsync_accepts_the_command_line(example, settings, monkeypatch):
    """Each option and each value."""
    for name in [name for name in os.environ if name.startswith("IMGSYNC_")]:
        monkeypatch.delenv(name)
    arguments = render(example, *settings).container["args"]

    assert all(isinstance(word, str) for word in arguments)
    check(list(arguments))


@pytest.mark.parametrize("example", ["serve", "cronjob", "serve-two-replicas"])
def test_rendered_files_are_valid_for_imgsync(example, tmp_path):
    """mirrors.d and registries.yaml, as they are in the pod."""
    rendered = render(example, values=None if example != "serve-two-replicas" else {"mirrors": {"git": {"url": ""}, "files": {"base.yml": _ONE_MIRROR}}})
    for name, text in rendered.find("ConfigMap", "mirrors-mirrors")["data"].items():
        (tmp_path / "mirrors.d").mkdir(exist_ok=True)
        (tmp_path / "mirrors.d" / name).write_text(text)
    files = [] if example != "serve-two-replicas" else ["--registries", str(write_registries(tmp_path, rendered))]

    done = Workplace(tmp_path).run("validate", "mirrors.d", *files, cwd=tmp_path, env={"REGISTRY_PASSWORD": "a", "GIT_SECRET": "b" * 32})

    assert done.code == 0, done.stderr
    assert "all good" in done.stdout


def write_registries(folder: Path, rendered) -> Path:
    """Write registries.yaml, with the files that it names."""
    text = rendered.find("ConfigMap", "mirrors-registries")["data"]["registries.yaml"]
    for name in ("token", "inside", "git"):
        (folder / name).write_text("0123456789abcdef" * 2)
        text = text.replace(f"/run/secrets/serve/{name}", str(folder / name))
    text = text.replace("/etc/company/ca.pem", certifi.where())
    (folder / "registries.yaml").write_text(text)
    return folder / "registries.yaml"


def test_versions_in_values_stay_texts():
    """3.10 is not 3.1."""
    data = render("serve").find("ConfigMap", "mirrors-mirrors")["data"]

    assert yaml.safe_load(data["base.yaml"])["mirrors"][0]["tags"]["names"] == ["3.10"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_notes_say_what_to_do_next(example):
    """With commands for this release."""
    notes = show_notes(example)

    assert "kubectl --namespace imgsync " in notes
    assert "WARNING" not in notes


def test_notes_warn_about_a_state_that_is_lost():
    """Without a volume and a registry."""
    assert "WARNING: the state is lost with each pod." in show_notes("serve", "state.persistence.enabled=false")


def test_packed_chart_renders_the_same(tmp_path):
    """With its files, without the examples."""
    done = subprocess.run([HELM, "package", CHART, "--destination", tmp_path], capture_output=True, text=True, check=True, env={"HOME": "/nonexistent"})
    packed = Path(done.stdout.split(": ")[1].strip())
    listing = subprocess.run(["tar", "-tzf", packed], capture_output=True, text=True, check=True).stdout.split()

    assert "imgsync/files/alerts.yaml" in listing
    assert not [name for name in listing if "/ci/" in name]


@pytest.mark.parametrize(("port", "backends"), [(0, {"/": "http", "/events": "http"}), (8081, {"/": "http", "/events": "events"})])
def test_ingress_sends_events_to_their_port(port, backends):
    """If they have one of their own."""
    (rule,) = render("serve-two-replicas", f"serve.eventsPort={port}").find("Ingress")["spec"]["rules"]

    assert {path["path"]: path["backend"]["service"]["port"]["name"] for path in rule["http"]["paths"]} == backends


@pytest.mark.parametrize("url", ["https://git.example.com:8443/a.git", "ssh://git@git.example.com:22/a.git", "git@git.example.com:team/a.git"])
def test_addresses_of_git_are_those_of_imgsync(url):
    """What it refuses, the schema refuses too."""
    assert parse_git_url(url).text == url
    arguments = render("serve-two-replicas", f"mirrors.git.url={url}").container["args"]

    assert arguments[arguments.index("--git") + 1] == url


def list_values_of_pages() -> list[Any]:
    """Return the blocks of values in the pages, as parameters."""
    known = set(yaml.safe_load((CHART / "values.yaml").read_text()))
    pages = [ROOT / "docs" / "how-to" / f"{page}.md" for page in ("service", "alerts")]
    blocks = [(page.stem, yaml.safe_load(text)) for page in pages for kind, text in FENCE.findall(page.read_text()) if kind == "yml"]
    return [pytest.param(values, id=f"{page}-{number}") for number, (page, values) in enumerate(blocks) if set(values) <= known]


def test_pages_have_values():
    """The one of the installation, those of two replicas, those of monitoring."""
    assert len(list_values_of_pages()) == 3


@pytest.mark.parametrize("values", list_values_of_pages())
def test_values_of_the_pages_are_accepted(values):
    """As they stand there, besides what every release needs."""
    # The example for a branch of git; its own values are replaced where the page has them.
    rendered = render("serve-two-replicas", values=values)

    assert rendered.container["args"][0] == "serve"
    for document in rendered.documents:
        if document["kind"] not in _OF_OPERATORS:
            kubernetes_validate.validate(dict(document), "1.35", strict=True)
