"""`imgsync serve` as users run it, between real registries."""

from __future__ import annotations

import json
import signal

from tests.support.images import image
from tests.support.serving import Serving


def test_new_mirror_is_applied_at_once(lab):
    """A mirror that never succeeded is applied at the start."""
    pushed = lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    with Serving(lab.workplace) as serving:
        ended = serving.wait_for("run.ended", trigger="start")
    assert (ended["exit_code"], ended["error"]) == (0, "")
    lab.assert_served("app", "1.0", pushed)


def test_changed_declaration_is_applied(lab):
    """What a changed file declares is copied without waiting for the schedule."""
    lab.push("app", "1.0", image("first"))
    second = lab.push("app", "2.0", image("second"))
    lab.declare("app", "tags: {names: ['1.0']}")
    with Serving(lab.workplace) as serving:
        serving.wait_for("run.ended", trigger="start")
        lab.declare("app", "tags: {names: ['1.0', '2.0']}")
        serving.wait_for("run.ended", trigger="change")
    lab.assert_served("app", "2.0", second)


def test_broken_file_keeps_the_last_good_one(lab):
    """The errors of a broken file are logged with their place, and the mirrors stay."""
    lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    with Serving(lab.workplace) as serving:
        serving.wait_for("run.ended")
        lab.write("mirrors.d/b.yaml", "version: 1\nmirrors: nonsense\n")
        invalid = serving.wait_for("declarations.invalid")
        assert invalid["errors"][0].startswith("mirrors.d/b.yaml:2:")
        (lab.folder / "mirrors.d/b.yaml").unlink()
        serving.wait_for("declarations.loaded", times=2)


def test_broken_file_at_the_start_ends_it(lab):
    """As other commands do, it refuses declarations that are invalid from the start."""
    lab.write("mirrors.d/b.yaml", "version: 1\nmirrors: nonsense\n")
    result = lab.run("serve", "--listen", "127.0.0.1:0")
    assert result.code == 3
    assert "mirrors.d/b.yaml:2:" in result.stderr


def test_hangup_reads_the_files_again(lab):
    """SIGHUP reads them even if none changed."""
    lab.declare("app", "tags: {names: ['1.0']}\nsuspend: true")
    with Serving(lab.workplace) as serving:
        serving.send(signal.SIGHUP)
        serving.wait_for("declarations.loaded", times=2)


def test_only_plan_writes_nothing(lab):
    """With --only-plan, it sees what is missing and leaves it so."""
    lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    with Serving(lab.workplace, "--only-plan") as serving:
        built = serving.wait_for("plan.built")
        serving.wait_for("run.ended")
    assert built["create"] == 1
    assert lab.served_tags("app") == []
    assert not (lab.folder / ".imgsync/state/cache.db").exists()


def test_event_is_served_at_once(lab):
    """What an event names is copied right away, and nothing else is looked at."""
    lab.push("app", "1.0", image("first"))
    lab.push("other", "1.0", image("other"))
    lab.declare("app other", "tags: {include: ['*']}")
    registries: dict[str, object] = {"version": 1, "registries": {host: {"tls": False} for host in (lab.source.host, lab.destination.host)}}
    registries["serve"] = {"events": {"inside": {"type": "generic", "registry": lab.source.host, "secret": "hook-SECRET-0123456789abcdef0123456789"}}}
    lab.write("registries.yaml", json.dumps(registries))
    with Serving(lab.workplace) as serving:
        serving.wait_for("run.ended", trigger="start")
        pushed = lab.push("app", "2.0", image("second"))
        event = {"image": f"{lab.source.host}/{lab.name}/app:2.0"}
        answer = serving.post("/events/inside", json=event, headers={"Authorization": "Bearer hook-SECRET-0123456789abcdef0123456789"})
        assert answer.status_code == 202, answer.text
        ended = serving.wait_for("run.ended", trigger="event")
    assert (ended["exit_code"], ended["seconds"] < 5) == (0, True)
    lab.assert_served("app", "2.0", pushed)
    built = serving.events("plan.built")[-1]
    assert (built["create"], built["keep"]) == (1, 0)


def test_page_and_history_survive_a_crash(lab):
    """After SIGKILL, the next process shows the runs of the one before, and takes up its work."""
    lab.push("app", "1.0", image("first"))
    lab.declare("app", "tags: {include: ['*']}")
    with Serving(lab.workplace) as serving:
        run = serving.wait_for("run.ended")["run"]
        serving.wait_until(lambda: serving.get("/api/v1/runs").json()["runs"])
        serving.crash()
        serving.start()
        serving.wait_for("run.ended", trigger="start")
        document = serving.get(f"/api/v1/runs/{run}").json()
        assert (document["format"], document["id"], document["summary"]["copied"]) == ("imgsync.run/v1", run, 1)
        assert serving.get("/").status_code == 200
        assert serving.get("/readyz").text == "ready\n"
