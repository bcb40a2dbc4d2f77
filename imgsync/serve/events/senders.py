"""
The types of senders: how each proves itself, and what it sends.

docs/how-to/events.md has the same table for users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from imgsync.serve.events import cloudevents, distribution, dockerhub, generic, github_packages, harbor, pubsub, quay
from imgsync.serve.events.model import Change, Delivery
from imgsync.serve.events.proofs import Proof, has_any_proof, has_api_key, has_authorization, has_git_proof, has_path, has_signature
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class SenderType:
    """
    One type of sender.

    Attributes:
        has_proof: Returns whether a delivery was sent by one who has the secret.
        read: Yields the changes of a delivery; None for pushes to git.
        delivery_header: The header that differs between two deliveries with the same body, in lower case.
        differs: Whether two events never have the same body.
    """

    has_proof: Callable[[Proof], bool]
    read: Callable[[Delivery], Iterable[Change]] | None
    differs: bool = True
    delivery_header: str = ""


SENDER_TYPES: Mapping[str, SenderType] = MappingProxyType(
    {
        "distribution": SenderType(has_authorization, distribution.read_changes),
        "gitlab": SenderType(has_authorization, distribution.read_changes),
        "harbor": SenderType(has_authorization, harbor.read_changes),
        "ghcr": SenderType(has_signature, github_packages.read_changes),
        # Two pushes of one tag have the same body, and no header that differs.
        "quay": SenderType(has_path, quay.read_changes, differs=False),
        "dockerhub": SenderType(has_path, dockerhub.read_changes),
        "aliyun": SenderType(has_path, dockerhub.read_changes),
        "cloudevents": SenderType(has_api_key, cloudevents.read_changes, delivery_header="ce-id"),
        # Without its envelope, a message has its id in a header, if the subscription writes metadata.
        "pubsub": SenderType(has_path, pubsub.read_changes, delivery_header="x-goog-pubsub-message-id"),
        "git": SenderType(has_git_proof, None, differs=False),
        "generic": SenderType(has_any_proof, generic.read_changes, differs=False, delivery_header="idempotency-key"),
    }
)
