"""The program runs in an environment of its own, fully observed."""

from __future__ import annotations

import json
import sys

from tests.support.run_imgsync import Result, finish


def test_environment_has_nothing_of_the_developer(workplace, monkeypatch):
    """No docker login, proxy or IMGSYNC_ variable."""
    for variable in ("HTTPS_PROXY", "http_proxy", "IMGSYNC_STATE", "DOCKER_CONFIG"):
        monkeypatch.setenv(variable, "from-outside")

    environment = workplace.environment({"IMGSYNC_STATE": "own"})

    assert "from-outside" not in environment.values()
    assert environment["DOCKER_CONFIG"].startswith(str(workplace.folder))
    assert environment["IMGSYNC_STATE"] == "own"


def test_result_reads_json_and_every_log_line():
    """stdout is one document, stderr JSON lines."""
    result = Result(0, '{"a": 1}\n', '{"event": "x"}\n{"event": "y", "n": 2}\n')

    assert result.json == {"a": 1}
    assert result.events("y") == [{"event": "y", "n": 2}]


def test_program_runs_to_its_end(imgsync):
    """Exit code, stdout and stderr are those of the program."""
    result = imgsync("schema")

    assert result.code == 0
    assert json.loads(result.stdout)["$schema"].endswith("2020-12/schema")


def test_started_program_is_waited_for(lab):
    """By `finish`, with this Python."""
    process = lab.start("--version")

    assert process.args[0] == sys.executable
    assert finish(process).code == 0


def test_files_are_written_where_the_program_looks(workplace):
    """mirrors.d and registries.yaml, dedented."""
    mirror = workplace.mirror("a", source="h/x", destinations=["h/y"], tags={"names": ["1"]})
    plain = workplace.mirror_file("    version: 1\n    mirrors: []\n")
    registry_settings = workplace.allow_plain_http("127.0.0.1:5", settings={"127.0.0.1:5": {"rate": "1/s"}})

    assert json.loads(mirror.read_text())["mirrors"] == [{"name": "a", "source": "h/x", "destinations": ["h/y"], "tags": {"names": ["1"]}}]
    assert plain.read_text() == "version: 1\nmirrors: []\n"
    assert json.loads(registry_settings.read_text())["registries"] == {"127.0.0.1:5": {"tls": False, "rate": "1/s"}}
    assert [path.parent.name for path in (mirror, plain)] == ["mirrors.d", "mirrors.d"]
    assert registry_settings == workplace.folder / "registries.yaml"
