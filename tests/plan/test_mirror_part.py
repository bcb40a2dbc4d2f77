"""`--only` with images: what is not selected is neither judged nor touched."""

from __future__ import annotations

import pytest

from imgsync.config.only import parse_only
from imgsync.errors import UsageError
from tests.support.images import image


def records(lab) -> dict[str, dict]:
    return {one["destination"]: one for one in lab.run("state", "list", "-o", "json").json}


@pytest.fixture
def two(lab):
    """Declare two repositories with two tags each, of which at least four must exist."""
    for repository in ("app", "web"):
        for tag in ("1.0", "2.0"):
            lab.push(repository, tag, image(f"{lab.name}{repository}{tag}"))
    lab.declare("app web", "tags: {include: ['*'], at_least: 4}\nprune: true")
    return lab


@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("a/{name}/app", {"app:1.0", "app:2.0"}),
        ("a/**/app:1.*", {"app:1.0"}),
        ("a:2.0", {"app:2.0", "web:2.0"}),
        ("*/**/we[b]", {"web:1.0", "web:2.0"}),
        ("a", {"app:1.0", "app:2.0", "web:1.0", "web:2.0"}),
    ],
)
def test_pattern_selects_mirrors_repositories_and_tags(pattern, selected, two):
    """Each part is a glob; `at_least` is about the whole mirror only."""
    ran = two.run("plan", "--only", pattern.format(name=two.name), "-o", "json")

    assert ran.code == 0, ran.stderr
    assert {change["source"].rpartition("/")[2] for change in ran.json["changes"]} == selected


def test_unselected_images_are_neither_deleted_nor_touched(two):
    """`--only` gives no reason to delete: neither what is unselected, nor what the source lacks."""
    two.run("apply")
    before = records(two)
    two.source_registry.delete(f"{two.name}/web", two.served_digest("web", "2.0"))
    new = two.push("app", "1.0", image("moved"))
    two.declare("app web", "tags: {include: ['1*'], at_least: 4}\nprune: {gone: true}")

    ran = two.run("apply", "--only", f"a/{two.name}/app:1.0", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["gone"] == []
    assert [(one["action"], one["destination"].rpartition("/")[2]) for one in ran.json["outcomes"]] == [("update", "app:1.0")]
    assert two.served_tags("app") == ["1.0", "2.0"]
    after = records(two)
    assert {name for name in before if before[name] != after[name]} == {name for name in before if name.endswith("app:1.0")}
    two.assert_served("app", "1.0", new)


@pytest.mark.parametrize(
    ("pattern", "code", "message", "hint"),
    [
        ("b", 3, "--only b: no mirror has this name", "declared: a"),
        ("a/{name}/apq", 1, "--only a/{name}/apq matches no image that this mirror selects", "did you mean a/{name}/app?"),
        ("a/{name}/app:1.1", 1, "matches no image", "did you mean a/{name}/app:1.0"),
        ("a/zebra", 1, "matches no image", "`imgsync plan --only a --all` shows what it selects"),
        ("a/[", 3, "'[' that is not closed", "write MIRROR, MIRROR/REPOSITORY or MIRROR/REPOSITORY:TAG"),
        ("a/", 3, "an empty glob matches nothing", "write MIRROR"),
    ],
)
def test_pattern_without_a_match_is_an_error(pattern, code, message, hint, two):
    """With the names that are near."""
    ran = two.run("plan", "--only", pattern.format(name=two.name))

    assert ran.code == code
    shown = " ".join((ran.stdout + ran.stderr).split())
    assert message.format(name=two.name) in shown
    assert hint.format(name=two.name) in shown


def test_near_mirror_is_suggested(lab):
    """With the rest of what was typed."""
    lab.declare("app")
    lab.write("mirrors.d/b.yaml", (lab.folder / "mirrors.d" / "a.yaml").read_text().replace("name: a", "name: kubernetes"))

    assert "did you mean kubernetes/x:1?" in lab.run("validate", "--only", "kubernets/x:1").stderr


def test_part_of_a_mirror_is_no_success(two):
    """The rest may not be as declared, so the mirror's last success stays; also with a saved plan."""
    metric = 'imgsync_mirror_last_success_timestamp_seconds{mirror="a"}'
    two.run("apply", "--only", f"a/{two.name}/app", "--metrics", "m.prom")
    assert metric not in (two.folder / "m.prom").read_text()

    two.run("plan", "--only", f"a/{two.name}/web:1.0", "--out", "plan.json")
    assert two.run("apply", "--plan", "plan.json", "--metrics", "m.prom").code == 0
    assert metric not in (two.folder / "m.prom").read_text()
    assert two.served_tags("web") == ["1.0"]

    two.run("apply", "--metrics", "m.prom")
    assert metric in (two.folder / "m.prom").read_text()


def test_saved_plan_cannot_be_narrowed(two):
    """`apply --plan` applies exactly what was reviewed."""
    two.run("plan", "--out", "plan.json")

    ran = two.run("apply", "--plan", "plan.json", "--only", "a/x")

    assert ran.code == 3
    assert "--only cannot select images of a saved plan" in ran.stderr


def test_no_request_goes_to_unselected_repositories(two):
    """A repository that is named exactly is not even listed."""
    two.run("plan", "--only", f"a/{two.name}/app")

    assert two.source.requests("/app/")
    assert two.source.requests("/web/") == []


@pytest.mark.parametrize("text", ["", "/x", ":x", "a:"])
def test_empty_parts_are_errors(text):
    """An empty glob matches nothing."""
    with pytest.raises(UsageError, match="an empty glob matches nothing"):
        parse_only([text])
