"""Each peer does the work as well as it can."""

from __future__ import annotations

import json

import pytest

from benchmarks.corpora import small
from benchmarks.peers import TOOLS, Job, is_floor, is_peer

TAGS = tuple((repository, f"v{tag}") for repository in ("bench/a", "bench/b") for tag in range(3))


@pytest.fixture
def job(tmp_path):
    """A job over TLS with a login; its registries do not run."""
    return Job("127.0.0.1:1", ("127.0.0.1:2",), small(2, 3), TAGS, tmp_path, tmp_path / "ca.pem", ("robot", "harness-password"), "https://localhost:3")


def _tool(name):
    return next(tool for tool in TOOLS if tool.name == name)


@pytest.mark.parametrize("name", ["oras, 8 processes", "regctl, 8 processes", "skopeo copy, 8 processes"])
def test_processes_of_one_time_take_different_repositories(job, name):
    """docker-registry refuses uploads of one blob to one repository at once."""
    _tool(name).command(job)

    lines = (job.folder / "lines").read_text().splitlines()
    assert ["bench/a" in line for line in lines] == [True, False] * 3
    assert len(set(lines)) == len(TAGS)


def test_tools_find_authority_and_login(job):
    """By the variable of OpenSSL and Go, and by the file of `docker login`."""
    job.log_in()

    assert job.environment == {"SSL_CERT_FILE": str(job.folder / "ca.pem")}
    logins = json.loads((job.folder / ".docker" / "config.json").read_text())["auths"]
    assert logins.keys() == {"127.0.0.1:1", "127.0.0.1:2"}


def test_defaults_of_imgsync_declare_no_limit(job):
    """What users have who set nothing."""
    _tool("imgsync (defaults)").command(job)

    settings = json.loads((job.folder / "registries.yaml").read_text())["registries"]["127.0.0.1:1"]
    assert settings == {"tls": {"ca": str(job.folder / "ca.pem")}, "token_server": "https://localhost:3"}
    assert "concurrency" not in json.loads((job.folder / "mirrors.d/bench.yaml").read_text())["mirrors"][0]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_no_tool_skips_the_check_of_certificates(job, tool):
    """A handshake that is checked is what users pay for."""
    command = " ".join(tool.command(job) if not tool.plain_only else ())
    written = "".join(path.read_text() for path in job.folder.iterdir() if path.is_file())

    for word in ("--insecure", "plain-http", "verify=false", '"tls-verify": false', "disabled", '"insecure": true', "http://"):
        assert word not in command + written


def test_each_tool_is_ours_a_peer_or_a_floor():
    """The page compares with peers only."""
    kinds = {tool.name: (tool.name.startswith("imgsync"), is_peer(tool.name), is_floor(tool.name)) for tool in TOOLS}

    assert {name: sum(kind) for name, kind in kinds.items()} == dict.fromkeys(kinds, 1)
