"""
List referrers by the fallback tag, without the referrers API.

Spec: distribution-spec 1.1, "Pushing Manifests with Subject".
"""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.concurrency.workers import map_unordered
from imgsync.errors import NotFoundError, ReferrersError, RegistryError, RejectedError
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference
from imgsync.oci.spec.referrers import add_referrers, find_unlisted, format_fallback_tag
from imgsync.transfer.model import Task
from imgsync.transfer.put_manifest import put_manifest

_WRITES = 3
# A registry that still serves the tag as it was before our write may be late.
_REREAD_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
_READS_TAG_AS_DIGEST = "the registry reads this tag as a digest, so it cannot list the referrers of the image; they were pushed without a list"


class FallbackIndexes:
    """Maintains the fallback tags of destinations."""

    def add(self, task: Task, subject: str, referrers: Sequence[Manifest], source: Manifest | None) -> None:
        """
        Add *referrers* to the fallback tag of *subject*.

        *source* is the source's fallback index. A failure to list referrers is never transient: it must not keep an image from its tag.

        Raises:
            ReferrersError: The tag cannot be written now, or holds something else.
            RegistryError: The registry refuses the tag, or misses a referrer.
        """
        reference = task.repository.with_tag(format_fallback_tag(subject))
        try:
            self._add(task, reference, subject, referrers, source)
        except RegistryError as error:
            if error.code == "DIGEST_INVALID":
                # GitLab reads the tag as the digest of the image: oras-project/oras#2148.
                _warn(task, reference)
            elif error.transient:
                raise ReferrersError(error.message, hint=error.hint) from error
            else:
                raise

    def _add(self, task: Task, reference: Reference, subject: str, referrers: Sequence[Manifest], source: Manifest | None) -> None:
        current = self._read(task, reference)
        # We read the tag again after each write, because another client may have written it meanwhile.
        for write in range(_WRITES + 1):
            if current is not None and current.matches(subject):
                _warn(task, reference)
                return
            if current is not None and not current.is_index:
                raise ReferrersError(f"{reference} holds an image, not a list of referrers", hint="find out who uses this tag, or set `referrers: false`")
            if not find_unlisted(current, referrers):
                return
            if write == _WRITES:
                break
            gone = self._find_gone(task, current, referrers)
            is_ours = current is not None and current.digest == task.job.pushed_tags.get(reference.tag)
            put_manifest(task, reference, add_referrers(current, referrers, source=source, gone=gone, is_ours=is_ours))
            current = self._read_changed(task, reference, current)
        operation = task.destination.make_operation("list referrers in", reference)
        raise operation.make_error(RejectedError, "another client keeps overwriting this tag", hint="run again when that client has ended")

    def _find_gone(self, task: Task, index: Manifest | None, pushed: Sequence[Manifest]) -> set[str]:
        """Return what *index* lists but the destination lacks."""
        # docker-registry refuses an index that lists what is missing.
        others = [child.digest for child in index.children if not any(one.matches(child.digest) for one in pushed)] if index is not None else []

        def find(digest: str) -> str:
            return digest if task.destination.resolve(task.repository.with_digest(digest)) is None else ""

        return set(map_unordered(find, others, limit=task.job.blobs_at_once)) - {""}

    def _read_changed(self, task: Task, reference: Reference, before: Manifest | None) -> Manifest | None:
        """Read the tag until it differs from *before*, for some seconds."""
        current = self._read(task, reference)
        for pause_seconds in _REREAD_PAUSES_SECONDS:
            if current != before:
                break
            task.destination.retry_policy.pause(pause_seconds)
            current = self._read(task, reference)
        return current

    def _read(self, task: Task, reference: Reference) -> Manifest | None:
        task.deadline.check()
        try:
            return task.destination.pull_manifest(reference)
        except NotFoundError:
            return None


def _warn(task: Task, reference: Reference) -> None:
    task.listener.on_warning(f"{reference}: {_READS_TAG_AS_DIGEST}")
