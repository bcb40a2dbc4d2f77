"""Exact names: one that does not exist, and one that pins a digest."""

from __future__ import annotations

import json

import pytest

from imgsync.config.model import Destination, Mirror, Source
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Repository
from imgsync.plan.declaration_scope import DeclarationScope
from tests.support.images import digest_of, image, index
from tests.support.outcomes import only_error
from tests.support.plans import DIGEST, OTHER, change
from tests.switches import Respond, status


@pytest.mark.parametrize("tags", ["{names: ['3.99', '1']}", "{names: ['3.99'], include: ['1*']}"], ids=["names alone", "with filters"])
@pytest.mark.parametrize("command", ["plan", "apply", "verify"])
def test_missing_name_is_an_error_of_that_tag(command, tags, lab):
    """In a repository that is named exactly: exit 1, and the rest is copied."""
    content = lab.push("app", "1", image(1))
    lab.push_to_destination("app", "1", content)
    lab.declare("app", f"tags: {tags}")

    ran = lab.run(command, "-o", "json")

    assert ran.code == 1
    (error,) = ran.json["errors"]
    assert error["reference"] == f"{lab.source.host}/{lab.name}/app:3.99"
    assert "does not exist at the source" in error["message"]
    assert len(ran.json.get("changes") or ran.json.get("outcomes") or ran.json["findings"]) == 1


def test_missing_name_of_a_namespace_is_a_warning(lab):
    """One warning for the mirror, and a line for each repository in `--explain`."""
    lab.push("team/a", "1", image(1))
    lab.push("team/b", "2", image(2))
    lab.declare("", "tags: {names: ['1']}", namespaces=f"['{lab.name}/team']")
    file = lab.folder / "mirrors.d/a.yaml"
    file.write_text(file.read_text().replace(f"repositories: [{lab.name}/]", "repositories: []"))

    ran = lab.run("plan", "--explain")

    assert ran.code == 0, ran.stderr
    assert [event["reason"] for event in ran.events("tag.missing")] == [f"1 does not exist in 1 of 2 repositories: {lab.source.host}/{lab.name}/team/b"]
    assert "      names not found: 1\n" in ran.stdout
    assert "dropped" not in ran.stdout


def test_name_that_the_listing_hides_is_copied(lab):
    """An exact name is asked for, even where the listing does not have it."""
    lab.push("app", "hidden", image(1))
    lab.push("app", "1", image(2))
    lab.source.add(Respond(200, b'{"name": "x", "tags": ["1"]}'), target="/tags/list")
    lab.declare("app", "tags: {names: [hidden], include: ['1']}")

    assert lab.run("apply").code == 0
    assert sorted(lab.served_tags("app")) == ["1", "hidden"]


def test_copy_of_a_missing_tag_says_so(lab):
    """Not how many tags a mirror selects."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    ran = lab.run("copy", f"{lab.source.host}/{lab.name}/app:2", f"{lab.destination.host}/m/app", "-o", "json")

    assert "does not exist at the source" in only_error(ran)


def test_missing_tag_says_which_are_there(lab):
    """The nearest and the newest, by one request for a repository, and for a few repositories."""
    for tag in ("1.27.1", "1.27.2", "1.28.0", "1.29.0", "1.29.0-rc1", "latest"):
        lab.push("a", tag, image(1))
    for name in "bcd":
        lab.push(name, "1", image(1))
    lab.declare("a b c d", "tags: {names: [1.27.9, lastest]}")

    plan = lab.run("plan", "-o", "json").json

    repository = f"{lab.source.host}/{lab.name}/a"
    hints = {error["reference"]: error["message"] for error in plan["errors"]}
    assert hints[f"{repository}:1.27.9"] == (
        f"does not exist at the source (name a tag that exists: nearest 1.27.2, 1.27.1, 1.29.0; newest 1.28.0; `imgsync list {repository}` shows all 6)"
    )
    assert hints[f"{repository}:lastest"] == (
        f"does not exist at the source (name a tag that exists: nearest latest; newest 1.29.0, 1.28.0, 1.27.2; `imgsync list {repository}` shows all 6)"
    )
    assert len(lab.source.requests("tags/list")) == 3


def test_missing_repository_says_so(lab):
    """Its tags cannot be named."""
    lab.declare("gone", "tags: {names: ['1']}")

    (error,) = lab.run("plan", "-o", "json").json["errors"]

    gone = f"{lab.source.host}/{lab.name}/gone"
    assert error["message"] == f"does not exist at the source (check the spelling: there is no repository {gone} with tags, or this account cannot see it)"


def test_pinned_digest_is_copied_under_its_tag(lab):
    """Whatever the tag names now; an unchanged run asks nobody; verify and prune agree."""
    old, new = lab.push("app", "1.27", index(1)), image(2)
    lab.push("app", "1.27", new)
    lab.declare("app", f"tags: {{names: ['1.27@{old.digest}'], include: ['*']}}\nprune: true")

    assert lab.run("apply").code == 0
    lab.assert_served("app", "1.27", old)
    lab.source.forget()
    lab.destination.forget()
    again = lab.run("apply", "-o", "json")

    assert [outcome["result"] for outcome in again.json["outcomes"]] == ["kept"]
    assert again.json["outcomes"][0]["source"] == f"{lab.source.host}/{lab.name}/app:1.27@{old.digest}"
    assert (lab.source.requests("/manifests/"), lab.destination.seen) == ([], [])
    assert lab.run("verify").code == 0


def test_pin_is_applied_from_a_saved_plan(lab):
    """A saved plan has the pinned digest, and may have no other."""
    old = lab.push("app", "1", image(1))
    lab.push("app", "1", image(2))
    lab.declare("app", f"tags: {{names: ['1@{old.digest}']}}")

    assert lab.run("plan", "--out", "plan.json").code == 0
    assert lab.run("apply", "--plan", "plan.json").code == 0
    lab.assert_served("app", "1", old)


def test_missing_pinned_digest_is_an_error_of_that_tag(lab):
    """Exit 1, with the reference."""
    lab.push("app", "1", image(1))
    lab.declare("app", f"tags: {{names: ['1', '2@{DIGEST}']}}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    errors = ran.json["errors"]
    assert [error["reference"] for error in errors] == [f"{lab.source.host}/{lab.name}/app:2@{DIGEST}"]
    assert errors[0]["message"].startswith("does not exist at the source")
    assert lab.served_tags("app") == ["1"]


def test_digest_that_a_repository_of_a_namespace_lacks_is_a_warning(lab):
    """As any exact name there."""
    content = lab.push("n/one", "1", image(1))
    lab.push("n/two", "1", image(2))
    lab.declare("", f"tags: {{names: ['1@{content.digest}']}}", namespaces=f"[{lab.name}/n]")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [f"{lab.name}/n/two" in line["reason"] for line in ran.events("tag.missing")] == [True]
    assert lab.served_tags("n/one") == ["1"]


def test_digest_alone_needs_a_destination_with_a_tag(lab):
    """Else the error says how to name one."""
    content = lab.push("app", "1", image(1))
    lab.declare("app", f"tags: {{names: ['{content.digest}']}}")

    ran = lab.run("apply")

    assert ran.code == 3
    assert f"the digest {content.digest} has no tag (write it after the tag to push: TAG@sha256:" in ran.stderr
    file = lab.folder / "mirrors.d/a.yaml"
    place = json.dumps({"registry": lab.destination.host, "namespace": "m", "tag": "pinned"})
    file.write_text(file.read_text().replace(f"'{lab.destination.host}/m'", place))
    assert lab.run("apply").code == 0
    lab.assert_served("app", "pinned", content)
    lab.source.add(status(404), target="/manifests/")
    assert lab.run("apply").code == 0, "nothing is asked: a digest does not move"


@pytest.mark.parametrize("text", [f"app@{DIGEST}", f"app:1.27@{DIGEST}", "app:1.27"])
@pytest.mark.parametrize("form", ["source", "repositories"])
def test_repository_with_a_tag_or_digest_says_where_to_name_it(form, text, workplace):
    """In `source` and in `repositories`."""
    source = f"s.io/{text}" if form == "source" else {"registry": "s.io", "repositories": [text]}
    workplace.mirror("a", source=source, destinations=["r.io/m"])

    ran = workplace.run("validate")

    assert ran.code == 3
    assert f"write {'s.io/' if form == 'source' else ''}app, and put " in ran.stderr
    assert "`tags: {names: [" in ran.stderr


@pytest.mark.parametrize("text", ["1@", "@", f"@{DIGEST}", f"a/b@{DIGEST}", f"1@{DIGEST[:-1]}", f"1@{DIGEST}@{DIGEST}", "sha256:00", "1@sha256:x"])
def test_malformed_pins_are_refused(text, workplace):
    """A pin is TAG@DIGEST, or a digest."""
    workplace.mirror("a", source="s.io/app", destinations=["r.io/m"], tags={"names": [text]})

    ran = workplace.run("validate")

    assert ran.code == 3
    assert "invalid tag" in ran.stderr


def test_saved_plan_may_only_have_declared_pins():
    """The tag, the digest and the source digest must be those of the declaration."""
    pin = f"1@{DIGEST}"
    mirror = Mirror("a", Source("s.io", repositories=("app",)), (Destination("r.io", "m"),), tags=TagFilter(names=(pin,)))
    scope = DeclarationScope(mirror)

    def covers(source: str, digest: str) -> bool:
        name = Repository("s.io", "app").with_name(source)
        return scope.includes(change(source=str(name), source_digest=digest, destination="r.io/m/app:1"))

    assert covers(pin, DIGEST)
    assert not covers(pin, OTHER)
    assert not covers(f"1@{OTHER}", OTHER)
    assert not covers("1", DIGEST)
    assert not covers(DIGEST, DIGEST)


def test_two_pins_of_one_tag_are_a_configuration_error(workplace):
    """They would be written to the same place, as would a tag and its pin."""
    pins = [f"1@{digest_of(text)}" for text in (b"a", b"b")]
    workplace.mirror("a", source="s.io/app", destinations=["r.io/m"], tags={"names": pins})

    ran = workplace.run("validate")

    assert ran.code == 3
    assert "mirrors[0].tags.names[1]: the tag 1 is named twice, with different digests or without (keep one: " in ran.stderr
