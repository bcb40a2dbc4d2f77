"""What is found of a bundle: its signature, volumes and lost images."""

from __future__ import annotations

from imgsync.bundle.check_volume import Problem
from imgsync.bundle.model import Bundle, BundleImage
from imgsync.bundle.volume_document import VolumeDocument
from imgsync.system.dataclass import dataclass

MISSING = "it is missing"


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """
    What is known about the signature of a bundle.

    `is_checked` is False if `registries.yaml` requires none. Else `signer` is the name in `keys` or `identities`, and `file` its signature.
    `present` are the files with signatures that are there.
    """

    is_checked: bool
    signer: str = ""
    file: str = ""
    present: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VolumeCheck:
    """
    What is wrong with one volume.

    `unusable` says why the volume as a whole cannot be used, "" if it can. `problems` are the first hundred of `problem_count`. `costs` are the
    destinations of the images that are lost with what is damaged in it; none if only bytes between blobs are.
    """

    file: str
    size_bytes: int
    unusable: str = ""
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    costs: tuple[str, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Return whether the file is not there."""
        return self.unusable == MISSING

    @property
    def is_intact(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.unusable and not self.problem_count


@dataclass(frozen=True, slots=True)
class LostImage:
    """
    An image that cannot be loaded as a whole.

    `volumes` are the files that must be made or copied again.
    """

    image: BundleImage
    reasons: tuple[str, ...]
    volumes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of verifying a bundle; `lost` are images lost."""

    bundle: Bundle
    volumes: tuple[VolumeCheck, ...]
    lost: tuple[LostImage, ...]

    @property
    def is_intact(self) -> bool:
        """Return whether every byte is as it should be."""
        return not self.lost and all(volume.is_intact for volume in self.volumes)


@dataclass(frozen=True, slots=True)
class VolumeAlone:
    """
    What came of verifying a volume alone.

    `document` says to which bundle it belongs. `images` are the names in its `index.json`.
    """

    document: VolumeDocument
    images: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def is_intact(self) -> bool:
        """Return whether every byte is as it should be."""
        return not self.problems
