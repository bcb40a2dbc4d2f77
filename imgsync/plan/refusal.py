"""The reasons of refused changes, and what to do about each."""

from __future__ import annotations

from imgsync.errors import PolicyViolationError

# A refused change's reason begins with one of these.
REQUIRED = "requirement not met: "
IMMUTABLE = "tag is declared immutable"
OLDER = "the bundle is older than one that was loaded"
NOT_OURS = "the state no longer records that imgsync pushed this tag; not deleted"
OTHER_MIRROR = "the state does not record that this mirror pushed this tag; not deleted"
BACK = "no longer gone at the source since the plan was made; not deleted"
UNSURE = "could not check that it is still gone at the source; not deleted"
NO_RECORD = "the state has no record of this tag; not deleted"

_REMEDIES = {
    REQUIRED: PolicyViolationError.remedy,
    IMMUTABLE: "ask the publisher why the tag moved; to mirror the new image, change `immutable` of the mirror",
    OLDER: "nothing, if the newer image is right; to move the tag back, load the bundle with --allow-older",
    NOT_OURS: "delete the tag yourself, or make the plan again",
    OTHER_MIRROR: "make the plan again with the present state, or delete the tag yourself",
    BACK: "make the plan again",
    UNSURE: "apply again when the source answers, or make the plan again",
    NO_RECORD: "delete the tag yourself, or apply with the state of the run that pushed it",
}


def advise_refusal(reason: str) -> str:
    """Return what to do about a change refused for *reason*; never empty."""
    return next(
        (remedy for beginning, remedy in _REMEDIES.items() if reason.startswith(beginning)), "review the mirror's declaration, then make the plan again"
    )
