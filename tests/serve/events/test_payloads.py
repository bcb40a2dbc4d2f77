"""What is taken from the events of each sender, as its documentation shows them."""

from __future__ import annotations

import json

import pytest

from imgsync.serve.model import Hint
from tests.support.events import REGISTRY, Receiver, pushed, read_sample

TAKEN = {
    "distribution-push": ["team/app:1.0"],
    "distribution-several": ["team/app:1.1", "team/other:latest"],
    "distribution-delete": ["team/app"],
    "gitlab-push": ["mygroup/myimage:latest"],
    "azure-push": ["hello-world:v1"],
    "harbor-push": ["team/app:1.0"],
    "harbor-delete": ["team/app"],
    "harbor-cloudevent": ["team/app:1.0"],
    "ghcr-registry-package": ["codertocat/hello-world:1.0"],
    "ghcr-package": ["codertocat/hello-world:1.0"],
    "ghcr-ping": [],
    "quay-push": ["dgangaia/test:latest", "dgangaia/test:1.0"],
    "dockerhub-push": ["svendowideit/testhook:latest"],
    "aliyun-push": ["namespace/repo:latest"],
    "cloudevents-ecr-template": ["team/app:1.0"],
    "cloudevents-ecr-plain": ["team/app:latest"],
    "cloudevents-binary": ["team/app:1.0"],
    "pubsub-insert": ["my-project/my-repo/hello-world:1.1"],
    "pubsub-delete": ["my-project/my-repo/hello-world"],
    "pubsub-other-registry": [],
    "generic-image": ["team/app:1.0"],
    "generic-images": ["team/app"],
}


@pytest.mark.row("EVT-05")
@pytest.mark.parametrize("name", TAKEN)
def test_names_are_taken_and_nothing_else(name):
    """Repository and tag of our registry; no digest, no URL, no other registry."""
    kind, headers, body = read_sample(name)
    receiver = Receiver(kind)

    reply = receiver.prove(body, **{key.replace("-", "_"): value for key, value in headers.items()})

    assert reply.status == (202 if TAKEN[name] else 200)
    assert receiver.hints() == TAKEN[name]


@pytest.mark.parametrize("kind", ["distribution", "gitlab", "harbor", "ghcr", "quay", "dockerhub", "aliyun", "cloudevents", "pubsub", "generic"])
@pytest.mark.parametrize("body", [b"{}", b"[]", b"\0", b'{"type":1,"data":[],"events":{},"image":{},"push_data":"","message":{"data":"*"}}'])
def test_any_other_body_gives_no_hint(kind, body):
    """It is refused, or there is nothing to do."""
    receiver = Receiver(kind)

    assert receiver.prove(body, X_GitHub_Event="package").status in {200, 400}
    assert receiver.hints() == []


def test_name_of_a_docker_hub_image_is_complete():
    """An official image is in `library`, as in mirrors.d."""
    receiver = Receiver("dockerhub", registry="docker.io")

    receiver.prove({"push_data": {"tag": "1.27"}, "repository": {"repo_name": "nginx"}})

    assert receiver.inbox.take_hints() == [Hint("docker.io", "library/nginx", "1.27")]


def test_github_package_without_a_tag_stands_for_its_repository():
    """GitHub leaves the name of the tag empty in some events."""
    receiver = Receiver("ghcr")
    body = read_sample("ghcr-package")[2]
    document = json.loads(body)
    document["package"]["package_version"]["container_metadata"]["tag"]["name"] = ""

    receiver.prove(document, X_GitHub_Event="package")

    assert receiver.hints() == ["codertocat/hello-world"]


def test_other_packages_of_github_give_no_hint():
    """Such as npm."""
    receiver = Receiver("ghcr")
    package = {"package_type": "npm", "ecosystem": "npm", "name": "app", "owner": {"login": "team"}}

    assert receiver.prove({"action": "published", "package": package}, X_GitHub_Event="package").status == 200


def test_message_without_its_envelope_is_read():
    """As a push subscription with payload unwrapping sends it."""
    receiver = Receiver("pubsub")

    receiver.prove({"action": "INSERT", "tag": f"{REGISTRY}/project/app:1"})

    assert receiver.hints() == ["project/app:1"]


def test_message_without_its_envelope_has_its_id_in_a_header():
    """So a tag that moves there and back within five minutes counts each time, and a repeated message once."""
    receiver = Receiver("pubsub")
    document = {"action": "INSERT", "tag": f"{REGISTRY}/project/app:1"}

    answers = [receiver.prove(document, X_Goog_Pubsub_Message_Id=number).status for number in ("1", "2", "2")]

    assert answers == [202, 202, 200]


@pytest.mark.row("EVT-05")
@pytest.mark.parametrize(
    ("repository", "tag"),
    [
        ("../../etc/passwd", "1"),
        ("evil.example/team/app:1@", "1"),
        ("Team/App", "1"),
        ("team/app\n", "1"),
        ("team//app", "1"),
        ("a" * 300, "1"),
        ("team/app", "1;rm"),
        ("team/app", "../x"),
        ("team/app", "x" * 129),
        ("team/\u0430pp", "1"),
        ("*", "1"),
    ],
)
def test_name_outside_of_the_grammar_gives_no_hint(repository, tag):
    """200: the sender must not repeat it."""
    receiver = Receiver()

    assert receiver.prove(pushed(repository, tag)).status == 200
    assert receiver.hints() == []


@pytest.mark.row("EVT-04")
def test_many_changes_in_one_event_are_widened():
    """Past 200 tags to their repositories, past 200 repositories to the registry."""
    receiver = Receiver()
    receiver.prove({"events": [pushed(tag=str(number))["events"][0] for number in range(201)]})
    assert receiver.hints() == ["team/app"]

    receiver.prove({"events": [pushed(f"team/app{number}")["events"][0] for number in range(201)]})
    assert receiver.inbox.take_hints() == [Hint(REGISTRY, "")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-GitHub-Event": "push"}, 202),
        ({"X-Gitlab-Event": "Push Hook"}, 202),
        ({"X-Gitea-Event": "push"}, 202),
        ({"X-Forgejo-Event": "push", "X-GitHub-Event": "push"}, 202),
        ({"X-GitHub-Event": "ping"}, 200),
        ({"X-Gitlab-Event": "Issue Hook"}, 200),
        ({}, 200),
    ],
)
def test_push_to_git_asks_for_the_declarations(headers, status):
    """Nothing is taken from it, and its body may have any form."""
    receiver = Receiver("git")

    assert receiver.prove(b"payload=%7B%7D", **{name.replace("-", "_"): value for name, value in headers.items()}).status == status
    assert receiver.inbox.take_look() is (status == 202)
    assert receiver.inbox.take_reload() is False
    assert receiver.hints() == []
