"""The plan says in which order tags were taken, what was set aside, and why too few are left."""

from __future__ import annotations

import json

import pytest

from tests.support.images import OCI, Image, image, index
from tests.support.lab import Lab

OLD, NEW = "2026-01-01T00:00:00Z", "2026-10-01T00:00:00Z"
NO_DATE = ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "yesterday", ""]


def annotated(seed: object, created: str, **manifest: str) -> Image:
    """Return a Helm chart: its config has no date, its manifest an annotation."""
    plain = image(seed)
    document = json.loads(plain.raw)
    document["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    document["annotations"] = {"org.opencontainers.image.created": created}
    return Image(json.dumps(document).encode(), OCI["manifest"], plain.blobs)


def push_all(lab: Lab, tags: str) -> None:
    for tag in tags.split():
        lab.push("app", tag, image(tag))


def plan(lab: Lab, settings: str, *arguments: str) -> tuple[list[str], list[str], list[dict[str, object]], list[dict[str, str]]]:
    """Return the tags of the plan, its notes, steps and errors."""
    lab.declare("app", settings)
    found = lab.run("plan", "-o", "json", "--explain", *arguments).json
    (mirror,) = found["mirrors"]
    return sorted(change["source"].rpartition(":")[2] for change in found["changes"]), mirror["notes"], mirror["steps"], found["errors"]


def test_notes_name_the_order_and_what_is_set_aside(lab):
    """In JSON, in the table and in Markdown; --explain has each step."""
    push_all(lab, "24.04 24.10 25.04 26.04-rc1 noble latest 1234567")

    tags, notes, steps, errors = plan(lab, "tags: {newest: 2}")

    assert tags == ["24.10", "25.04"]
    assert errors == []
    assert notes == [
        "newest by version; 3 tags set aside: 1234567, latest, noble (not versions)",
        "1 tag dropped as pre-release: 26.04-rc1",
    ]
    assert [(step["step"], step["left"], step["dropped"], step["remark"]) for step in steps] == [
        ("listed", 7, [], ""),
        ("order by version", 4, ["1234567", "latest", "noble"], "not versions"),
        ("prereleases", 3, ["26.04-rc1"], ""),
        ("newest", 2, ["24.04"], ""),
    ]
    table, markdown = (lab.run("plan", "--explain", "-o", output).stdout for output in ("table", "markdown"))
    assert "note: newest by version; 3 tags set aside: 1234567, latest, noble (not versions)" in table
    assert "app: 7 listed → 4 order by version → 3 prereleases → 2 newest\n" in table
    assert "order by version: 3 dropped: 1234567, latest, noble (not versions)" in table
    assert "newest by version; 3 tags set aside" in markdown
    assert "order by version: 4 left, 3 dropped: `1234567` `latest` `noble` (not versions)" in markdown


def test_order_of_several_repositories_is_told_apart(lab):
    """One note per order, not per repository."""
    for repository, tags in (("a", "1.0 1.1 edge"), ("b", "2.0"), ("c", "blue green")):
        for tag in tags.split():
            lab.push(repository, tag, image(tag))
    lab.declare("a b c", "tags: {newest: 1}")

    (mirror,) = lab.run("plan", "-o", "json").json["mirrors"]

    assert mirror["notes"] == [
        f"newest by date in 1 repository, such as {lab.source.host}/{lab.name}/c (none of 2 tags reads as a version)",
        "newest by version in 2 repositories, such as " + f"{lab.source.host}/{lab.name}/a; 1 tag set aside: edge (not versions)",
    ]


@pytest.mark.parametrize("kind", ["config", "chart", "index annotation"])
def test_date_is_of_the_config_else_of_an_annotation(kind, lab):
    """Helm and ORAS write only the annotation."""
    for tag, created in (("zeta", OLD), ("alpha", NEW)):
        content = {
            "config": image(tag, created=created, annotations={"org.opencontainers.image.created": "2020-01-01T00:00:00Z"}),
            "chart": annotated(tag, created),
            "index annotation": index(tag, created=NO_DATE[0], annotations={"org.opencontainers.image.created": created}),
        }[kind]
        lab.push("app", tag, content)

    assert plan(lab, "tags: {newest: 1}")[0] == ["alpha"]


@pytest.mark.parametrize("created", NO_DATE)
def test_implausible_date_is_none_and_is_said(created, lab):
    """Reproducible builds claim 1970, others the year 1."""
    lab.push("app", "a", image("a", created=created))
    lab.push("app", "b", annotated("b", created))
    lab.push("app", "c", image("c", created=NEW))

    _, _, _, errors = plan(lab, "tags: {newest: 1}")
    assert "2 tags without a date: a, b" in errors[0]["message"]
    assert errors[0]["reference"].endswith("/app")
    tags, notes, *_ = plan(lab, "tags: {newest: 2, order: date}")
    assert (tags, notes) == (["c"], ["newest by date; 2 tags set aside: a, b (no date)"])
    tags, notes, *_ = plan(lab, "tags: {max_age: 36500d}")
    assert (tags, notes) == (["c"], ["2 tags dropped without a date: a, b"])


@pytest.mark.parametrize(("tags", "settings", "hint"), [
    ("3.5.15-0 3.5.16-0", "{semver: '>=3.5'}", "every tag left is a pre-release (3.5.15-0, 3.5.16-0): set `prereleases: true`"),
    ("a b", "{max_age: 1s}", "`plan --explain` shows what each step kept"),
    ("1.0.0 1.1.0-rc1", "{semver: '>=1.1', at_least: 2}", "every tag left is a pre-release (1.1.0-rc1)"),
    ("2.0.0 1.1.0-rc1", "{semver: '>=1.1', at_least: 2}", "1 tag dropped as pre-release"),
])  # fmt: skip
def test_shortage_says_what_fell(tags, settings, hint, lab):
    """The hint of the error says what to change."""
    push_all(lab, tags)
    lab.declare("app", f"tags: {settings}")

    ran = lab.run("plan")

    assert ran.code == 1
    assert hint in ran.stdout


def test_only_undated_tags_are_named_in_the_hint(lab):
    """No date means no age."""
    lab.push("app", "a", image("a", created=NO_DATE[0]))
    lab.declare("app", "tags: {max_age: 90d}")

    assert "none of the tags left has a date" in lab.run("plan").stdout


@pytest.mark.parametrize(("settings", "defaults", "code", "message"), [
    ("{newest_per: minor, order: date}", "", 3, "newest_per needs versions, not `order: date`"),
    ("{newest_per: minor}", "defaults: {tags: {order: date}}", 1, "newest_per needs versions, not dates"),
    ("{newest: 1, order: newest}", "", 3, "order"),
    ("{semver: '>=24.04'}", "", 3, "'24.04' has a leading zero; write 24.4"),
])  # fmt: skip
def test_order_and_ranges_are_checked(settings, defaults, code, message, lab):
    """In the file where possible, else in the plan."""
    push_all(lab, "1.0")
    lab.declare("app", f"tags: {settings}")
    file = lab.folder / "mirrors.d/a.yaml"
    file.write_text(f"{file.read_text()}\n{defaults}\n")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == code
    assert message in ran.stdout + ran.stderr


@pytest.mark.parametrize("text", ["''", "[]", "' '", "'*'"])
def test_empty_range_selects_any_version(text, lab):
    """As npm reads it; no range at all selects every tag."""
    push_all(lab, "1.0.0 latest")

    assert plan(lab, f"tags: {{semver: {text}}}")[0] == (["1.0.0", "latest"] if text == "[]" else ["1.0.0"])
