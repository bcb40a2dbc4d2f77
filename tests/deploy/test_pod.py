"""What runs in the pod of the chart: its command, its variables, and its files as Kubernetes mounts them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.support.chart_tools import needs_tools
from tests.support.images import image
from tests.support.rendered_chart import Rendered, render
from tests.support.serving import Serving

pytestmark = needs_tools


class MountedConfigMap:
    """A folder as kubelet writes it: files are links into a folder that a link names, and that link is replaced."""

    def __init__(self, folder: Path, data: Mapping[str, str]) -> None:
        """Mount *data* at *folder*."""
        self._folder = folder
        self._version = 0
        folder.mkdir()
        self.update(data)

    def update(self, data: Mapping[str, str]) -> None:
        """Write another version, and have the link name it."""
        self._version += 1
        whole = self._folder / f"..2026_11_30_{self._version}"
        whole.mkdir()
        for name, text in data.items():
            (whole / name).write_text(text)
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"..data/{name}")
        (self._folder / "..data_tmp").symlink_to(whole.name)
        (self._folder / "..data_tmp").rename(self._folder / "..data")


class Pod(Serving):
    """The container of a rendered release, in a folder that stands for its root."""

    def __init__(self, lab, rendered: Rendered) -> None:
        """Mount the ConfigMaps and an empty volume whose group may write it, as fsGroup makes it."""
        root = lab.folder / "pod"
        (root / "mirrors/.imgsync").mkdir(parents=True)
        (root / "mirrors/.imgsync").chmod(0o2775)
        self.mirrors = MountedConfigMap(root / "mirrors/mirrors.d", rendered.find("ConfigMap", "mirrors-mirrors")["data"])
        MountedConfigMap(root / "registries", rendered.find("ConfigMap", "mirrors-registries")["data"])
        command, *arguments = rendered.container["args"]
        arguments[arguments.index("--listen") + 1] = "127.0.0.1:0"
        variables = {one["name"]: one["value"].replace("/registries/", f"{root}/registries/") for one in rendered.container["env"] if "value" in one}
        assert command == "serve"
        super().__init__(lab.workplace, *arguments, env=variables | {"HOME": str(root), "SERVE_TOKEN": "t" * 32}, cwd=root / "mirrors")


def declared(lab) -> dict[str, object]:
    """Return values with the mirrors and the registries of the lab."""
    registries = yaml.safe_load((lab.folder / "registries.yaml").read_text())
    (file,) = (lab.folder / "mirrors.d").iterdir()
    return {
        "mirrors": {"files": {"base.yaml": yaml.safe_load(file.read_text())}},
        "registries": {"config": {**registries, "serve": {"token": "${SERVE_TOKEN}"}}},
    }


@pytest.mark.row("K8S-07")
def test_rendered_pod_mirrors_and_is_ready(lab):
    """With the arguments, variables and files of the chart; it keeps a state in a volume that its group may write."""
    pushed = lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    rendered = render("serve", values=declared(lab))
    probes = {name: rendered.container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}

    with Pod(lab, rendered) as pod:
        assert pod.wait_for("run.ended", trigger="start")["exit_code"] == 0
        assert [pod.get(path).status_code for path in probes.values()] == [200, 200, 200]
        assert pod.post("/api/v1/reconcile", headers={"Authorization": f"Bearer {'t' * 32}"}).status_code == 202
        pod.wait_for("run.ended", trigger="request")

    lab.assert_served("app", "1.0", pushed)
    assert (lab.folder / "pod/mirrors/.imgsync/state/cache.db").exists()


def test_changed_configmap_is_used_without_a_new_pod(lab):
    """Kubernetes replaces a link; times and sizes of the files may be the same."""
    lab.push("app", "1.0", image("first"))
    second = lab.push("app", "2.0", image("second"))
    lab.declare("app", "tags: {names: ['1.0']}")
    rendered = render("serve", values=declared(lab))
    data = rendered.find("ConfigMap", "mirrors-mirrors")["data"]

    with Pod(lab, rendered) as pod:
        pod.wait_for("run.ended", trigger="start")
        pod.mirrors.update({name: text.replace('"1.0"', '"2.0"') for name, text in data.items()})
        pod.wait_for("run.ended", trigger="change")

    lab.assert_served("app", "2.0", second)
