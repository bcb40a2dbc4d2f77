"""
Recognize pushes to git, of GitHub, GitLab, Gitea and Forgejo.

Sources: "Webhook events and payloads" of GitHub's documentation, "Webhooks" of GitLab's, Gitea's and Forgejo's. Which commit is new is asked of the
remote that we follow.
"""

from __future__ import annotations

from imgsync.serve.events.model import Delivery

_EVENT_HEADERS = ("x-github-event", "x-gitlab-event", "x-forgejo-event", "x-gitea-event", "x-gogs-event")
_PUSHES = {"push", "push hook", "tag push hook", "create", "delete"}


def is_push(delivery: Delivery) -> bool:
    """Return whether *delivery* says that something was pushed."""
    return any(delivery.get(name).lower() in _PUSHES for name in _EVENT_HEADERS)
