"""Copy images: blobs first, then manifests, the tag last."""

from imgsync.transfer.blob_homes import SharedBlobs
from imgsync.transfer.copier import Copier
from imgsync.transfer.known_blobs import KnownBlobs, Recorded
from imgsync.transfer.model import BlobResult, Copied, CopyListener, Job, Progress

__all__ = ["BlobResult", "Copied", "Copier", "CopyListener", "Job", "KnownBlobs", "Progress", "Recorded", "SharedBlobs"]
