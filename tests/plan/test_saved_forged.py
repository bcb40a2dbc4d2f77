"""A forged plan file reaches nothing that is not declared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.plan.test_saved import sealed
from tests.support.images import image

SAVED = "plan.json"


@pytest.fixture
def forge(lab) -> Callable[..., Any]:
    """Save a plan, edit it with a matching checksum, apply it."""

    def forged(edit: Callable[[dict[str, Any]], object], *arguments: str) -> Any:
        assert lab.run("plan", "--out", SAVED).code in {0, 1}
        document = json.loads((lab.folder / SAVED).read_text())
        edit(document)
        (lab.folder / SAVED).write_text(sealed(document))
        lab.source.forget()
        lab.destination.forget()
        return lab.run("apply", "--plan", SAVED, "-o", "json", *arguments)

    return forged


def every_change(**fields: object) -> Callable[[dict[str, Any]], object]:
    """Return an edit of every change of a plan."""
    return lambda document: [one.update(fields) for one in document["changes"]]


_FORGED: tuple[dict[str, str | None], ...] = (
    {"destination": "DESTINATION/prod/app:1"},
    {"destination": "DESTINATION/m/NAME/app:other"},
    {"destination": "evil.example/m/NAME/app:1"},
    {"source": "SOURCE/evil/app:1"},
    {"source": "evil.example/NAME/app:1"},
    {"mirror": "unknown"},
    {"action": "delete"},
    {"action": "create", "source_digest": None},
)


@pytest.mark.row("GIT-05")
def test_forged_plan_changes_only_what_is_declared(origin, lab):
    """Undeclared changes are refused with exit 3, before any request."""
    words = {"SOURCE": lab.source.host, "DESTINATION": lab.destination.host, "NAME": lab.name}
    assert lab.run("plan", "--out", SAVED).code == 0
    saved = (lab.folder / SAVED).read_text()
    lab.source.forget()
    lab.destination.forget()

    for fields in _FORGED:
        document = json.loads(saved)
        every_change(**{key: value and re.sub("[A-Z]{2,}", lambda found: words[found[0]], value) for key, value in fields.items()})(document)
        (lab.folder / SAVED).write_text(sealed(document))

        ran = lab.run("apply", "--plan", SAVED, "-o", "json")

        assert (ran.code, ran.stdout) == (3, ""), fields
        assert "does not declare" in ran.stderr, fields
        assert "hint: make the plan again: imgsync plan --out FILE" in ran.stderr
    assert (lab.source.seen, lab.destination.seen) == ([], [])


@pytest.mark.row("GIT-05", "GIT-04")
def test_plan_of_other_declarations_is_refused(origin, lab):
    """A plan made for a branch's declarations is refused on main."""
    origin(tags={"names": ["1"]}, platforms=["linux/amd64"])
    assert lab.run("plan", "--out", SAVED).code == 0
    origin(tags={"names": ["1"]})
    lab.source.forget()
    lab.destination.forget()

    ran = lab.run("apply", "--plan", SAVED)

    assert ran.code == 3
    assert "made for another configuration (changed: a)" in ran.stderr
    assert (lab.source.seen, lab.destination.seen) == ([], [])


@pytest.mark.row("GIT-05", "GIT-03")
def test_current_allow_list_applies_to_a_saved_plan(origin, lab, forge):
    """A plan made before `allow` was narrowed is refused."""

    def narrowed(_document: object) -> None:
        registry_settings = json.loads((lab.folder / "registries.yaml").read_text())
        (lab.folder / "registries.yaml").write_text(json.dumps(registry_settings | {"allow": {"destinations": [f"{lab.destination}/other"]}}))

    ran = forge(narrowed)

    assert ran.code == 3
    assert f"is not allowed by registries.yaml (allowed: {lab.destination}/other" in ran.stderr
    assert (lab.source.seen, lab.destination.seen) == ([], [])


@pytest.mark.row("GIT-05")
def test_forged_digest_is_read_from_the_declared_repository_only(lab, origin, forge):
    """A digest of another repository fails, and the destination stays as it was."""
    evil = lab.push("evil", "1", image((lab.name, "evil")))

    ran = forge(every_change(source_digest=evil.digest))

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 0, "failed": 2}
    assert f"/{lab.name}/app@{evil.digest} (source): 404" in ran.json["outcomes"][0]["error"]
    assert lab.served_tags("app") == []
    assert "moved since the plan was made" in ran.json["notes"][0], "and it is told that this is not what the tag names"


@pytest.mark.row("GIT-05", "GIT-11")
def test_forged_plan_does_not_end_min_age(lab, origin, forge):
    """The state's first sight decides, not the plan."""
    origin(tags={"min_age": "3d"})

    ran = forge(every_change(action="create", reason="old enough"))
    assert ran.code == 0, ran.stderr
    assert {outcome["result"] for outcome in ran.json["outcomes"]} == {"held"}
    assert "held by min_age 3d" in ran.json["outcomes"][0]["reason"]

    ran = forge(lambda document: document.update(created_at="2001-01-01T00:00:00Z"))
    assert {outcome["result"] for outcome in ran.json["outcomes"]} == {"held"}
    assert lab.run("apply", "-o", "json").json["summary"] == {**ran.json["summary"], "seconds": pytest.approx(0, abs=60)}
    assert lab.served_tags("app") == []


@pytest.mark.row("GIT-05")
def test_forged_plan_moves_no_immutable_tag(lab, origin, forge):
    """A mirrored immutable tag stays, with any date of the plan."""
    origin(immutable=["*"])
    assert lab.run("apply").code == 0
    before = lab.served_manifest("app", "1")
    other = lab.push("app", "9", image((lab.name, "other")))

    def moved(document: dict[str, Any]) -> None:
        document["created_at"] = "2100-01-01T00:00:00Z"
        document["changes"] = [one | {"action": "update", "source_digest": other.digest} for one in document["changes"] if one["source"].endswith(":1")]

    ran = forge(moved)

    assert ran.code == 1
    assert [outcome["result"] for outcome in ran.json["outcomes"]] == ["refused"]
    assert "tag is declared immutable" in ran.json["outcomes"][0]["error"]
    assert lab.served_manifest("app", "1") == before


@pytest.mark.row("GIT-05")
@pytest.mark.parametrize("mirrored", [False, True])
def test_forged_keep_is_not_recorded(mirrored, lab, origin, forge):
    """Later runs do not believe that the tag is up to date."""
    if mirrored:
        assert lab.run("apply").code == 0
    moved = {tag: lab.push("app", tag, image((lab.name, tag, "moved"))) for tag in "12"}

    def kept(document: dict[str, Any]) -> None:
        for change in document["changes"]:
            tag = change["source"][-1]
            change.update(action="keep", source_digest=moved[tag].digest, destination_digest=change["destination_digest"] or moved[tag].digest)

    assert forge(kept).code == 0
    ran = lab.run("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["copied"]) == (0, 2)
    assert lab.served_manifest("app", "1") == moved["1"].raw
