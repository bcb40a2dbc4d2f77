"""Remarks that several formats share."""

from __future__ import annotations

from imgsync.convert.input_file import KeyRemark, Node
from imgsync.oci.spec.reference import Reference

COPIES_REFERRERS = "imgsync also copies signatures and other referrers (`referrers: false` skips them)"
NO_SCHEDULE = KeyRemark("run imgsync on a schedule with CI or cron")
NO_TOKEN = KeyRemark("registries.yaml has a username and a password, not a token", lost=True)
REPOSITORY_REGEX = "imgsync selects repositories by path or namespace, not by regular expression"
LIST_REPOSITORIES = "name them; `imgsync list REGISTRY` shows the repositories"
LIMIT_PLATFORMS = "`platforms: [linux/amd64]` limits them"


def report_digest(node: Node, image: Reference, target: str) -> None:
    """Remark that imgsync does not mirror digests."""
    node.report_lost("imgsync mirrors tags, not digests; the image is skipped", hint=f"copy it once: imgsync copy {image.repository}@{image.digest} {target}")
