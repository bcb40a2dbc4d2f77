"""
Read webhooks of GitHub's registry.

Sources: "Webhook events and payloads" of GitHub's documentation, `package` and `registry_package`; payload-examples of octokit/webhooks.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.oci.spec.reference import is_tag
from imgsync.serve.events.fields import get_object, get_text, parse_payload
from imgsync.serve.events.model import Change, Delivery

_ACTIONS = {"published", "updated"}
_KINDS = {"container", "docker"}


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the change of a package's version.

    GitHub leaves the name of the tag empty in some events of a push: these stand for the repository.

    Raises:
        UnsupportedContentError: The body is not an event.
    """
    event = delivery.get("x-github-event")
    document = parse_payload(delivery.body)
    package = get_object(document, event)
    is_container = {get_text(package, "package_type").lower(), get_text(package, "ecosystem").lower()} & _KINDS
    if event in {"package", "registry_package"} and get_text(document, "action") in _ACTIONS and is_container:
        tag = get_text(package, "package_version", "container_metadata", "tag", "name")
        # GitHub keeps the case of an owner, which the name of an image does not have.
        name = f"{get_text(package, 'owner', 'login')}/{get_text(package, 'name')}".lower()
        yield Change(name, tag if is_tag(tag) else "")
