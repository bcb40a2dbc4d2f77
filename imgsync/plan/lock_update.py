"""Which locked digests a run of `imgsync lock` may replace."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.errors import UsageError
from imgsync.filters.globs import compile_glob
from imgsync.oci.spec.reference import split_reference
from imgsync.text.near import find_near_images


class LockUpdate:
    """
    The images whose digest may be replaced.

    Without *is_enabled* none is. Patterns are globs of a repository, or of a repository with its tag; without any, all images are.
    """

    def __init__(self, *, is_enabled: bool = False, patterns: Sequence[str] = (), checks: bool = False) -> None:
        """
        Compile *patterns*; *checks* also compares the digests that stay with the source.

        Raises:
            UsageError: One of them is not a glob, or nothing is to be updated.
        """
        if patterns and not is_enabled:
            raise UsageError("--image says what --update may replace", hint="add --update, or remove --image")
        self.checks = checks
        self._is_enabled = is_enabled
        self._matched: set[str] = set()
        self._offered: list[str] = []
        try:
            self._globs = {text: compile_glob(text) for text in patterns}
        except ValueError as error:
            raise UsageError(f"--image: {error}", hint="write a glob such as 'docker.io/library/*' or 'docker.io/library/alpine:3.*'") from error

    def includes(self, image: str) -> bool:
        """Return whether the digest of *image* may be replaced."""
        if not self._globs:
            return self._is_enabled
        repository = split_reference(image)[0]
        self._offered.append(image)
        found = [text for text, glob in self._globs.items() if glob.fullmatch(repository) or glob.fullmatch(image)]
        self._matched.update(found)
        return bool(found)

    def check_matched(self) -> None:
        """
        Check that each pattern matched an image.

        Raises:
            UsageError: One did not.
        """
        for text in self._globs:
            if text not in self._matched:
                near = find_near_images(text, self._offered)[:3]
                hint = f"did you mean {' or '.join(near)}?" if near else "write the repository with its registry, such as 'docker.io/library/*'"
                raise UsageError(f"--image {text} matches no selected image", hint=hint)
