"""`imgsync serve --git`, from a commit to the plan of it."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.support.events import SECRET
from tests.support.git_repository import GitRepository
from tests.support.git_server import GitServer, Silent
from tests.support.images import image
from tests.support.serving import Serving

_INTERVAL_SECONDS = 1


@pytest.fixture
def repository(lab, tmp_path) -> GitRepository:
    """A repository that declares one image of the lab."""
    lab.push("app", "1", image("first"))
    lab.push("app", "2", image("second"))
    lab.declare("app", "tags: {names: ['1']}")
    (lab.folder / "mirrors.d").rename(lab.folder / "kept")
    made = GitRepository(tmp_path / "repository")
    declare(made, lab, "1")
    return made


def declare(repository: GitRepository, lab, *tags: str) -> str:
    """Commit a mirror of these tags; return the commit."""
    text = (lab.folder / "kept/a.yaml").read_text()
    repository.write("mirrors.d/a.yaml", text.replace("names: ['1']", f"names: {json.dumps(tags)}"))
    return repository.commit()


def test_commit_is_planned_within_its_interval(lab, repository):
    """And two seconds; a broken one is shown, and changes nothing."""
    with Serving(lab.workplace, "--git", repository.url, "--git-interval", f"{_INTERVAL_SECONDS}s") as serving:
        serving.wait_for("run.ended", trigger="start")
        assert lab.served_tags("app") == ["1"]

        began = time.monotonic()
        commit = declare(repository, lab, "1", "2")
        serving.wait_for("plan.built", times=2)
        seconds = time.monotonic() - began
        serving.wait_for("run.ended", trigger="change")
        assert serving.events("declarations.loaded")[-1]["revision"] == commit
        assert lab.served_tags("app") == ["1", "2"]

        repository.write("mirrors.d/a.yaml", "version: 1\nmirrors: nonsense\n")
        broken = repository.commit()
        invalid = serving.wait_for("declarations.invalid")
        assert (invalid["revision"], invalid["errors"][0].partition(": ")[0]) == (broken, "mirrors.d/a.yaml:2:10")
        configuration = serving.get("/api/v1/status").json()["configuration"]
        assert (configuration["revision"], configuration["failed_revision"]) == (commit, broken)
        assert broken[:7] in serving.get("/").text

    # The interval, and two seconds; as long again, because others use the machine too.
    assert seconds <= 2 * (_INTERVAL_SECONDS + 2)


@pytest.mark.row("GITS-06")
def test_start_without_the_server_begins_with_the_last_good_commit(lab, repository):
    """It shows the fault, and applies what it knows."""
    arguments = ("--git", repository.url, "--git-interval", "1s")
    with Serving(lab.workplace, *arguments) as serving:
        serving.wait_for("run.ended", trigger="start")
    repository.folder.rename(repository.folder.with_name("away"))
    lab.push("app", "1", image("moved"))

    with Serving(lab.workplace, *arguments) as serving:
        serving.wait_for("declarations.unreachable")
        serving.wait_for("run.ended")
        assert serving.get("/readyz").status_code == 200
        configuration = serving.get("/api/v1/status").json()["configuration"]
        assert (str(repository.folder) in configuration["fault"], configuration["checked_at"]) == (True, None)
        repository.folder.with_name("away").rename(repository.folder)
        declare(repository, lab, "1", "2")
        serving.wait_for("declarations.loaded", times=2)


@pytest.mark.row("GITS-02")
def test_server_that_is_missing_from_the_start_is_waited_for(lab, repository):
    """Pages are served meanwhile; without declarations it is not ready."""
    away = repository.folder.with_name("away")
    repository.folder.rename(away)

    with Serving(lab.workplace, "--git", repository.url, "--git-interval", "1s") as serving:
        serving.wait_for("declarations.unreachable")
        assert serving.get("/").status_code == 200
        assert serving.get("/readyz").status_code == 503
        away.rename(repository.folder)
        serving.wait_for("run.ended", trigger="start")
        assert serving.get("/readyz").status_code == 200

    assert lab.served_tags("app") == ["1"]


def test_push_to_git_is_followed_at_once(lab, repository):
    """By its event, and at SIGHUP, however long the interval is."""
    registries = json.dumps({"git": {"type": "git", "secret": SECRET}})
    (lab.folder / "registries.yaml").write_text((lab.folder / "registries.yaml").read_text() + f"serve: {{events: {registries}}}\n")
    with Serving(lab.workplace, "--git", repository.url, "--git-interval", "1h") as serving:
        serving.wait_for("run.ended", trigger="start")
        first = declare(repository, lab, "1", "2")
        answer = serving.post(f"/events/git/{SECRET}", json={"ref": "refs/heads/main"}, headers={"X-GitHub-Event": "push", "X-Gitlab-Token": SECRET})
        assert answer.status_code < 300, answer.text
        serving.wait_for("declarations.loaded", revision=first)
        second = declare(repository, lab, "2")

        serving.send(signal.SIGHUP)

        serving.wait_for("declarations.loaded", revision=second)


@pytest.mark.row("GITS-05")
def test_private_repository_is_followed_by_a_token(lab, repository, authority, tmp_path):
    """Of which nothing shows, also when it is refused."""
    token = "token-of-the-private-repository"
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    login = {"credentials": {"username": "oauth2", "password": {"file": str(tmp_path / "token")}}, "ca": str(tmp_path / "ca.pem")}
    (tmp_path / "token").write_text(token)
    (lab.folder / "registries.yaml").write_text((lab.folder / "registries.yaml").read_text() + f"serve: {{git: {json.dumps(login)}}}\n")
    with (
        GitServer(tmp_path, authority, login=f"oauth2:{token}") as server,
        Serving(lab.workplace, "--git", f"https://{server.host}/repository/.git", "--git-interval", "1s") as serving,
    ):
        serving.wait_for("run.ended", trigger="start")
        server.login = "oauth2:another"
        unreachable = serving.wait_for("declarations.unreachable")
        page = serving.get("/").text

    assert "Authentication failed" in unreachable["reason"]
    assert token not in serving.said() + page


@pytest.mark.row("GITS-02")
def test_pages_are_served_while_git_hangs(lab, repository):
    """And the process ends without waiting for it."""
    with Silent() as silent:
        with Serving(lab.workplace, "--git", f"https://{silent.host}/x") as serving:
            assert serving.wait_until(lambda: silent.taken, what="a connection of git")
            began = time.monotonic()
            assert serving.get("/").status_code == 200
            assert serving.get("/readyz").status_code == 503
            assert time.monotonic() - began < 10
        silent.ends.set()


def test_address_that_makes_no_sense_is_refused_at_once(lab):
    """Before anything is served."""
    ran = lab.run("serve", "--git", "http://git.example/x", "--listen", "127.0.0.1:0")

    assert ran.code == 3
    assert "error: --git: http:// proves neither who answers nor what" in ran.stderr
