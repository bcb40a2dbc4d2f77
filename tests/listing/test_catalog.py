"""The catalog of a registry."""

from __future__ import annotations

import pytest

from tests import switches
from tests.support.images import image
from tests.switches import Respond


@pytest.mark.row("OUT-04", "OUT-06")
def test_catalog_with_dotdot_stays_below_the_namespace(lab):
    """Names like `../../prod/x` are not requested, and nothing is written for them."""
    lab.push("app", "1", image(lab.name))
    evil = [f"{lab.name}/../../prod/x", "../../prod/x", f"{lab.name}/%2e%2e/x", f"/{lab.name}/x", f"{lab.name}/app/../../x", "/etc/passwd"]
    lab.source.add(switches.Respond(200, {"repositories": [f"{lab.name}/app", *evil]}), target="_catalog")
    lab.declare("", "referrers: false", namespaces='["", ' + lab.name + "]")

    ran = lab.run("apply", "-o", "json")

    assert [outcome["destination"] for outcome in ran.json["outcomes"]] == [f"{lab.destination}/m/{lab.name}/app:1"]
    assert lab.served_tags("app") == ["1"]
    assert {one.path.split("/")[2] for one in lab.destination.seen if one.path != "/v2/"} == {"m"}
    assert not [one.target for one in (*lab.source.seen, *lab.destination.seen) if ".." in one.target or "%2e" in one.target or "passwd" in one.target]
    written = {path.relative_to(lab.folder).as_posix() for path in lab.folder.rglob("*") if path.is_file()}
    assert {path for path in written if not path.startswith(".imgsync/state/")} == {"mirrors.d/a.yaml", "registries.yaml"}
    assert {path.rpartition("/")[2] for path in written if path.startswith(".imgsync/")} <= {
        "accepted-documents",
        "cache.db",
        "cache.db-wal",
        "cache.db-shm",
        "lock",
    }


@pytest.mark.row("REG-21")
def test_listed_repository_without_tags_is_empty(lab):
    """By null, an empty list or 404; for a declared repository 404 is an error."""
    lab.push("app", "1", image(1))
    for path in ("null", "none", "unknown"):
        lab.push(path, "1", image(path))
    lab.source.add(Respond(200, {"name": "x", "tags": None}), target=f"{lab.name}/null/tags/list")
    lab.source.add(Respond(200, {"name": "x", "tags": []}), target=f"{lab.name}/none/tags/list")
    lab.source.add(
        Respond(404, {"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known to registry"}]}), target=f"{lab.name}/unknown/tags/list"
    )
    lab.declare("", namespaces=f"[{lab.name}]")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["create"] == 1
    # It may be hidden from us too: nothing is deleted for it.
    assert [f"{lab.name}/unknown is listed, but its tags are unknown" in line["reason"] for line in ran.events("listing.incomplete")] == [True]
    lab.declare("unknown")
    named = lab.run("plan", "-o", "json")
    assert named.code == 1
    assert "the repository does not exist, or this account cannot see it" in named.json["errors"][0]["message"]
