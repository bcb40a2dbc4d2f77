"""
Read CloudEvents 1.0, and events of Amazon ECR as EventBridge has them.

Sources: spec.md and http-protocol-binding.md of cloudevents/spec; "Amazon ECR events and EventBridge"; docs/configuration/webhook.md of
argoproj-labs/argocd-image-updater for the fields that its template for EventBridge makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgsync.serve.events.fields import get_object, get_text, list_pushed, parse_payload
from imgsync.serve.events.harbor import read_event
from imgsync.serve.events.model import Change, Delivery

_ECR = "ECR Image Action"
_DELETED = ("delete", "deleted", "removed")


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the change of an event, in its structured or binary form.

    Raises:
        UnsupportedContentError: The body is not an event.
    """
    document = parse_payload(delivery.body)
    if get_text(document, "detail-type") == _ECR:
        yield from _read_ecr(get_object(document, "detail"))
        return
    # In binary mode, attributes are headers and the body is the data alone.
    is_binary = delivery.get("ce-specversion") != ""
    kind = delivery.get("ce-type") if is_binary else get_text(document, "type")
    subject = delivery.get("ce-subject") if is_binary else get_text(document, "subject")
    data = document if is_binary else get_object(document, "data")
    if kind.startswith("harbor."):
        yield from read_event(kind, data)
    else:
        yield from _read_data(kind, subject, data)


def _read_ecr(detail: dict[str, Any]) -> Iterator[Change]:
    if get_text(detail, "result") != "SUCCESS":
        return
    action, repository = get_text(detail, "action-type"), get_text(detail, "repository-name")
    if action == "PUSH":
        yield from list_pushed(repository, get_text(detail, "image-tag"))
    elif action == "DELETE":
        yield Change(repository)


def _read_data(kind: str, subject: str, data: dict[str, Any]) -> Iterator[Change]:
    named, _, tagged = subject.partition(":")
    repository = get_text(data, "repositoryName") or get_text(data, "repository") or named
    if kind.lower().endswith(_DELETED):
        yield Change(repository)
    else:
        yield from list_pushed(repository, get_text(data, "imageTag") or get_text(data, "tag") or tagged)
