"""Remarks that several formats share."""

from __future__ import annotations

from imgsync.convert.input_file import KeyRemark, Node

COPIES_REFERRERS = "imgsync also copies signatures and other referrers (`referrers: false` skips them)"
NO_TOKEN = KeyRemark("registries.yaml has a username and a password, not a token", lost=True)
REPOSITORY_REGEX = "imgsync selects repositories by path or namespace, not by regular expression"
LIST_REPOSITORIES = "name them; `imgsync list REGISTRY` shows the repositories"
LIMIT_PLATFORMS = "`platforms: [linux/amd64]` limits them"


def report_digest(node: Node) -> None:
    """Remark that imgsync needs a tag to push a digest."""
    node.report_lost("imgsync pushes no image without a tag; the image is skipped", hint="name the tag to push: `names: [TAG@sha256:…]`")
