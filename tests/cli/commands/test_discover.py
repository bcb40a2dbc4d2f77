"""`imgsync discover` from the command line: formats, exit codes, coverage."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from imgsync.config.schema_files import read_schema
from tests.support.chart_tools import CHARTS, WITH_TOOLS, needs_tools
from tests.support.images import image
from tests.support.lab import Lab
from tests.support.run_imgsync import Workplace

ROOT = Path(__file__).parents[3]
PODS = """\
kind: Pod
apiVersion: v1
metadata: {name: web}
spec:
  initContainers:
    - image: quay.io/example/tool:v2
  containers:
    - image: nginx:1.27
      args: [--helper=quay.io/example/helper:v1]
    - image: nginx:1.27
    - image: "{{ .Values.image }}"
    - image: busybox
"""
MIRRORS = "version: 1\nmirrors:\n  - {{name: a, source: {source}, tags: {tags}, destinations: [r.example.com/m]}}\n"


@pytest.fixture
def folder(workplace: Workplace) -> Workplace:
    """A folder with a manifest."""
    (workplace.folder / "k8s").mkdir()
    (workplace.folder / "k8s/web.yaml").write_text(PODS)
    return workplace


def declare(workplace: Workplace, source: str, tags: str = "{names: ['1.27']}") -> None:
    (workplace.folder / "mirrors.d").mkdir(exist_ok=True)
    (workplace.folder / "mirrors.d/a.yaml").write_text(MIRRORS.format(source=source, tags=tags))


def test_table_has_a_row_for_each_image(folder):
    """With how certain it is, and its first place."""
    done = folder.run("discover", "k8s")

    assert done.code == 0, done.stderr
    assert done.stderr == ""
    assert [line.split()[:4] for line in done.stdout.splitlines()[:5]] == [
        ["!", "docker.io/library/busybox", "unresolved", "k8s/web.yaml:12"],
        ["+", "docker.io/library/nginx:1.27", "sure", "k8s/web.yaml:8"],
        ["~", "quay.io/example/helper:v1", "likely", "k8s/web.yaml:9"],
        ["+", "quay.io/example/tool:v2", "sure", "k8s/web.yaml:6"],
        ["!", "{{", ".Values.image", "}}"],
    ]
    assert "(Pod web) and 1 more place" in done.stdout
    assert done.stdout.splitlines()[-1] == "5 images in 1 file: 2 sure, 1 likely, 2 unresolved."


def test_strict_fails_on_what_is_unresolved(folder):
    """And on nothing else."""
    (folder.folder / "good.yaml").write_text("kind: Pod\nspec: {containers: [{image: 'nginx:1'}]}\n")

    strict = folder.run("discover", "k8s", "--strict")
    assert strict.code == 1
    assert re.match(r"error: --strict: \d+ places? with an incomplete name ", strict.stderr)
    assert folder.run("discover", "good.yaml", "--strict").code == 0


def test_document_fits_its_schema(folder):
    """With and without coverage and errors."""
    declare(folder, "docker.io/library/nginx")
    schema = Draft202012Validator(json.loads(read_schema("references")))

    plain, compared = folder.run("discover", "k8s", "-o", "json"), folder.run("discover", "k8s", "nothing", "-o", "json", "--covered-by", "mirrors.d")

    for done in (plain, compared):
        schema.validate(done.json)
    assert plain.json["summary"] == {"images": 4, "sure": 3, "likely": 1, "unresolved": 2, "skipped": 0}
    assert plain.json["references"][0] == {
        "reference": "quay.io/example/tool:v2",
        "text": "quay.io/example/tool:v2",
        "certainty": "sure",
        "file": "k8s/web.yaml",
        "line": 6,
        "field": "Pod web: spec.initContainers[0].image",
        "reason": None,
    }
    assert compared.code == 1
    assert compared.json["skipped"][0]["file"] == "nothing"
    assert {one["reference"]: one["covered"] for one in compared.json["coverage"]} == {
        "docker.io/library/busybox": "uncovered",
        "docker.io/library/nginx:1.27": "covered",
        "quay.io/example/helper:v1": "uncovered",
        "quay.io/example/tool:v2": "uncovered",
    }


def test_mirrors_validate_and_cover_what_was_found(folder):
    """The note says what is missing."""
    done = folder.run("discover", "k8s", "-o", "mirrors", "--destination", "r.example.com/m")
    (folder.folder / "mirrors.d").mkdir()
    (folder.folder / "mirrors.d/k8s.yaml").write_text(done.stdout)

    assert done.code == 0
    assert "left out: 1 unresolved image" in done.stderr
    assert "4 mirrors to r.example.com/m (--destination); review them with `imgsync plan`." in done.stderr
    assert folder.run("validate").code == 0
    assert folder.run("fmt", "--check").code == 0
    assert folder.run("discover", "k8s", "--covered-by", "mirrors.d").code == 0


def test_mirrors_of_what_is_not_covered_only(folder):
    """To add to what is there; names do not repeat."""
    declare(folder, "docker.io/library/nginx")

    done = folder.run("discover", "k8s", "--covered-by", "mirrors.d", "-o", "mirrors")
    (folder.folder / "mirrors.d/b.yaml").write_text(done.stdout)

    assert done.code == 2
    assert "nginx" not in done.stdout
    assert folder.run("discover", "k8s", "--covered-by", "mirrors.d").code == 0


def test_registry_has_the_name_of_the_declarations(folder):
    """Over http, its port 80 makes no difference: neither to the places of an image, nor to what is left to declare."""
    declare(folder, "r.example/a", "{names: [v1]}")
    (folder.folder / "registries.yaml").write_text("version: 1\nregistries:\n  r.example: {tls: false}\n")
    (folder.folder / "one.yaml").write_text("image: r.example:80/a:v1\n---\nimage: r.example:80/b:v1\n")

    table, mirrors = (folder.run("discover", "one.yaml", "--covered-by", "mirrors.d", "-o", form) for form in ("table", "mirrors"))

    assert "no mirror selects its repository; used in one.yaml:3" in table.stdout
    assert 'source: "r.example/b"' in mirrors.stdout
    assert "/a" not in mirrors.stdout


def test_images_that_no_mirror_selects_exit_2(folder):
    """Each with the reason, where it is used, and what to do; what only a listing decides, too."""
    declare(folder, "{registry: quay.io, namespaces: [example]}", "{newest: 5, include: ['v*']}")

    done = folder.run("discover", "k8s", "--covered-by", "mirrors.d")

    assert done.code == 2
    assert "x docker.io/library/nginx:1.27" in done.stdout
    assert "uncovered    no mirror selects its repository; used in k8s/web.yaml:8" in done.stdout
    assert "? quay.io/example/tool:v2" in done.stdout
    assert "undecided    a: `newest` depends on the other tags of the source; used in k8s/web.yaml:6" in done.stdout
    assert "hint: --live asks the destinations" in done.stdout
    assert "5 images: 2 uncovered, 2 undecided, 1 unresolved." in done.stdout.splitlines()


def test_image_without_a_name_is_not_called_covered(folder):
    """It cannot be compared: its place is shown, and --strict fails."""
    declare(folder, "docker.io/library/nginx")
    (folder.folder / "one.yaml").write_text("image: nginx:1.27\n---\nimage: '{{ .Values.image }}'\n")

    done, strict = (folder.run("discover", "one.yaml", "--covered-by", "mirrors.d", *more) for more in ((), ("--strict",)))

    assert (done.code, strict.code) == (0, 1)
    assert "! {{ .Values.image }}   unresolved   one.yaml:3 (image); a template that is not rendered" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 images: 1 covered, 1 unresolved."


def test_uncovered_images_are_annotated(folder):
    """At the line that uses them, in GitHub Actions."""
    declare(folder, "docker.io/library/nginx")

    done = folder.run("discover", "k8s", "--covered-by", "mirrors.d", env={"GITHUB_ACTIONS": "true"})

    assert "::error file=k8s/web.yaml,line=6,col=1,title=imgsync::quay.io/example/tool:v2 is uncovered: no mirror selects its repository" in done.stderr


def test_stdin_is_what_runs_in_a_cluster(workplace):
    """As `kubectl get pods -A -o json` prints it."""
    pods = {"kind": "List", "apiVersion": "v1", "items": [{"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"image": "nginx:1"}]}}]}

    done = workplace.run("discover", "-", input=json.dumps(pods))

    assert "+ docker.io/library/nginx:1   sure   -:1 (Pod a)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'PATH...'"),
        (("k8s", "--live"), "--live needs --covered-by"),
        (("k8s", "-f", "values.yaml"), "the file of values values.yaml does not exist"),
        (("k8s", "--set", "x"), "--set needs NAME=VALUE"),
        (("k8s", "--kube-version", "new"), "'new' is not a version of Kubernetes"),
        (("k8s", "-o", "mirrors", "--destination", "Mirror/x"), "--destination"),
        (("k8s", "--covered-by", "nothing"), "nothing: no such file or folder"),
    ],
)
def test_wrong_usage_exits_3(arguments, message, folder):
    """Before anything is read."""
    done = folder.run("discover", *arguments)

    assert (done.code, done.stdout) == (3, "")
    assert message in done.stderr


@needs_tools
def test_folder_with_charts_and_kustomizations_is_rendered(workplace):
    """With the values of the command line; what fails is an error, and the rest is found."""
    (workplace.folder / "charts").symlink_to(CHARTS)
    (workplace.folder / "k").mkdir()
    (workplace.folder / "k/kustomization.yaml").write_text("resources: [web.yaml]\n")
    (workplace.folder / "k/web.yaml").write_text("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: 'nginx:1'}]}}\n")

    done = workplace.run("discover", "charts", "k", env=WITH_TOOLS)
    whole = workplace.run("discover", "charts", "k", "--set", "adminPassword=x", "--kube-version", "1.33", env=WITH_TOOLS)

    assert done.code == 1
    assert "error: charts/dashboards/templates/deployment.yaml:9:1: helm: set adminPassword (the chart may need values: -f values.yaml" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("22 images in ")
    assert (whole.code, whole.stderr) == (0, "")
    assert whole.stdout.splitlines()[-1].startswith("27 images in ")


@needs_tools
@pytest.mark.row("DISC-05")
def test_names_from_a_chart_cannot_write_to_the_terminal(workplace):
    """Neither escape sequences nor commands to CI runners."""
    (workplace.folder / "app/templates").mkdir(parents=True)
    (workplace.folder / "app/Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.0.0\n")
    text = (
        r'{apiVersion: v1, kind: Pod, metadata: {name: "\e[31m\u202e"}, spec: {containers: [{image: "\e]0;x\a:1"}, {image: "::error::x"}, {image: "##[x]"}]}}'
    )
    (workplace.folder / "app/templates/a.yaml").write_text(text)
    (workplace.folder / "app/templates/b.yaml").write_text('# Source: ../../etc/\x1b[2J\n{{ fail "\\n::error::\\x1b[31mx\\n##[y]" }}')

    done = workplace.run("discover", "app", env=WITH_TOOLS | {"GITHUB_ACTIONS": "true"})
    (workplace.folder / "app/templates/b.yaml").write_text("")
    found = workplace.run("discover", "app", env=WITH_TOOLS)

    for output in (done.stderr, found.stdout, workplace.run("discover", "app", "-o", "json", env=WITH_TOOLS).stdout):
        assert output.replace("\n", "").isprintable()
        assert "##[" not in output
        assert not any(line.lstrip().startswith("::error::") for line in output.splitlines())


@pytest.fixture
def running(lab: Lab) -> Lab:
    """A manifest whose two images come from the source."""
    lab.declare("app", "tags: {newest: 1}")
    name = f"{lab.source.host}/{lab.name}/app"
    lab.write("k8s.yaml", f"kind: Pod\nspec: {{containers: [{{image: '{name}:1.0.0'}}, {{image: '{name}:1.1.0'}}]}}\n")
    return lab


def test_live_asks_the_destinations(running):
    """What filters do not decide is covered if it is served, by its digest too."""
    content = image("one")
    running.push_to_destination("app", "1.1.0", content)
    running.write("pin.yaml", f"kind: Pod\nspec: {{containers: [{{image: '{running.source.host}/{running.name}/app:x@{content.digest}'}}]}}\n")

    declared = running.run("discover", "k8s.yaml", "--covered-by", "mirrors.d", "-o", "json")
    live = running.run("discover", "k8s.yaml", "pin.yaml", "--covered-by", "mirrors.d", "--live", "-o", "json")

    assert [one["covered"] for one in declared.json["coverage"]] == ["undecided", "undecided"]
    assert [one["covered"] for one in live.json["coverage"]] == ["uncovered", "covered", "covered"]
    assert live.code == 2
    assert "m/" in live.json["coverage"][0]["reason"]
    assert live.json["coverage"][0]["reason"].endswith("is not served")
    assert running.source.requests() == []
    assert {request.split()[0] for request in running.destination.requests()} <= {"HEAD", "GET"}


def test_live_says_which_destination_does_not_answer(running):
    """An image that could not be checked is undecided."""
    running.write("registries.yaml", f"version: 1\nregistries: {{'{running.source.host}': {{tls: false}}, '127.0.0.1:1': {{tls: false}}}}\n")
    running.write("mirrors.d/a.yaml", (running.folder / "mirrors.d/a.yaml").read_text().replace(running.destination.host, "127.0.0.1:1"))

    done = running.run("discover", "k8s.yaml", "--covered-by", "mirrors.d", "--live", "-o", "json")

    assert done.code == 2
    assert {one["covered"] for one in done.json["coverage"]} == {"undecided"}
    assert "127.0.0.1:1" in done.json["coverage"][0]["reason"]


def test_one_destination_that_serves_an_image_is_enough(running):
    """Also if one before it does not answer."""
    for tag in ("1.0.0", "1.1.0"):
        running.push_to_destination("app", tag, image("one"))
    settings = {running.source.host: {"tls": False}, running.destination.host: {"tls": False}, "127.0.0.1:1": {"tls": False}}
    running.workplace.registries_file(json.dumps({"version": 1, "registries": settings}))
    text = (running.folder / "mirrors.d/a.yaml").read_text()
    running.write("mirrors.d/0.yaml", text.replace("name: a", "name: first").replace(running.destination.host, "127.0.0.1:1"))

    done = running.run("discover", "k8s.yaml", "--covered-by", "mirrors.d", "--live", "-o", "json")

    assert {one["covered"] for one in done.json["coverage"]} == {"covered"}, done.stdout


def test_start_imports_no_reader(workplace):
    """`imgsync --version` and other commands are as quick as before."""
    code = "import sys\nfrom imgsync.cli import run\nrun(['--version'])\nprint([name for name in sys.modules if 'discover' in name])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, env=workplace.environment())

    assert done.stdout.splitlines()[-1] == "[]"
