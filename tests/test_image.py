"""The container image, checked without Docker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import imgsync
from tests.support import linters

ROOT = Path(__file__).parents[1]


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions with joined lines."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    return [(words[0], words[1]) for line in text.splitlines() if (words := line.split(None, 1))]


def last(name: str) -> str:
    return [argument for instruction, argument in instructions() if instruction == name][-1]


def copied_into_the_build() -> list[str]:
    """Return what the first stage copies from the repository."""
    return [source for name, argument in instructions() if name == "COPY" and not argument.startswith("--from") for source in argument.split()[:-1]]


def test_dockerfile_passes_hadolint():
    """It ends as non-root, and signals reach imgsync."""
    linters.dockerfile_is_sound(ROOT / "Dockerfile")

    assert last("USER") == "65532:65532"
    assert json.loads(last("ENTRYPOINT")) == ["imgsync"]
    assert json.loads(last("CMD")) == ["--help"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_base_images_are_one_image_by_digest():
    """A build tomorrow uses the same files."""
    bases = {argument.split()[0] for name, argument in instructions() if name == "FROM"}

    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.13\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases.pop())


def test_image_has_git_and_ssh():
    """In the stage that is shipped; git trusts the mounted folder, which another user owns."""
    shipped = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]

    assert re.search(r"apt-get install -y --no-install-recommends git openssh-client\b", shipped)
    assert "git config --system --add safe.directory /mirrors" in shipped
    assert last("WORKDIR") == "/mirrors"


def test_image_has_the_extra_of_serve():
    """By default; a fleet needs another one. Each is locked."""
    (lock,) = [argument for name, argument in instructions() if name == "ARG" and argument.startswith("LOCK=")]
    (installed,) = [argument for name, argument in instructions() if name == "RUN" and "lock/${LOCK}.txt" in argument]

    assert lock == "LOCK=serve"
    assert "--require-hashes" in installed
    assert "werkzeug==" in (ROOT / "lock/serve.txt").read_text(encoding="utf-8")


def test_image_labels_have_build_arguments():
    """Each label that a release fills in."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', last("LABEL")))
    arguments = {argument.partition("=")[0] for name, argument in instructions() if name == "ARG"}

    assert {name for name, value in labels.items() if value == f"${{{name.upper()}}}"} == {"version", "revision", "created", "source"}
    assert arguments - {"LOCK"} == {"VERSION", "REVISION", "CREATED", "SOURCE"}


def test_dockerignore_allows_exactly_what_is_copied():
    """Nothing else is in the build context."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert lines[0] == "*"
    assert sorted(line.removeprefix("!") for line in lines if line.startswith("!")) == sorted(name.removeprefix("./") for name in copied_into_the_build())


def test_copied_files_are_enough(tmp_path):
    """Installed from them, imgsync starts and `init` finds its templates."""
    build = tmp_path / "build"
    build.mkdir()
    for name in copied_into_the_build():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, build / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, build)
    venv = tmp_path / "venv"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    site = venv / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    for command in (
        [*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(build)],
        [sys.executable, "-m", "venv", "--without-pip", str(venv)],
        [
            *pip,
            f"--python={venv}/bin/python",
            "install",
            "--no-deps",
            "--no-index",
            str(next_wheel := tmp_path / f"imgsync_mirror-{imgsync.__version__}-py3-none-any.whl"),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert next_wheel.exists()
    # The libraries of the developers' environment, but not the editable imgsync there: a path file is not read through a path file.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(*arguments: str) -> str:
        return subprocess.run(
            [f"{venv}/bin/imgsync", *arguments], capture_output=True, text=True, check=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}
        ).stdout

    where = subprocess.run([f"{venv}/bin/python", "-c", "import imgsync; print(imgsync.__file__)"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert where.stdout.startswith(str(site))
    assert run("--version") == f"imgsync, version {imgsync.__version__}\n"
    run("init", "new")
    assert (tmp_path / "new/.gitlab-ci.yml").is_file()
    assert "all good" in run("validate", "new/mirrors.d", "--registries", "new/registries.yaml")
