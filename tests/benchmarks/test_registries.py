"""Registries with TLS and tokens, and kinds beside docker-registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import registries
from benchmarks.corpora import small
from benchmarks.peers import TOOLS
from benchmarks.registries import Zot, fill, has_registry
from benchmarks.run import bench, find_file_system
from benchmarks.works import Work, over_tls, with_tokens
from tests.support.registry_process import Tls


def test_run_over_tls_with_tokens_copies_everything(tmp_path, monkeypatch):
    """The tools trust the certificate and log in by Docker's file."""
    monkeypatch.setattr(registries, "_KEPT", tmp_path)
    work = with_tokens(over_tls(Work("one", small(1, 2))))
    contents = fill(work.corpus)
    chosen = [tool for tool in TOOLS if tool.name == "imgsync (defaults)" and tool.fits(work)]

    (found,) = bench(work, chosen, contents, runs=1)

    assert len(contents.digests) == 2
    assert [len(found.cold), len(found.unchanged)] == [1, 1]
    assert [sample.wrong for sample in (*found.cold, *found.unchanged)] == [0, 0]
    assert found.cold[0].source["GET blob"] == 5
    assert 18 << 10 < contents.unique_bytes < 30 << 10


def test_floors_do_not_log_in_and_splice_knows_no_tls():
    """They are shown where they can do the work."""
    work = Work("large", registries.Corpus("large-1", "one", ("l",), lambda _: ()))

    def names(one):
        return {tool.name.partition(",")[0] for tool in TOOLS if tool.fits(one)} & {"curl | curl", "relay", "relay with splice"}

    assert names(work) == {"curl | curl", "relay", "relay with splice"}
    assert names(over_tls(work)) == {"curl | curl", "relay"}
    assert names(with_tokens(work)) == set()


def test_own_scenarios_keep_the_floors():
    """The page compares three destinations with one by them too."""
    work = Work("one", registries.Corpus("large-1", "one", ("l",), lambda _: ()), own=True)

    assert {tool.name for tool in TOOLS if tool.fits(work)} == {
        "imgsync",
        "imgsync (defaults)",
        "curl | curl, 4 at once",
        "relay, 4 at once",
        "relay with splice, 4 at once",
    }


def test_requests_are_read_from_the_log_of_zot():
    """Its log is one JSON document a line, of requests and of other events."""
    event = {"level": "info", "message": "listening"}
    request = {"level": "info", "method": "PUT", "path": "/v2/a/blobs/uploads/1?digest=sha256:0", "statusCode": 201, "bodySize": 0, "message": "HTTP API"}
    text = "\n".join(["starting", json.dumps(event), json.dumps(request), '{"cut'])

    (found,) = Zot.read_log(text)

    assert (found.method, found.path, found.status) == ("PUT", "/v2/a/blobs/uploads/1", 201)


def test_zot_is_configured_with_the_certificate(tmp_path):
    """The file is JSON, which is YAML too."""
    zot = Zot(tmp_path, tls=Tls(tmp_path / "server.pem", tmp_path / "key.pem", tmp_path / "ca.pem"))
    zot.port = 5000

    document = json.loads(zot.configure())

    assert document["http"] == {"address": "127.0.0.1", "port": "5000", "tls": {"cert": f"{tmp_path}/server.pem", "key": f"{tmp_path}/key.pem"}}
    assert document["storage"] == {"rootDirectory": f"{tmp_path}/data", "gc": False}


@pytest.mark.parametrize(("said", "found"), [("registry github.com/distribution/distribution/v3 v3.1.1", True), ("registry 2.8.2", False)])
def test_only_version_3_is_distribution_3(tmp_path, monkeypatch, said, found):
    """Other programs have the name `registry` too."""
    (tmp_path / "registry").write_text(f"#!/bin/sh\necho {said}\n")
    (tmp_path / "registry").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert has_registry("distribution 3") is found


def test_file_system_of_a_folder_is_named(tmp_path):
    """The one that is mounted nearest to it."""
    assert find_file_system(Path("/proc/self")) == "proc"
    assert find_file_system(tmp_path) != "proc"
