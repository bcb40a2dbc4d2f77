"""The interface through which planning reports its progress."""

from __future__ import annotations

from typing import Protocol


class PlanListener(Protocol):
    """Receives the events of planning, from several greenlets."""

    def on_repositories(self, count: int) -> None:
        """Count repositories to list."""

    def on_listed(self, tags: int) -> None:
        """Count a listed repository and its selected tags."""

    def on_looked_up(self) -> None:
        """Count a tag that was looked up."""


class VerifyListener(PlanListener, Protocol):
    """Receives the events of a verification."""

    def on_images_to_read(self, count: int) -> None:
        """Receive how many images will be read and hashed."""

    def on_bytes_read(self, size_bytes: int) -> None:
        """Count bytes that were read and hashed."""

    def on_image_read(self) -> None:
        """Count an image that was read."""


class NoListener:
    """Ignores the events of planning."""

    def on_repositories(self, count: int) -> None:
        """Ignore *count*."""

    def on_listed(self, tags: int) -> None:
        """Ignore *tags*."""

    def on_looked_up(self) -> None:
        """Do nothing."""
