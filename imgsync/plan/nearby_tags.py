"""Say which tags a repository has, if a declared one is missing."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from imgsync.errors import ImgsyncError, NotFoundError
from imgsync.filters.natural_order import make_natural_key
from imgsync.filters.versions import read_versions
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.reference import Repository, is_pin
from imgsync.oci.spec.referrers import is_referrers_tag

# Each costs a request, and a mirror may name a tag that thousands of repositories lack.
_REPOSITORY_LIMIT = 3
_SHOWN = 3
_CUTOFF = 0.6
# difflib compares one tag with each; more would take seconds.
_COMPARED = 5000


class NearbyTags:
    """Lists the tags of the first few repositories that lack one."""

    def __init__(self) -> None:
        """Start without any."""
        self._listed: dict[Repository, Collection[str] | None] = {}

    def explain(self, tag: str, repository: Repository, client: ImageStore) -> str:
        """Return a hint about *tag*, which *repository* lacks."""
        lists = f"`imgsync list {repository}` shows the tags there"
        if is_pin(tag):
            return lists
        if repository not in self._listed and len(self._listed) < _REPOSITORY_LIMIT:
            try:
                self._listed[repository] = client.list_tag_names(repository)
            except NotFoundError:
                self._listed[repository] = ()
            except ImgsyncError:
                # The missing tag is the error to report.
                self._listed[repository] = None
        tags = self._listed.get(repository)
        return lists if tags is None else describe_tags(tag, tags, repository)


def describe_tags(tag: str, tags: Collection[str], repository: Repository) -> str:
    """Return the nearest tags to *tag* and the newest versions of *tags*."""
    if not tags:
        return f"check the spelling: there is no repository {repository} with tags, or this account cannot see it"
    named = sorted((one for one in tags if not is_referrers_tag(one)), key=make_natural_key, reverse=True)
    near = difflib.get_close_matches(tag, named[:_COMPARED], n=_SHOWN, cutoff=_CUTOFF)
    versions = read_versions({one: one for one in named})
    releases = [one for one in named if one in versions and not versions[one].prerelease]
    newest = [one for one in (releases or named)[:_SHOWN] if one not in near]
    parts = [f"{title} {', '.join(found)}" for title, found in (("nearest", near), ("newest", newest)) if found]
    known = f"name a tag that exists: {'; '.join(parts)}; " if parts else ""
    return f"{known}`imgsync list {repository}` shows all {len(named)}"
